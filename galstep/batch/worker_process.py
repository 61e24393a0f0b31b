"""A worker process seen from outside: started, given galaxies, killed at the time limit."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from galstep.batch.job import Outcome
from galstep.batch.lease import Lease
from galstep.batch.worker import READY
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from galstep.batch.job import Job

__all__ = [
    "LONGEST_LIMIT",
    "WorkerPool",
    "WorkerProcess",
    "check_time_limit",
    "measure_in_new_process",
]

# the matrices are small: more threads of BLAS double the cost and gain nothing
_ONE_THREAD = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip

# a process that has not imported its libraries by then never will (s)
_START_LIMIT = 300.0
# how often a worker looks whether its result is still wanted (s)
_LEASE_CHECKED_EVERY = 0.5
# a process that has closed its end of the line, or was killed, is gone by then (s)
_END_LIMIT = 10.0
#: The longest time limit that the system's clocks can keep (s).
LONGEST_LIMIT = threading.TIMEOUT_MAX / 2


def check_time_limit(seconds: float | None) -> None:
    """Raise `ParameterError` for a time limit that could not be kept.

    Parameters
    ----------
    seconds : float or None
        None is no limit.
    """
    if seconds is not None and not 0 < seconds <= LONGEST_LIMIT:
        raise ParameterError(
            f"time_limit must be above 0 and at most {LONGEST_LIMIT:.3g} s, got {seconds}"
        )


class WorkerProcess:
    """One process that measures galaxies one after the other.

    Started afresh, not forked. It is not in the terminal's process group, so
    an interrupt reaches the batch alone, and ends when the batch ends, however
    that comes about.
    """

    def __init__(self) -> None:
        environment = {"MPLBACKEND": "Agg"} | os.environ | dict.fromkeys(_ONE_THREAD, "1")
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "galstep.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        self._is_ready = False

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can take another galaxy."""
        return self._process.poll() is None

    def measure(self, job: Job, time_limit: float | None = None) -> Outcome:
        """Measure one galaxy.

        Parameters
        ----------
        job : Job
        time_limit : float, optional
            The process is killed after so many seconds; the time in which it
            starts does not count.

        Returns
        -------
        Outcome
            A failure if the process died or was killed.

        Raises
        ------
        ParameterError
            If the time limit could not be kept.
        """
        check_time_limit(time_limit)
        if not self._is_ready:
            reply, too_late = self._until(_START_LIMIT, self._process.stdout.readline)
            if reply.strip() != READY:
                self.kill()
                why = "did not start in time" if too_late else self._cause_of_death()
                return Outcome.failed(f"the worker process {why}")
            self._is_ready = True
        with self._while_wanted(job) as unwanted:
            reply, too_late = self._until(time_limit, lambda: self._ask(job))
        if reply.endswith("\n"):
            return Outcome.from_json(reply)
        # what ends by itself is not killed: its exit code tells why
        self._wait()
        self.kill()
        if unwanted.is_set():
            return Outcome.failed("the batch was stopped")
        if too_late:
            return Outcome.failed(f"time limit of {time_limit:g} s exceeded", time_limit)
        return Outcome.failed(f"the worker process {self._cause_of_death()}")

    @contextmanager
    def _while_wanted(self, job):
        """Kill the process if the batch ends meanwhile; the event tells that it did."""
        ended, unwanted, lease = threading.Event(), threading.Event(), Lease(job.lease)

        def watch():
            while not ended.wait(_LEASE_CHECKED_EVERY):
                if not lease.is_valid:
                    unwanted.set()
                    self._process.kill()
                    return

        thread = threading.Thread(target=watch, daemon=True)
        if job.lease:
            thread.start()
        try:
            yield unwanted
        finally:
            ended.set()
            if job.lease:
                thread.join()

    def _ask(self, job):
        try:
            print(job.to_json(), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            return ""
        return self._process.stdout.readline()

    def _until(self, seconds, answer):
        """The answer of the process, which is killed at the limit, and whether it was."""
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

    def _wait(self):
        """Wait for a process that is ending, but not for ever."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_LIMIT)

    def _cause_of_death(self):
        code = self._process.returncode
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    def stop(self) -> None:
        """End the process at once; a `measure` that waits for it returns a failure."""
        self._process.kill()

    def kill(self) -> None:
        """End the process at once and wait for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                # a job that was not taken is still in the buffer
                pass


class WorkerPool:
    """Worker processes that are kept for the next galaxy.

    As many are started as threads ask for one. One that has died, or was
    killed, is replaced when it is needed.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        self.time_limit = time_limit
        self._idle = queue.LifoQueue()
        self._all = []
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes that live."""
        with self._lock:
            return [worker.pid for worker in self._all if worker.alive]

    def measure(self, job: Job) -> Outcome:
        """Measure one galaxy in a process that is free, or a new one.

        Parameters
        ----------
        job : Job

        Returns
        -------
        Outcome
        """
        worker = self._take()
        if worker is None:
            return Outcome.failed("the batch was stopped")
        outcome = worker.measure(job, self.time_limit)
        self._idle.put(worker)
        return outcome

    def _take(self):
        while True:
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                return self._start()
            if worker.alive:
                return worker

    def _start(self):
        with self._lock:
            if self._closed:
                return None
            worker = WorkerProcess()
            self._all = [other for other in self._all if other.alive] + [worker]
            return worker

    def close(self) -> None:
        """Kill all processes; what they were measuring is lost."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
            for worker in workers:
                worker.stop()
        # none may write any more when the batch lets go of its folder
        for worker in workers:
            worker._wait()
        while not self._idle.empty():
            self._idle.get().kill()


def measure_in_new_process(job: Job, time_limit: float | None = None) -> Outcome:
    """Measure one galaxy in a process of its own: what a Dask worker is given.

    A crash or a galaxy without end does not harm the Dask worker, and the
    threads of one do not share the libraries' state.

    Parameters
    ----------
    job : Job
    time_limit : float, optional
        Seconds after which the process is killed.

    Returns
    -------
    Outcome
    """
    if not Lease(job.lease).is_valid:
        return Outcome.failed("the batch was stopped")
    worker = WorkerProcess()
    try:
        return worker.measure(job, time_limit)
    finally:
        worker.kill()
