"""`run_batch`: every galaxy of a list measured, whatever happens to some of them."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.batch.hashing import FileHashes
from galstep.batch.inputs import read_list
from galstep.batch.job import OK, Outcome
from galstep.batch.lock import locked
from galstep.batch.measure import measure
from galstep.batch.parameters import parameters_hash, with_absolute_paths
from galstep.batch.plan import make_plan
from galstep.batch.progress import Progress
from galstep.batch.summary import Summary, read_rows
from galstep.batch.worker_process import WorkerPool, measure_in_new_process
from galstep.exceptions import InputError, ParameterError
from galstep.pipeline.executors import SerialExecutor, dask_executor, thread_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.hints import PathLike

__all__ = ["BatchOptions", "run_batch"]

log = logging.getLogger("stpipe.galstep.batch")

SUMMARY_NAME = "summary.ecsv"


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run.

    Parameters
    ----------
    config_file : path-like, optional
        A parameter file for all galaxies.
    parameters : dict, optional
        Nested parameters for all galaxies, winning over the file.
    workers : int, optional
        Number of worker processes; 0 measures in this process, for debugging.
    scheduler : str, optional
        Address of a Dask scheduler, which takes the place of the workers.
    time_limit : float, optional
        Seconds after which a galaxy is given up.
    resume : bool, optional
        Keep the results of an earlier run that still hold.
    overwrite : bool, optional
        Begin anew although there is a summary.
    """

    config_file: str | None = None
    parameters: dict = field(default_factory=dict)
    workers: int = 1
    scheduler: str | None = None
    time_limit: float | None = None
    resume: bool = False
    overwrite: bool = False

    def check(self) -> None:
        """Raise `ParameterError` if options contradict each other."""
        if self.resume and self.overwrite:
            raise ParameterError("resume and overwrite exclude each other")
        if self.workers < 0:
            raise ParameterError(f"workers must be 0 or more, got {self.workers}")
        if self.time_limit is not None:
            if not self.time_limit > 0:
                raise ParameterError(f"time_limit must be above 0 s, got {self.time_limit}")
            if self.workers == 0 and self.scheduler is None:
                raise ParameterError("time_limit needs worker processes: workers must be 1 or more")


def run_batch(
    sources: Sequence[PathLike],
    folder: PathLike,
    options: BatchOptions | None = None,
    tell: Callable | None = None,
) -> dict[str, dict]:
    """Measure every galaxy of a list.

    Each has a folder of its own in ``folder``, with products and log. The
    summary, ``folder/summary.ecsv``, always has a row for every galaxy of the
    list. It is written as the results come in, so that whatever ends the run
    leaves what was done, and a run with ``resume`` does the rest.

    Parameters
    ----------
    sources : sequence of path-like
        See `galstep.batch.inputs.read_list`.
    folder : path-like
        Made if it does not exist.
    options : BatchOptions, optional
    tell : callable, optional
        Called with a line of text for every galaxy that is done.

    Returns
    -------
    dict of str to dict
        The rows of the summary, by name.

    Raises
    ------
    InputError
        If the list cannot be used, there is an earlier summary and neither
        ``resume`` nor ``overwrite`` is set, or another batch is at work here.
    ParameterError
        If the options contradict each other, or the pipeline refuses the
        parameters for all.
    ParameterFileError
        If the parameter file cannot be used.
    """
    options, tell = options or BatchOptions(), tell or log.info
    options.check()
    entries = read_list(sources)
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        path = folder / SUMMARY_NAME
        parameters = with_absolute_paths(options.parameters, Path.cwd())
        # what is wrong for all is told once, not in every row
        parameters_hash(options.config_file, parameters, FileHashes())
        plan = make_plan(entries, folder, options.config_file, parameters, _earlier(path, options))
        summary, progress = Summary(path, plan.rows), Progress(plan)
        summary.write()
        for line in progress.opening():
            tell(line)
        try:
            with _backend(options, len(plan.jobs)) as backend:
                for job, outcome in _outcomes(plan.jobs, *backend):
                    summary.update(job.name, _row(plan.rows[job.name], outcome))
                    tell(progress.done(job, outcome))
        finally:
            summary.write()
    return summary.rows


def _earlier(path, options):
    """Rows of the run that is resumed; nothing if there is none."""
    if not path.exists() or options.overwrite:
        return {}
    if not options.resume:
        raise InputError(f"{path} is there already: choose between resume and overwrite")
    return read_rows(path)


@contextmanager
def _backend(options, count):
    """Executor, what it is to call with a job, and how many calls it is given at once."""
    with ExitStack() as stack:
        if options.scheduler is not None:
            function = partial(measure_in_new_process, time_limit=options.time_limit)
            # Dask knows how many workers there are, and they may become more
            yield stack.enter_context(dask_executor(options.scheduler)), function, max(count, 1)
        elif options.workers == 0:
            yield SerialExecutor(), measure, 1
        else:
            pool = stack.enter_context(WorkerPool(options.time_limit))
            executor = stack.enter_context(thread_executor(options.workers))
            yield executor, pool.measure, options.workers


def _outcomes(jobs, executor, function, at_once):
    """Jobs with their outcomes, as they come."""
    waiting, running = iter(jobs), {}
    while True:
        for job in waiting:
            running[executor.submit(function, job)] = job
            if len(running) >= at_once:
                break
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), _result(future)


def _result(future):
    """The outcome of a call; a call that has none has failed."""
    try:
        error = future.exception()
    except CancelledError:
        return Outcome.failed("cancelled by the scheduler")
    if error is not None:
        return Outcome.failed(f"{type(error).__name__}: {error}")
    outcome = future.result()
    if outcome.status == OK and outcome.version != __version__:
        return Outcome.failed(f"measured by galstep {outcome.version}, not {__version__}")
    return outcome


def _row(pending, outcome):
    """The row of a galaxy that is done."""
    known = {key: pending[key] for key in ("name", "input", "input_hash", "parameters_hash")}
    return known | {
        "status": outcome.status,
        "reason": outcome.reason,
        "seconds": outcome.seconds,
        "version": __version__,
        **outcome.row,
    }
