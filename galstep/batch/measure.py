"""One galaxy measured, in whichever process this is called."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.batch.job import OK, Outcome
from galstep.batch.row import result_row
from galstep.exceptions import GalstepError
from galstep.pipeline import GalPipeline

if TYPE_CHECKING:
    from galstep.batch.job import Job

__all__ = ["measure"]

log = logging.getLogger("stpipe.galstep.batch")


def measure(job: Job) -> Outcome:
    """Run the pipeline on one galaxy; its products and its log go to its folder.

    Parameters
    ----------
    job : Job

    Returns
    -------
    Outcome
        A failure of the measurement is an outcome, not an exception.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder)
    started, before = time.perf_counter(), _files(folder)
    with _logged(folder / f"{job.name}.log"):
        outcome = _outcome(job)
    products = sorted(name for name, key in _files(folder).items() if before.get(name) != key)
    row = outcome.row and outcome.row | {"products": " ".join(products)}
    return replace(outcome, seconds=time.perf_counter() - started, version=__version__, row=row)


def _outcome(job):
    try:
        model = GalPipeline.call(
            job.input,
            **({"config_file": job.config_file} if job.config_file else {}),
            **job.parameters,
            output_dir=job.folder,
            output_file=str(Path(job.folder) / job.name),
            save_results=True,
            configure_log=False,
        )
        return Outcome(OK, row=result_row(model))
    except GalstepError as error:
        log.error("%s: %s", job.name, error)
        return Outcome.failed(error)
    # a defect met by one galaxy is told in its row and its log; the others are still measured
    except Exception as error:
        log.exception("%s: this should not happen", job.name)
        return Outcome.failed(f"{type(error).__name__}: {error}")


def _files(folder):
    """Products by name, with what changes when one is written."""
    paths = [path for path in folder.iterdir() if path.suffix != ".log"]
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


def _remove_unfinished(folder):
    """What a run left that was killed while it wrote; see `galstep.datamodels.atomic`."""
    for path in folder.glob(".*.part*"):
        path.unlink(missing_ok=True)


@contextmanager
def _logged(path):
    """The log of galstep and stpipe, and all warnings, to a file for the time being."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in GalPipeline.get_stpipe_loggers()]
    levels = [logger.level for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        logging.captureWarnings(False)
        handler.close()
