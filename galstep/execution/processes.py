"""Worker processes that carry out calls one after the other, and may be killed.

A call of a `ProcessExecutor` runs in a process of its own kind: started afresh, not forked, with
one thread for the linear algebra. A process that crashes, is killed, or exceeds the time limit
costs its own call alone; it is replaced when the next call needs one. (A
``concurrent.futures.ProcessPoolExecutor`` gives up all its calls then.)
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from galstep.exceptions import GalstepError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LENGTH", "ProcessExecutor", "process_executor"]

#: What stands before every message: its length in bytes.
LENGTH = struct.Struct(">Q")
# the matrices are small: more threads of BLAS double the cost and gain nothing
_ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
# a process that has not imported its libraries by then never will (s)
_START_LIMIT = 300.0
# what has closed its end of the line is gone by then (s)
_END_LIMIT = 10.0


class _Worker:
    """One process seen from outside."""

    def __init__(self):
        environment = os.environ | dict.fromkeys(_ONE_THREAD, "1")
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "galstep.execution.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # an interrupt of the terminal reaches the one who waits alone
            start_new_session=True,
        )

    @property
    def alive(self):
        return self._process.poll() is None

    def call(self, message, time_limit):
        """The answer to a pickled call; raises what the call has raised."""
        # first the process says that it has understood, its libraries imported: that does not count
        begun, _ = self._until(_START_LIMIT, lambda: self._ask(message))
        answer, too_late = None, False
        if begun is not None:
            answer, too_late = self._until(time_limit, self._read)
        if answer is not None:
            return pickle.loads(answer)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT)
        self.kill()
        if too_late:
            raise GalstepError(f"time limit of {time_limit:g} s exceeded")
        raise GalstepError(f"the worker process {self._cause_of_death()}")

    def _until(self, seconds, answer):
        """An answer of the process, which is killed at the limit, and whether it was."""
        too_late = threading.Event()

        def kill():
            too_late.set()
            self._process.kill()

        timer = threading.Timer(threading.TIMEOUT_MAX if seconds is None else seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            return answer(), too_late.is_set()
        finally:
            timer.cancel()

    def _ask(self, message):
        try:
            self._process.stdin.write(LENGTH.pack(len(message)) + message)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._read()

    def _read(self):
        """The next message of the process, None where it ended instead."""
        head = self._process.stdout.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack(head)
        answer = self._process.stdout.read(size)
        return answer if len(answer) == size else None

    def _cause_of_death(self):
        code = self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def kill(self):
        """End the process at once and wait for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                stream.close()


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
        self._idle = queue.LifoQueue()
        self._all = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that live."""
        with self._lock:
            return [worker._process.pid for worker in self._all if worker.alive]

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        """Call ``fn`` in a process; function, arguments and result must be picklable."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn, args, kwargs):
        message = pickle.dumps((fn, args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
        worker = self._taken()
        try:
            is_good, value = worker.call(message, self._time_limit)
        finally:
            if worker.alive:
                self._idle.put(worker)
        if is_good:
            return value
        raise value

    def _taken(self):
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                break
            if worker.alive:
                return worker
        with self._lock:
            if self._closed:
                raise GalstepError("the run was stopped")
            worker = _Worker()
            self._all = [other for other in self._all if other.alive] + [worker]
            return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; with ``wait`` after what they have begun, else at once."""
        if not wait:
            self._close()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        self._close()

    def _close(self):
        with self._lock:
            self._closed = True
            workers, self._all = self._all, []
        for worker in workers:
            worker._process.kill()
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker._process.wait(_END_LIMIT)
        # a thread that still waits for its answer closes the streams itself
        while not self._idle.empty():
            self._idle.get().kill()


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
