"""Which galaxies of a list have to be measured, and with what."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.batch.job import FAILED, OK, Job
from galstep.batch.parameters import parameters_hash, parameters_in
from galstep.batch.summary import pending_row
from galstep.batch.words import split_words
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.input.hashing import FileHashes, text_hash
from galstep.datamodels.input.open import files_read
from galstep.exceptions import GalstepError

if TYPE_CHECKING:
    from galstep.batch.entry import Entry
    from galstep.hints import PathLike

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What a batch is to do.

    Parameters
    ----------
    jobs : list of Job
        What has to be measured, the largest first.
    rows : dict of str to dict
        A row for every galaxy of the list, in its order: results that still
        hold, failures known already, and ``pending`` for the jobs.
    weights : dict of str to int
        Size of each job's data (bytes).
    """

    jobs: list
    rows: dict
    weights: dict


def make_plan(
    entries: list[Entry],
    folder: PathLike,
    config_file: PathLike | None = None,
    parameters: dict | None = None,
    earlier: dict[str, dict] | None = None,
) -> Plan:
    """Compare a list with what an earlier run has left.

    A result holds if the galaxy was measured by this version of galstep with
    the same data and parameters, and its product is still there.

    Parameters
    ----------
    entries : list of Entry
    folder : path-like
        The galaxies' folders are made in it.
    config_file : path-like, optional
        A parameter file for all.
    parameters : dict, optional
        Nested parameters for all; an entry's own in the list win over them, both over
        the file, and that over the parameter file that an entry may be.
    earlier : dict of str to dict, optional
        Rows of an earlier run.

    Returns
    -------
    Plan
    """
    hashes, known = FileHashes(), {}
    jobs, rows, weights = [], {}, {}
    config = parameters_in(config_file)
    for entry in entries:
        own = entry.parameters_with(parameters or {}, config)
        row = pending_row(entry.name, entry.source)
        rows[entry.name] = row
        job = Job(
            entry.name,
            entry.input,
            str(Path(folder) / entry.name),
            os.path.abspath(config_file) if config_file else None,
            own,
        )
        if entry.problem:
            row |= {"status": FAILED, "reason": one_line(entry.problem, 1000)}
            continue
        try:
            row["input_hash"] = _hash_of_data(entry.paths, hashes)
            # most galaxies share their parameters, and checking them takes a while
            text = json.dumps(own, sort_keys=True, default=str)
            if text not in known:
                known[text] = parameters_hash(config_file, own, hashes)
            row["parameters_hash"] = known[text]
        except GalstepError as error:
            row |= {"status": FAILED, "reason": one_line(error, 1000)}
            continue
        before = (earlier or {}).get(entry.name)
        if before is not None and _holds(before, row, job):
            rows[entry.name] = before
            continue
        jobs.append(job)
        files = [file for path in entry.paths for file in files_read(path)]
        weights[job.name] = sum(os.path.getsize(file) for file in files)
    jobs.sort(key=lambda job: -weights[job.name])
    return Plan(jobs, rows, weights)


def _hash_of_data(paths, hashes):
    """The hash of the content of a galaxy's data."""
    return hashes(paths[0]) if len(paths) == 1 else text_hash([hashes(path) for path in paths])


def _holds(before, now, job):
    """Whether the earlier row is still that of the galaxy."""
    is_same = all(before.get(key) == now[key] for key in ("input_hash", "parameters_hash"))
    was_measured = before.get("status") == OK and before.get("version") == __version__
    products = split_words(before.get("products", ""))
    return (
        is_same
        and was_measured
        and bool(products)
        and all((Path(job.folder) / product).is_file() for product in products)
    )
