"""`run_batch`: every galaxy of a list measured, whatever happens to some of them."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.batch.inputs import read_list
from galstep.batch.job import OK, Outcome
from galstep.batch.lease import lease
from galstep.batch.lock import locked
from galstep.batch.measure import measure
from galstep.batch.parameters import parameters_hash, with_absolute_paths
from galstep.batch.plan import make_plan
from galstep.batch.progress import Progress
from galstep.batch.summary import Summary, make_summary, read_rows
from galstep.batch.worker_process import (
    WorkerPool,
    check_time_limit,
    measure_in_new_process,
)
from galstep.datamodels.files.atomic import check_writable, remove_unfinished
from galstep.datamodels.files.safe_name import check_text
from galstep.datamodels.files.table_writer import write_table
from galstep.datamodels.input.hashing import FileHashes
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.execution.executors import SerialExecutor, dask_executor, thread_executor
from galstep.report import write_report
from galstep.report.write import PAGE_NAME, files_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from galstep.hints import PathLike

__all__ = ["BatchOptions", "run_batch"]

log = logging.getLogger("stpipe.galstep.batch")

SUMMARY_NAME = "summary.ecsv"
# how often it is looked whether there is anybody who measures (s)
_LOOKED_AFTER = 5.0
# calls that nobody wants any more end when they see that the lease has ended (s)
_UNWANTED_END_WITHIN = 30.0


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run.

    Parameters
    ----------
    config_file : path-like, optional
        A parameter file for all galaxies.
    parameters : dict, optional
        Nested parameters for all galaxies, winning over the file.
    images : sequence of path-like, optional
        The images that the galaxies of a table without the column ``input`` are in.
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
    table_format : str, optional
        ``ecsv``, ``fits`` or ``both``: of the galaxies' tables. With the last two the
        summary is written as ``summary.fits`` as well, at the end.
    report : bool, optional
        Write ``report.html``, the page of all galaxies; see `galstep.report`.
    """

    config_file: str | None = None
    parameters: dict = field(default_factory=dict)
    images: Sequence[PathLike] = ()
    workers: int = 1
    scheduler: str | None = None
    time_limit: float | None = None
    resume: bool = False
    overwrite: bool = False
    table_format: str | None = None
    report: bool = True

    def check(self) -> None:
        """Raise `ParameterError` if options contradict each other."""
        if self.resume and self.overwrite:
            raise ParameterError("resume and overwrite exclude each other")
        if self.workers < 0:
            raise ParameterError(f"workers must be 0 or more, got {self.workers}")
        check_time_limit(self.time_limit)
        if self.time_limit is not None and self.workers == 0 and self.scheduler is None:
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
    leaves what was done, and a run with ``resume`` does the rest. At the end the page
    ``folder/report.html`` shows them all.

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
    entries = read_list(sources, options.images)
    top = _folder(folder)
    with locked(top):
        path = top / SUMMARY_NAME
        parameters = with_absolute_paths(_parameters(options), Path.cwd())
        # what is wrong for all is told once, not in every row
        parameters_hash(options.config_file, parameters, FileHashes())
        plan = make_plan(entries, top, options.config_file, parameters, _earlier(path, options))
        summary, progress = Summary(path, plan.rows), Progress(plan)
        summary.write()
        for line in progress.opening():
            tell(line)
        try:
            for job, outcome in _measured(plan.jobs, top, options):
                summary.update(job.name, _row(plan.rows[job.name], outcome))
                tell(progress.done(job, outcome))
        finally:
            summary.write()
        if options.table_format in ("fits", "both"):
            (file,) = write_table(make_summary(summary.rows.values()), path.with_suffix(""), "fits")
            tell(f"summary as FITS: {file}")
        if options.report:
            _write_report(top, summary.rows, tell)
    return summary.rows


def _parameters(options):
    """Those of all galaxies, the format of their tables among them."""
    if options.table_format is None:
        return options.parameters
    return options.parameters | {"table_format": options.table_format}


def _write_report(folder, rows, tell):
    """The page; the results are there without it, so that it cannot fail the batch."""
    try:
        tell(f"report: {write_report(folder, rows=rows, tell=tell)}")
    except GalstepError as error:
        tell(f"no report: {error}")


def _folder(folder):
    """The batch's folder, made, tidied, and known to be writable."""
    folder = Path(folder).absolute()
    check_text(folder, "output folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalstepError(
            f"output folder {str(folder)!r} cannot be made: {error.strerror}"
        ) from error
    remove_unfinished(folder)
    check_writable(folder)
    return folder


def _measured(jobs, folder, options):
    """Jobs with their outcomes, as they come; none is measured any more at the end."""
    running = {}
    with _backend(options, len(jobs)) as backend:
        try:
            # a lease that an earlier run has left ends here
            with lease(folder) as name:
                if options.report:
                    kept = str(files_beside(folder / PAGE_NAME))
                    jobs = [replace(job, report=kept) for job in jobs]
                if options.scheduler is not None:
                    # workers elsewhere do not end with this process
                    jobs = [replace(job, lease=str(name)) for job in jobs]
                yield from _outcomes(jobs, backend, running)
        finally:
            wait(running, timeout=_UNWANTED_END_WITHIN)


def _earlier(path, options):
    """Rows of the run that is resumed; nothing if there is none."""
    if not path.exists() or options.overwrite:
        return {}
    if not options.resume:
        raise InputError(f"{path} is there already: choose between resume and overwrite")
    return read_rows(path)


@dataclass
class _Backend:
    """Who measures: an executor, what it is to call, how many calls it is given at once.

    ``lost`` tells why no call will end any more, "" as long as some will.
    """

    executor: Executor
    function: Callable
    at_once: int
    lost: Callable = str


@contextmanager
def _backend(options, count):
    with ExitStack() as stack:
        if options.scheduler is not None:
            function = partial(measure_in_new_process, time_limit=options.time_limit)
            executor, lost = stack.enter_context(dask_executor(options.scheduler))
            # Dask knows how many workers there are, and they may become more
            yield _Backend(executor, function, max(count, 1), lost)
        elif options.workers == 0:
            yield _Backend(SerialExecutor(), measure, 1)
        else:
            # threads first: what has not begun is dropped, then the processes are ended
            pool = stack.enter_context(WorkerPool(options.time_limit))
            executor = stack.enter_context(thread_executor(options.workers))
            yield _Backend(executor, pool.measure, options.workers)


def _outcomes(jobs, backend, running):
    """Jobs with their outcomes, as they come; ``running`` holds the calls that are not done."""
    waiting = iter(jobs)
    while True:
        # not one too many: what is taken from `waiting` is submitted
        for job in islice(waiting, backend.at_once - len(running)):
            running[backend.executor.submit(backend.function, job)] = job
        if not running:
            return
        done = wait(running, timeout=_LOOKED_AFTER, return_when=FIRST_COMPLETED).done
        for future in done:
            yield running.pop(future), _result(future)
        reason = "" if done else backend.lost()
        if reason:
            left = [*running.values(), *waiting]
            running.clear()
            for job in left:
                yield job, Outcome.failed(reason)
            return


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
