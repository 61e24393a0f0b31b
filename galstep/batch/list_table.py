"""The galaxies of a table: data and parameters by column, or positions on common images."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from galstep.batch.entry import Entry
from galstep.batch.nested import merged, nested
from galstep.batch.parameters import (
    parameter_path,
    read_value,
    with_absolute_paths,
)
from galstep.batch.positions import read_positions
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["table_entries"]

log = logging.getLogger("stpipe.galstep.batch")

_COLUMNS = ("input", "name")


def table_entries(path: PathLike, images: Sequence[PathLike] = ()) -> list[Entry]:
    """The galaxies of a table; see `galstep.batch.inputs.read_list`.

    Parameters
    ----------
    path : path-like
        ECSV or CSV.
    images : sequence of path-like, optional

    Returns
    -------
    list of Entry
        Without a name where the table gives none.

    Raises
    ------
    InputError
        If the table cannot be read, or does not tell where the galaxies are.
    ParameterError
        If a column is no parameter that a list may set.
    """
    path = Path(path)
    table = _read(path)
    positions = None
    if "input" not in table.colnames:
        if not images:
            raise InputError(
                f"{path}: a column 'input' is needed, or positions and --image; "
                f"the table has {', '.join(table.colnames)}"
            )
        positions = read_positions(path, table)
    elif images:
        raise ParameterError(f"{path}: its column 'input' and --image exclude each other")
    paths = [os.path.abspath(image) for image in images]
    common = paths[0] if len(paths) == 1 else paths
    known = (*_COLUMNS, *(positions.columns if positions else ()))
    places = _places(path, [name for name in table.colnames if name not in known])
    entries = []
    for number, line in enumerate(table):
        cells = {name: _text(line[name]) for name in table.colnames}
        own = _parameters(f"{path}, row {number + 1}", cells, places)
        own = with_absolute_paths(nested(own), path.parent)
        if positions is None:
            if not cells["input"]:
                raise InputError(f"{path}: row {number + 1} has no input")
            where = os.path.abspath(path.parent / os.path.expanduser(cells["input"]))
            entries.append(Entry(cells.get("name", ""), where, own))
        else:
            own = merged(own, positions.parameters(number))
            entries.append(Entry(cells.get("name") or positions.names[number], common, own))
    return entries


def _places(path, names):
    """Column to the place of its parameter."""
    places = {name: parameter_path(name) for name in names}
    unused = [name for name, place in places.items() if place is None]
    if unused:
        log.warning("%s: columns not used: %s", path, ", ".join(unused))
    return {name: place for name, place in places.items() if place is not None}


def _parameters(where, cells, places):
    return {
        place: read_value(f"{where}, {name}", cells[name])
        for name, place in places.items()
        if cells[name]
    }


def _read(path):
    if not path.exists():
        raise InputError(f"{path}: there is no such table")
    check_table_file(path, "list")
    is_csv = path.suffix.lower() == ".csv"
    # text as it is written: a galaxy called 007 keeps its name
    options = {"format": "ascii.csv", "converters": {"*": str}} if is_csv else {}
    try:
        table = Table.read(path, **(options or {"format": "ascii.ecsv"}))
    except (ValueError, OSError, TypeError, LookupError, csv.Error) as error:
        raise InputError(f"{path}: not a table that can be read: {one_line(error)}") from error
    for name in table.colnames:
        if name != name.strip():
            table.rename_column(name, name.strip())
    return table


def _text(cell):
    if np.ma.is_masked(cell) or cell is None:
        return ""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, list | np.ndarray):
        return ", ".join(str(part) for part in cell) + ","
    return str(cell).strip()
