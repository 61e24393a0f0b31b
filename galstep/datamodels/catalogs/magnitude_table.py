"""Magnitudes that are given: published ones, or the user's."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["magnitudes_by_filter", "read_magnitudes"]

COLUMNS = ("filter", "mag_ab", "mag_ab_err")


def read_magnitudes(path: PathLike) -> Table:
    """The table of magnitudes in a file that astropy reads (ECSV, CSV, FITS ...).

    Parameters
    ----------
    path : path-like

    Returns
    -------
    `astropy.table.Table`

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column; the message names it.
    """
    path = Path(path)
    check_table_file(path, "magnitudes")
    try:
        table = Table.read(path)
    except (OSError, ValueError, TypeError, LookupError, csv.Error) as error:
        raise InputError(f"magnitudes {path}: the table cannot be read ({error})") from error
    _check_columns(table, f"magnitudes {path}")
    return table


def magnitudes_by_filter(table: Table, galaxy: str) -> dict[str, tuple[float, ...]]:
    """Filter to (magnitude, error) of one galaxy.

    Parameters
    ----------
    table : `astropy.table.Table`
        With the columns ``filter``, ``mag_ab``, ``mag_ab_err``; with ``galaxy`` as
        well if it holds several.
    galaxy : str
        Its name there.

    Returns
    -------
    dict of str to (float, float)

    Raises
    ------
    InputError
        If a column is missing.
    """
    _check_columns(table, "magnitudes")
    rows = table
    if "galaxy" in table.colnames:
        rows = table[np.array(table["galaxy"], dtype=str) == galaxy]
    return {
        str(row["filter"]): tuple(
            float(getattr(row[name], "value", row[name])) for name in COLUMNS[1:]
        )
        for row in rows
    }


def _check_columns(table, what):
    missing = [name for name in COLUMNS if name not in table.colnames]
    if missing:
        raise InputError(f"{what}: the table needs the columns {', '.join(missing)}")
