"""Tasks of a field, given to whoever carries them out: what core's ``run`` is.

Tasks are submitted in falling ``task.cost``; results come back in the order of the tasks. Where a
folder of kept results is given, a task whose ``key`` has a result there is not carried out again.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from galstep import __version__
from galstep.datamodels.files.kept_results import KeptResults
from galstep.exceptions import GalstepError, ParameterError
from galstep.execution.duration import duration
from galstep.execution.executors import SerialExecutor, dask_executor
from galstep.execution.processes import process_executor

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["EXECUTION_SPEC", "RECORDS", "TaskOptions", "TaskRunner", "task_runner"]

log = logging.getLogger("stpipe.galstep.field")

#: The spec of a step that has tasks; what is None is the pipeline's.
EXECUTION_SPEC = """
    executor = option('serial', 'processes', 'dask', default=None)  # Who carries out the blocks: this process, worker processes, or a Dask cluster (default: processes where workers is above 1, dask where scheduler is given, else serial)
    workers = integer(min=0, default=None)      # Worker processes (default: 1 with executor serial, else as many as there are cores)
    scheduler = string(default=None)            # Address of a Dask scheduler, such as tcp://host:8786
"""
#: What kept results may hold.
RECORDS = ("galstep.core.", "galstep.pixel_map", "galstep.records", "galstep.flags")
# how often it is looked whether there is anybody left who works (s)
_LOOKED_AFTER = 5.0
# a line about the time left at most so often (s)
_SAID_AFTER = 10.0


@dataclass(frozen=True)
class TaskOptions:
    """How tasks are carried out; see `EXECUTION_SPEC`.

    Parameters
    ----------
    executor : str, optional
    workers : int, optional
    scheduler : str, optional
    time_limit : float, optional
        Seconds after which a worker process is killed; a Dask cluster and this process are not
        ended by it.
    keep_in : path-like, optional
        Folder for results to resume from.
    """

    executor: str | None = None
    workers: int | None = None
    scheduler: str | None = None
    time_limit: float | None = None
    keep_in: PathLike | None = None

    @property
    def kind(self) -> str:
        """``"serial"``, ``"processes"`` or ``"dask"``."""
        if self.executor is not None:
            return self.executor
        if self.scheduler:
            return "dask"
        return "processes" if (self.workers or 0) > 1 else "serial"


class TaskRunner:
    """Carries out tasks; a call of it is what core takes as ``run``.

    Parameters
    ----------
    executor : `concurrent.futures.Executor`
    lost : callable
        Why no call will end any more, "" as long as some will.
    kept : KeptResults, optional
    """

    def __init__(
        self, executor: Executor, lost: Callable[[], str] = str, kept: KeptResults | None = None
    ) -> None:
        self._executor, self._lost, self._kept = executor, lost, kept
        self.used_keys: set[str] = set()
        self.n_done = self.n_failed = 0
        self._said = time.monotonic()

    def __call__(self, function: Callable, tasks: Sequence[Any]) -> list[Any]:
        """Results, or the exceptions of those that failed, in the order of the tasks."""
        results: list[Any] = [None] * len(tasks)
        left = []
        for number in sorted(range(len(tasks)), key=lambda i: -_cost(tasks[i])):
            known = self._read(function, tasks[number])
            if known is KeptResults.NONE:
                left.append(number)
            else:
                results[number] = known
        total = sum(_cost(tasks[i]) for i in left)
        done, started, running = 0.0, time.monotonic(), {}
        for number in left:
            future = self._executor.submit(function, tasks[number])
            running[future] = number
            if future.done():
                # a serial executor is done at once: say so, keep the result
                done += self._take(future, running.pop(future), function, tasks, results)
                self._say(function, done, total, started)
        while running:
            finished = wait(running, timeout=_LOOKED_AFTER, return_when=FIRST_COMPLETED).done
            for future in finished:
                done += self._take(future, running.pop(future), function, tasks, results)
            self._say(function, done, total, started)
            reason = "" if finished else self._lost()
            if reason:
                for number in running.values():
                    results[number] = GalstepError(reason)
                    self.n_failed += 1
                break
        return results

    def _take(self, future, number, function, tasks, results):
        try:
            error = future.exception()
        except CancelledError:
            error = GalstepError("cancelled by the scheduler")
        self.n_done += 1
        if error is not None:
            results[number] = error
            self.n_failed += 1
            log.warning("%s failed: %s: %s", _name(function), type(error).__name__, error)
            return _cost(tasks[number])
        results[number] = future.result()
        key = self._key(function, tasks[number])
        if self._kept is not None and key is not None:
            self._kept.write(key, results[number])
        return _cost(tasks[number])

    def _key(self, function, task):
        own = getattr(task, "key", None)
        return None if own is None else f"{__version__} {_name(function)} {own}"

    def _read(self, function, task):
        key = self._key(function, task)
        if self._kept is None or key is None:
            return KeptResults.NONE
        self.used_keys.add(key)
        return self._kept.read(key)

    def _say(self, function, done, total, started):
        now = time.monotonic()
        if now - self._said < _SAID_AFTER or not 0 < done < total:
            return
        self._said = now
        left = (now - started) * (total - done) / done
        log.info("%s: %.0f %% done, %s left", _name(function), 100 * done / total, duration(left))


def _name(function):
    return getattr(function, "__name__", type(function).__name__)


def _cost(task):
    cost = float(getattr(task, "cost", 1.0))
    return cost if math.isfinite(cost) and cost > 0 else 1.0


@contextmanager
def task_runner(options: TaskOptions) -> Iterator[TaskRunner]:
    """A `TaskRunner`, its processes ended at the end of the block.

    Parameters
    ----------
    options : TaskOptions

    Yields
    ------
    TaskRunner

    Raises
    ------
    ParameterError
        If the options contradict each other.
    InputError
        If no scheduler answers.
    """
    kept = None if options.keep_in is None else KeptResults(options.keep_in, RECORDS)
    if options.kind == "dask":
        if not options.scheduler:
            raise ParameterError("executor dask needs scheduler, such as tcp://host:8786")
        with dask_executor(options.scheduler) as (executor, lost):
            yield TaskRunner(executor, lost, kept)
        return
    if options.scheduler:
        raise ParameterError(f"scheduler is for executor dask, not for {options.kind}")
    if options.kind == "processes":
        workers = os.cpu_count() or 1 if options.workers is None else options.workers
        limit = options.time_limit
        limit = limit if limit is not None and math.isfinite(limit) else None
        with process_executor(workers, limit) as executor:
            yield TaskRunner(executor, str, kept)
        return
    if options.workers is not None and options.workers > 1:
        raise ParameterError(f"executor serial has one worker, got workers {options.workers}")
    yield TaskRunner(SerialExecutor(), str, kept)
