"""A worker process seen from outside: started, given galaxies, killed at the time limit."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from galstep.batch.job import Outcome
from galstep.batch.lease import Lease
from galstep.batch.worker import READY
from galstep.exceptions import ParameterError
from galstep.execution.child import START_LIMIT, ChildProcess, KeptProcesses

if TYPE_CHECKING:
    from galstep.batch.job import Job

__all__ = [
    "LONGEST_LIMIT",
    "WorkerPool",
    "WorkerProcess",
    "check_time_limit",
    "measure_in_new_process",
]

# how often a worker looks whether its result is still wanted (s)
_LEASE_CHECKED_EVERY = 0.5
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


class WorkerProcess(ChildProcess):
    """One process that measures galaxies one after the other.

    It ends when the batch ends, however that comes about.
    """

    def __init__(self) -> None:
        super().__init__("galstep.batch.worker", {"MPLBACKEND": "Agg"}, text=True, encoding="utf-8")
        self._is_ready = False

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
            reply, too_late = self.until(START_LIMIT, self.process.stdout.readline)
            if reply.strip() != READY:
                self.kill()
                why = "did not start in time" if too_late else self.cause_of_death()
                return Outcome.failed(f"the worker process {why}")
            self._is_ready = True
        with self._while_wanted(job) as unwanted:
            reply, too_late = self.until(time_limit, lambda: self._ask(job))
        if reply.endswith("\n"):
            return Outcome.from_json(reply)
        # what ends by itself is not killed: its exit code tells why
        self.wait_for_end()
        self.kill()
        if unwanted.is_set():
            return Outcome.failed("the batch was stopped")
        if too_late:
            return Outcome.failed(f"time limit of {time_limit:g} s exceeded", time_limit)
        return Outcome.failed(f"the worker process {self.cause_of_death()}")

    @contextmanager
    def _while_wanted(self, job):
        """Kill the process if the batch ends meanwhile; the event tells that it did."""
        ended, unwanted, lease = threading.Event(), threading.Event(), Lease(job.lease)

        def watch():
            while not ended.wait(_LEASE_CHECKED_EVERY):
                if not lease.is_valid:
                    unwanted.set()
                    self.process.kill()
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
            print(job.to_json(), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return ""
        return self.process.stdout.readline()


class WorkerPool(KeptProcesses[WorkerProcess]):
    """Worker processes that are kept for the next galaxy.

    Parameters
    ----------
    time_limit : float, optional
        Seconds after which a galaxy is given up.
    """

    def __init__(self, time_limit: float | None = None) -> None:
        super().__init__(WorkerProcess)
        self.time_limit = time_limit

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def measure(self, job: Job) -> Outcome:
        """Measure one galaxy in a process that is free, or a new one.

        Parameters
        ----------
        job : Job

        Returns
        -------
        Outcome
        """
        worker = self.take()
        if worker is None:
            return Outcome.failed("the batch was stopped")
        outcome = worker.measure(job, self.time_limit)
        self.give_back(worker)
        return outcome


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
