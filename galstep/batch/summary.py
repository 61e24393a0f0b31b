"""The summary: a row for every galaxy of the list, kept on disk as the batch goes on."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import MaskedColumn, Table

from galstep import __version__
from galstep.batch.job import PENDING
from galstep.batch.row import FILTER_COLUMNS, SHAPE_COLUMNS, column_unit
from galstep.batch.words import split_words
from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.hints import PathLike

__all__ = ["HEAD_COLUMNS", "Summary", "make_summary", "pending_row", "read_rows"]

#: What is known of a galaxy before it is measured, and how it went.
HEAD_COLUMNS = {
    "name": "name of the galaxy, of its folder and its products",
    "status": "ok, failed or pending",
    "reason": "why it failed",
    "input": "the data",
    "input_hash": "hash of the content of the data",
    "parameters_hash": "hash of all parameters, of the PSFs and of replaced step classes",
    "version": "galstep that measured",
    "seconds": "time of the measurement",
    "filters": "filters of the galaxy; a blank in a name is %20",
    "base_filter": "filter that gave the shape",
    "fit_step": "step that made the last fit",
    "flux_unit": "unit of the fluxes of this galaxy",
    "products": "files in the folder of the galaxy; a blank in a name is %20",
}
_UNITS = {"seconds": "s"}


class Summary:
    """The rows of a batch and the file that holds them.

    Parameters
    ----------
    path : path-like
        The ECSV file, written whole or not at all.
    rows : dict of str to dict
        Name of the galaxy to its row, in the order of the list.
    """

    # writing takes this share of the time at most
    _SHARE = 0.1

    def __init__(self, path: PathLike, rows: dict[str, dict]) -> None:
        self.path = Path(path)
        self.rows = rows
        self._next = 0.0
        self._is_written = False

    def update(self, name: str, row: dict) -> None:
        """Take a galaxy's row; write, unless that was done just now."""
        self.rows[name] = row
        self._is_written = False
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write what is not written yet."""
        if self._is_written:
            return
        started = time.monotonic()
        with replacing(self.path) as temporary:
            make_summary(self.rows.values()).write(temporary, format="ascii.ecsv")
        self._is_written = True
        self._next = time.monotonic() + (time.monotonic() - started) / self._SHARE


def make_summary(rows: Iterable[dict]) -> Table:
    """The table of these rows.

    Parameters
    ----------
    rows : iterable of dict
        Column to value; what a row does not have is masked.

    Returns
    -------
    `astropy.table.Table`
        `HEAD_COLUMNS`, the shape, then one block per filter. Fluxes have a
        unit if it is the same for all galaxies; otherwise see ``flux_unit``.
    """
    rows = list(rows)
    units = {row["flux_unit"] for row in rows if row.get("flux_unit")}
    flux = units.pop() if len(units) == 1 else None
    table = Table(meta={"galstep_version": __version__})
    for name in _column_names(rows):
        column = _column(name, [row.get(name) for row in rows])
        is_flux = name.startswith(("flux_", "aper_flux_")) and name not in HEAD_COLUMNS
        column.unit = flux if is_flux else _UNITS.get(name, column_unit(name))
        column.description = HEAD_COLUMNS.get(name)
        table[name] = column
    return table


def _column_names(rows):
    filters = dict.fromkeys(f for row in rows for f in split_words(row.get("filters") or ""))
    shape = SHAPE_COLUMNS if filters else ()
    return [*HEAD_COLUMNS, *shape, *(f"{name}_{f}" for f in filters for name in FILTER_COLUMNS)]


def _column(name, values):
    missing = [value is None for value in values]
    known = [value for value in values if value is not None]
    if known and not any(isinstance(value, str) for value in known):
        fill = 0 if all(isinstance(value, int) for value in known) else np.nan
    elif name == "seconds" or (not known and name not in HEAD_COLUMNS):
        fill = np.nan
    else:
        fill = ""
    data = np.array([fill if value is None else value for value in values])
    return MaskedColumn(data, name=name, mask=missing if fill != "" else None)


def read_rows(path: PathLike) -> dict[str, dict]:
    """The rows of a summary, by name.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to dict
        Without what is masked; values as `make_summary` takes them.

    Raises
    ------
    InputError
        If the file is no summary.
    """
    check_table_file(path, "summary")
    try:
        table = Table.read(path, format="ascii.ecsv")
    except (ValueError, OSError, TypeError, LookupError, csv.Error) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"summary {path}: cannot be read: {reason}") from error
    lacking = [name for name in HEAD_COLUMNS if name not in table.colnames]
    if lacking:
        raise InputError(f"summary {path}: no column {', '.join(lacking)}: not a summary")
    rows = {}
    for line in table:
        row = {name: _python(line[name], table[name].dtype.kind) for name in table.colnames}
        rows[row["name"]] = {name: value for name, value in row.items() if value is not None}
    return rows


def _python(cell, kind):
    """A cell as Python has it; None for a number that is masked."""
    if np.ma.is_masked(cell):
        # ECSV cannot tell an empty text from none
        return "" if kind in "SUO" else None
    return cell.item() if isinstance(cell, np.generic) else str(cell)


def pending_row(name: str, input_path: str) -> dict:
    """The row of a galaxy that has not been measured yet."""
    return {"name": name, "status": PENDING, "reason": "", "input": input_path}
