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
from galstep.batch.parameters import make_pipeline
from galstep.batch.row import result_row
from galstep.batch.words import join_words
from galstep.datamodels.files.atomic import check_writable, remove_unfinished
from galstep.exceptions import GalstepError
from galstep.pipeline import GalPipeline
from galstep.pipeline.summary import result_in_words
from galstep.report import keep_card
from galstep.report.products import find_products

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
    folder, started = Path(job.folder), time.perf_counter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder)
        check_writable(folder)
        before = _files(folder)
        with _logged(folder / f"{job.name}.log"):
            outcome = _outcome(job)
        products = sorted(name for name, key in _files(folder).items() if before.get(name) != key)
    except GalstepError as error:
        return Outcome.failed(error)
    except OSError as error:
        return Outcome.failed(f"folder {folder}: cannot be written to ({error.strerror})")
    row = outcome.row and outcome.row | {"products": join_words(products)}
    return replace(outcome, seconds=time.perf_counter() - started, version=__version__, row=row)


def _outcome(job):
    try:
        # not GalPipeline.call: of a first argument it reads parameters, and data are data here
        pipeline = make_pipeline(job.config_file, job.parameters)
        pipeline.output_dir = job.folder
        # stpipe takes the suffix off before it adds it, and an extension
        pipeline.output_file = str(Path(job.folder) / f"{job.name}_gal.asdf")
        pipeline.save_results = True
        # what a galaxy's folder holds is the batch's: --resume and --overwrite decide about it
        pipeline.overwrite = True
        model = pipeline.run(job.input)
        _keep_card(job, model)
        return Outcome(OK, row=result_row(model), said=result_in_words(model))
    except GalstepError as error:
        log.error("%s: %s", job.name, error)
        return Outcome.failed(error)
    # a defect met by one galaxy is told in its row and its log; the others are still measured
    except Exception as error:
        log.exception("%s: this should not happen", job.name)
        return Outcome.failed(f"{type(error).__name__}: {error}")


def _keep_card(job, model):
    """Keep what the page of the batch shows, while the model is in memory."""
    if job.report is None:
        return
    product = next((p for p in find_products(Path(job.folder)) if p.name == job.name), None)
    if product is None:
        return
    try:
        keep_card(model, replace(product, folder=job.name), Path(job.report))
    # the galaxy is measured and saved; its row of the page is made again from the product
    except Exception:
        log.exception("%s: its row of the report could not be made", job.name)


def _files(folder):
    """Products by name, with what changes when one is written."""
    paths = [path for path in folder.iterdir() if path.suffix != ".log"]
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


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
