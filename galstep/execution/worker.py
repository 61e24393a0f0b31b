"""The loop of a worker process: a pickled call on stdin, its pickled result on stdout.

``python -m galstep.execution.worker``; started by `galstep.execution.processes`. It ends as soon as
stdin is closed, also in the middle of a call: whoever was to read the result is gone.
"""

import os
import pickle
import queue
import sys
import threading

from galstep.exceptions import GalstepError
from galstep.execution.processes import LENGTH

__all__ = ["main"]


def main() -> None:
    """Carry out what comes until nothing comes."""
    # what a library prints must not come between the results
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)
        messages = queue.SimpleQueue()
        threading.Thread(target=_read, args=(messages,), daemon=True).start()

        def say(message):
            replies.write(LENGTH.pack(len(message)) + message)
            replies.flush()

        while True:
            say(_answer(messages.get(), understood=lambda: say(b"")))


def _answer(message, understood):
    """Whether a call went well and its result, or its error, pickled."""
    # whatever the call raises belongs to its caller; SystemExit ends the call, not the worker
    try:
        call = _unpickled(message)
        understood()
        if isinstance(call, GalstepError):
            raise call
        function, args, kwargs = call
        return pickle.dumps((True, function(*args, **kwargs)), protocol=pickle.HIGHEST_PROTOCOL)
    except GalstepError as error:
        return pickle.dumps((False, error))
    except BaseException as error:  # noqa: BLE001 - the caller raises it
        return pickle.dumps((False, GalstepError(f"{type(error).__name__}: {error}")))


def _unpickled(message):
    """The call; an error where its modules cannot be imported here."""
    try:
        return pickle.loads(message)
    except Exception as error:  # noqa: BLE001 - whatever an import can raise
        return GalstepError(f"the call cannot be made here: {type(error).__name__}: {error}")


def _read(messages):
    while True:
        head = sys.stdin.buffer.read(LENGTH.size)
        if len(head) < LENGTH.size:
            os._exit(0)
        messages.put(sys.stdin.buffer.read(LENGTH.unpack(head)[0]))


if __name__ == "__main__":
    main()
