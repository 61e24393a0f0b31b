"""A user's catalogue as a table, and its columns as numbers: NaN for what a row lacks."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.datamodels.catalogs.angles import degrees_of_text
from galstep.datamodels.catalogs.region_files import is_region_file, region_table
from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astropy.table import QTable

__all__ = ["angles", "found_column", "needed_column", "numbers", "open_table"]

_FORMATS = {"ecsv": "ascii.ecsv", "csv": "ascii.csv"}
# what astropy's readers raise on what is no table
_UNREADABLE = (ValueError, OSError, TypeError, LookupError, AttributeError, csv.Error)


def open_table(
    source: Any, what: str, table_format: str | None = None, as_text: tuple[str, ...] = ()
) -> QTable:
    """The table in a file or an object.

    Parameters
    ----------
    source : path-like, `astropy.table.Table`, structured array, mapping, or the like
        Anything that astropy reads as a table, or makes one of.
    what : str
        What messages call it.
    table_format : str, optional
        A name that astropy knows; by default told from the file.
    as_text : tuple of str, optional
        Columns of a text file, in any case of letters, that are text whatever they look
        like: the id 00019 is no number.

    Returns
    -------
    `astropy.table.QTable`

    Raises
    ------
    InputError
        If there is no such file, or no table in it.
    """
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable, Table

    if isinstance(source, str | os.PathLike):
        if is_region_file(source):
            return region_table(source, what)
        return _read(Path(source), what, table_format, as_text)
    if isinstance(source, SkyCoord):
        source = {"sky": source.ravel()}
    is_table = isinstance(source, Table | Mapping) or hasattr(source, "columns")
    if not is_table and getattr(getattr(source, "dtype", None), "names", None) is None:
        raise InputError(
            f"{what} must be a file, a table with named columns or a SkyCoord, "
            f"got {type(source).__name__}"
        )
    try:
        if hasattr(source, "iloc") and not isinstance(source, Table):  # a DataFrame of pandas
            source = Table.from_pandas(source)
        return QTable(source)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what}: cannot be read as a table ({_first(error)})") from error


def _read(path, what, table_format, as_text=()):
    from astropy.io.registry import IORegistryError
    from astropy.table import QTable

    check_table_file(path, what)
    chosen, options = _FORMATS.get(str(table_format), table_format), {}
    if as_text and chosen in (None, "ascii.csv") and path.suffix.lower() == ".csv":
        # formats with types of their own need no help
        chosen, options = "ascii.csv", {"converters": _texts(path, as_text)}
    try:
        return QTable.read(path, format=chosen, **options)
    except IORegistryError:
        text = "unknown format"
    except _UNREADABLE as error:
        text = _first(error)
    refused = InputError(f"{what} {path}: cannot be read as a table ({text})")
    if table_format is not None or b"\0" in path.read_bytes()[:4096]:
        raise refused
    try:  # an extension that says nothing: text with columns, as most such files are
        return QTable.read(path, format="ascii")
    except _UNREADABLE:
        raise refused from None


def _texts(path, names):
    """For astropy's reader: the columns, as the first line spells them, that are text."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        line = next((line for line in stream if line.strip() and line[0] != "#"), "")
    spelled = [name.strip().strip("\"'") for name in line.strip().split(",")]
    wanted = {name.lower() for name in names}
    return {name: str for name in spelled if name.lower() in wanted}


def _first(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def found_column(table: QTable, names: Iterable[str]) -> str | None:
    """The table's own spelling of the first of these names that it has, in any case."""
    by_lower = {name.lower(): name for name in reversed(table.colnames)}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


def needed_column(table: QTable, names: Iterable[str], what: str, where: str) -> str:
    """`found_column`, or an `InputError` that lists what there is."""
    names = tuple(names)
    found = found_column(table, names)
    if found is None:
        raise InputError(
            f"{where}: a column {names[0]!r} is needed ({what}), it has {', '.join(table.colnames)}"
        )
    return found


def numbers(table: QTable, name: str, where: str, *units: Any) -> np.ndarray:
    """A column as plain numbers.

    Parameters
    ----------
    table : `astropy.table.QTable`
    name : str
    where : str
        What messages call the table.
    *units : units, optional
        What a column with a unit is converted to: the first that it can be. Without
        any, its unit does not count.

    Returns
    -------
    (n,) float array
        NaN where masked or not a number.

    Raises
    ------
    InputError
        If it holds no numbers, not one a row, or of another unit.
    """
    column = table[name]
    unit = getattr(column, "unit", None)
    factor = 1.0
    if unit is not None and units and unit != u.one:
        factor = _factor(unit, units, name, where)
    values = getattr(column, "unmasked", column)
    mask = np.ma.getmaskarray(column) if values is column else np.asarray(column.mask)
    values = getattr(values, "value", values)
    if np.iscomplexobj(values):
        raise InputError(f"{where}: column {name!r} must hold numbers (got complex ones)")
    try:
        values = np.array(np.ma.getdata(values), dtype=float) * factor
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: column {name!r} must hold numbers ({error})") from error
    if values.ndim != 1:
        raise InputError(f"{where}: column {name!r} must hold one number a row")
    values[mask] = np.nan
    return values


def _factor(unit, units, name, where):
    for wanted in units:
        try:
            return float(unit.to(wanted))
        except (u.UnitConversionError, TypeError):
            continue
    raise InputError(
        f"{where}: column {name!r} must be in {' or '.join(str(v) or 'no unit' for v in units)}, "
        f"got {unit}"
    )


def angles(table: QTable, name: str, hours: bool, where: str) -> np.ndarray:
    """Degrees of a column of angles.

    Parameters
    ----------
    table : `astropy.table.QTable`
    name : str
    hours : bool
        Whether sexagesimal text without a unit is in hours.
    where : str
        What messages call the table.

    Returns
    -------
    (n,) array
        Numbers without a unit are degrees; NaN where masked or empty.

    Raises
    ------
    InputError
        If they are no angles.
    """
    column = table[name]
    kind = np.asarray(np.ma.getdata(column)).dtype.kind
    if kind not in "USO":
        return numbers(table, name, where, u.deg)
    mask = np.ma.getmaskarray(column)
    values = np.full(len(column), np.nan)
    try:
        for i, text in enumerate(np.asarray(np.ma.getdata(column)).tolist()):
            if not mask[i]:
                values[i] = degrees_of_text(text, hours)
    except (ValueError, TypeError, u.UnitsError) as error:
        text = _first(error)
        raise InputError(f"{where}: column {name!r} must hold angles ({text})") from error
    return values
