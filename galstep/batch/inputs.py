"""The list of galaxies: a table, a pattern, or the files themselves."""

from __future__ import annotations

import glob
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from galstep.batch.parameters import nested, parameter_path, read_value, with_absolute_paths
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["Entry", "read_list"]

log = logging.getLogger("stpipe.galstep.batch")

TABLE_EXTENSIONS = (".ecsv", ".csv")
_COLUMNS = ("input", "name")
# what such a file is usually called is no part of the galaxy's name
_DATA_EXTENSIONS = (".h5", ".hdf5", ".fits", ".fit", ".asdf", ".gz")


@dataclass(frozen=True)
class Entry:
    """One galaxy of the list.

    Parameters
    ----------
    name : str
        A plain file name; unique in the list.
    input : str
        Absolute path of the data.
    parameters : dict, optional
        Its own parameters, nested.
    """

    name: str
    input: str
    parameters: dict = field(default_factory=dict)


def read_list(sources: Sequence[PathLike]) -> list[Entry]:
    """The galaxies that a user has named.

    Parameters
    ----------
    sources : sequence of path-like
        Data files, patterns (``"data/g*.h5"``) and tables (``.ecsv``, ``.csv``).
        A table has the column ``input`` and may have ``name`` (by default the
        file name without extension), columns of parameters (``basefit.th_min``,
        ``psf_file``), and others, which are not used. Empty cells count as not
        given; relative paths are relative to the table.

    Returns
    -------
    list of Entry

    Raises
    ------
    InputError
        If a source is not there or names nothing, or a name is not plain or
        stands twice.
    ParameterError
        If a column ``x.y`` is not a parameter of a step.
    """
    entries = []
    for source in sources:
        source = os.fspath(source)
        if source.lower().endswith(TABLE_EXTENSIONS):
            entries += _from_table(Path(source))
        else:
            entries += [Entry(_stem(path), os.path.abspath(path)) for path in _files(source)]
    _check_names(entries)
    return entries


def _files(source):
    if os.path.exists(source):
        return [source]
    found = sorted(glob.glob(source))
    if not found:
        is_pattern = glob.has_magic(source)
        raise InputError(f"{source!r}: no file {'matches' if is_pattern else 'of this name'}")
    return found


def _stem(path):
    name = Path(path).name
    while Path(name).suffix.lower() in _DATA_EXTENSIONS and Path(name).stem:
        name = Path(name).stem
    return name.removesuffix("_gal")


def _from_table(path):
    table = _read(path)
    if "input" not in table.colnames:
        raise InputError(
            f"{path}: a column 'input' is needed; the table has {', '.join(table.colnames)}"
        )
    places = {name: parameter_path(name) for name in table.colnames if name not in _COLUMNS}
    unused = [name for name, place in places.items() if place is None]
    if unused:
        log.warning("%s: columns not used: %s", path, ", ".join(unused))
    entries = []
    for number, line in enumerate(table, 1):
        cells = {name: _text(line[name]) for name in table.colnames}
        if not cells["input"]:
            raise InputError(f"{path}: row {number} has no input")
        values = {
            place: read_value(f"{path}, row {number}, {name}", cells[name])
            for name, place in places.items()
            if place is not None and cells[name]
        }
        where = os.path.abspath(path.parent / os.path.expanduser(cells["input"]))
        parameters = with_absolute_paths(nested(values), path.parent)
        entries.append(Entry(cells.get("name") or _stem(where), where, parameters))
    return entries


def _read(path):
    if not path.is_file():
        raise InputError(f"{path}: there is no such table")
    is_csv = path.suffix.lower() == ".csv"
    # text as it is written: a galaxy called 007 keeps its name
    options = {"format": "ascii.csv", "converters": {"*": str}} if is_csv else {}
    try:
        return Table.read(path, **(options or {"format": "ascii.ecsv"}))
    except (ValueError, OSError, TypeError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a table that can be read: {reason}") from error


def _text(cell):
    if np.ma.is_masked(cell) or cell is None:
        return ""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, list | np.ndarray):
        return ", ".join(str(part) for part in cell) + ","
    return str(cell).strip()


def _check_names(entries):
    if not entries:
        raise InputError("no galaxy is named")
    first = {}
    for entry in entries:
        if not entry.name or Path(entry.name).name != entry.name or entry.name.startswith("."):
            raise InputError(f"name must be a plain file name, got {entry.name!r}")
        if entry.name in first:
            raise InputError(
                f"two galaxies are called {entry.name!r}: {first[entry.name]} and {entry.input}; "
                "give a table with a column 'name'"
            )
        first[entry.name] = entry.input
