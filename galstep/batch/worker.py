"""The loop of a worker process: a job per line on stdin, an outcome per line on stdout.

``python -m galstep.batch.worker``; started by `galstep.batch.worker_process`. It
ends as soon as stdin is closed, also in the middle of a galaxy: whoever was to
read the outcome is gone.
"""

import os
import queue
import sys
import threading

__all__ = ["READY", "main"]

#: The first line on stdout, once all is imported.
READY = "ready"


def main() -> None:
    """Measure what comes until nothing comes."""
    # what a library prints must not come between the outcomes
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        lines = queue.SimpleQueue()
        threading.Thread(target=_read, args=(lines,), daemon=True).start()
        # only now: an orphan is noticed while the libraries are still being imported
        from galstep.batch.job import Job
        from galstep.batch.measure import measure

        print(READY, file=replies, flush=True)
        while True:
            print(_reply(lines.get(), Job, measure), file=replies, flush=True)


def _reply(line, job_class, measure):
    """The outcome of a job as a line; whatever Python raises is an outcome as well."""
    from galstep.batch.job import Outcome

    try:
        return measure(job_class.from_json(line)).to_json()
    # a step may call sys.exit, or interrupt itself: that ends its galaxy, not the worker
    except BaseException as error:  # noqa: BLE001
        return Outcome.failed(f"{type(error).__name__}: {error}").to_json()


def _read(lines):
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
