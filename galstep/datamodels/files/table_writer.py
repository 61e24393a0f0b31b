"""A table as files: ECSV, FITS, or both."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.safe_name import header_text
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["TABLE_FORMATS", "fits_hdus", "table_endings", "write_table"]

log = logging.getLogger(__name__)

#: What ``table_format`` may be, and the files that it makes.
TABLE_FORMATS = {"ecsv": (".ecsv",), "fits": (".fits",), "both": (".ecsv", ".fits")}


def table_endings(table_format: str) -> tuple[str, ...]:
    """The extensions that a ``table_format`` stands for.

    Parameters
    ----------
    table_format : str

    Returns
    -------
    tuple of str

    Raises
    ------
    ParameterError
        If it is none of `TABLE_FORMATS`.
    """
    if table_format not in TABLE_FORMATS:
        raise ParameterError(
            f"table_format must be one of {', '.join(TABLE_FORMATS)}, got {table_format!r}"
        )
    return TABLE_FORMATS[table_format]


def write_table(table: Table, stem: PathLike, table_format: str = "ecsv") -> list[str]:
    """Write a table; every file whole or not at all.

    Parameters
    ----------
    table : `astropy.table.Table`
    stem : path-like
        The file without its extension.
    table_format : str, optional
        One of `TABLE_FORMATS`.

    Returns
    -------
    list of str
        The files.
    """
    written = []
    for ending in table_endings(table_format):
        path = Path(f"{stem}{ending}")
        with replacing(path) as temporary:
            if ending == ".fits":
                fits_hdus(table).writeto(temporary)
            else:
                table.write(temporary, format="ascii.ecsv")
        written.append(str(path))
    return written


def fits_hdus(table: Table) -> Any:
    r"""A table as the HDUs of a FITS file.

    Units stand in ``TUNITn``, texts of columns in ``TCOMMn``, what the table says of
    itself in keywords (plain values) and HISTORY (the rest). FITS knows text in ASCII
    only: other characters are written as ``\u03b1``.

    Parameters
    ----------
    table : `astropy.table.Table`

    Returns
    -------
    `astropy.io.fits.HDUList`
    """
    from astropy.io import fits

    plain = Table()
    for name in table.colnames:
        plain[header_text(name)] = _fits_column(table[name])
    with warnings.catch_warnings():
        # a unit that FITS does not know is written as astropy spells it
        warnings.simplefilter("ignore", u.UnitsWarning)
        hdu = fits.table_to_hdu(plain)
    for number, name in enumerate(table.colnames, start=1):
        text = table[name].info.description
        if text:
            hdu.header[f"TCOMM{number}"] = header_text(text)
    for key, value in table.meta.items():
        for line in _meta_lines(key, value):
            hdu.header.add_history(line)
    return fits.HDUList([fits.PrimaryHDU(), hdu])


def _fits_column(column):
    unit = getattr(column, "unit", None)
    values = getattr(column, "value", column)
    if np.asarray(np.ma.getdata(values)).dtype.kind in "UO":
        texts = np.ma.filled(np.ma.asarray(values), "") if hasattr(values, "mask") else values
        values = np.array([header_text(text) for text in texts], dtype=str)
    return Column(values, unit=unit) if not hasattr(values, "mask") else values


def _meta_lines(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, own in value.items():
            yield from _meta_lines(f"{key}/{name}", own)
    elif isinstance(value, list | tuple):
        for own in value:
            yield from _meta_lines(key, own)
    else:
        yield f"{key}: {header_text(value)}"
