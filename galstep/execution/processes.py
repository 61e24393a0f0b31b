"""Worker processes that carry out calls one after the other, and may be killed.

A call of a `ProcessExecutor` runs in a process of its own kind: started afresh, not forked, with
one thread for the linear algebra. A process that crashes, is killed, or exceeds the time limit
costs its own call alone; it is replaced when the next call needs one. (A
``concurrent.futures.ProcessPoolExecutor`` gives up all its calls then.)
"""

from __future__ import annotations

import pickle
import struct
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from galstep.exceptions import GalstepError, ParameterError
from galstep.execution.child import START_LIMIT, ChildProcess, KeptProcesses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LENGTH", "ProcessExecutor", "process_executor"]

#: What stands before every message: its length in bytes.
LENGTH = struct.Struct(">Q")


class _Worker(ChildProcess):
    """One process that carries out pickled calls."""

    def __init__(self):
        super().__init__("galstep.execution.worker")

    def call(self, message, time_limit):
        """The answer to a pickled call; raises what the call has raised."""
        # first the process says that it has understood, its libraries imported: that does not count
        begun, _ = self.until(START_LIMIT, lambda: self._ask(message))
        answer, too_late = None, False
        if begun is not None:
            answer, too_late = self.until(time_limit, self._read)
        if answer is not None:
            return pickle.loads(answer)
        self.wait_for_end()
        self.kill()
        if too_late:
            raise GalstepError(f"time limit of {time_limit:g} s exceeded")
        raise GalstepError(f"the worker process {self.cause_of_death()}")

    def _ask(self, message):
        try:
            self.process.stdin.write(LENGTH.pack(len(message)) + message)
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read()

    def _read(self):
        """The next message of the process, None where it ended instead."""
        head = self.process.stdout.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack(head)
        answer = self.process.stdout.read(size)
        return answer if len(answer) == size else None


class ProcessExecutor(Executor):
    """Calls in worker processes; see the module's text.

    Parameters
    ----------
    count : int
        Number of processes, at least 1; each is started when it is first needed.
    time_limit : float, optional
        Seconds after which a call is given up, its process killed. None: no limit.

    Raises
    ------
    ParameterError
        If ``count`` is less than 1.
    """

    def __init__(self, count: int, time_limit: float | None = None) -> None:
        if count < 1:
            raise ParameterError(f"workers must be at least 1, got {count}")
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="galstep-processes")
        self._time_limit = time_limit
        self._processes = KeptProcesses(_Worker)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that live."""
        return self._processes.pids

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call ``fn`` in a process; function, arguments and result must be picklable."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn, args, kwargs):
        message = pickle.dumps((fn, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
        worker = self._processes.take()
        if worker is None:
            raise GalstepError("the run was stopped")
        try:
            is_good, value = worker.call(message, self._time_limit)
        finally:
            if worker.alive:
                self._processes.give_back(worker)
        if is_good:
            return value
        raise value

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; with ``wait`` after what they have begun, else at once."""
        if not wait:
            self._processes.close()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        self._processes.close()


@contextmanager
def process_executor(count: int, time_limit: float | None = None) -> Iterator[ProcessExecutor]:
    """A `ProcessExecutor` whose processes are gone at the end of the block.

    Parameters
    ----------
    count : int
    time_limit : float, optional
        Seconds.

    Yields
    ------
    ProcessExecutor
    """
    executor = ProcessExecutor(count, time_limit)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
