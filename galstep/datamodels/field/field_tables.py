"""The table of a field: `galstep.datamodels.tables.columns.FIELD` filled with numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from galstep import __version__
from galstep.datamodels.field.field_catalog import PRODUCT_KEY
from galstep.datamodels.tables.columns import FIELD, FIELD_BAND, FIELD_SINGLE, Column
from galstep.flags import UNRELIABLE, FieldFlag, decode

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["columns_of", "empty_catalog", "field_table", "say_reliable"]

_DEFAULTS: dict[type, Any] = {str: "", int: 0, bool: False, float: np.nan}
_NONE = {"row": -1, "block": -1}


def columns_of(bands: Sequence[str], single: bool = False) -> Iterator[Column]:
    """The columns of a field with these bands, in order.

    Parameters
    ----------
    bands : sequence of str
    single : bool, optional
        Whether each band was fitted alone and has shapes of its own.
    """
    yield from FIELD
    for band in bands:
        for column in (*FIELD_BAND, *(FIELD_SINGLE if single else ())):
            yield replace(column, name=column.name.format(band=band))


def field_table(
    values: Mapping[str, Any], size: int, bands: Sequence[str], single: bool = False
) -> QTable:
    """A table of all columns.

    Parameters
    ----------
    values : mapping of str to (n,) array
        By name of the column, in its unit; what is not given is NaN, 0 or empty.
    size : int
    bands : sequence of str
    single : bool, optional
        See `columns_of`.

    Returns
    -------
    `astropy.table.QTable`
    """
    table = QTable(meta={PRODUCT_KEY: f"field {__version__}"})
    for column in columns_of(bands, single):
        default = _NONE.get(column.name, _DEFAULTS[column.dtype])
        own = np.asarray(values.get(column.name, np.full(size, default)))
        own = own.astype(_dtype(column, own))
        table[column.name] = own if column.unit is None else own * u.Unit(column.unit or u.one)
        table[column.name].info.description = column.text.replace("{band}", "the band")
    return table


def _dtype(column, values):
    if column.dtype is not str:
        return column.dtype
    # no column of FITS is of no width
    text = values.astype(str)
    return f"<U{max(1, text.dtype.itemsize // 4)}"


def empty_catalog(start: Table, bands: Sequence[str]) -> QTable:
    """The table before anything was measured.

    Parameters
    ----------
    start : `astropy.table.Table`
        See `galstep.datamodels.field.field_catalog.empty_start`.
    bands : sequence of str
    """
    values = {name: start[name] for name in ("id", "row", "flags", "reference_id")}
    values |= {"x_input": start["x"], "y_input": start["y"], "type_input": start["type"]}
    table = field_table(values, len(start), bands)
    say_reliable(table, start["reason"])
    return table


def say_reliable(table: QTable, reasons: Sequence[str]) -> None:
    """Fill in ``reliable`` and ``issues`` from the flags, in place.

    Parameters
    ----------
    table : `astropy.table.QTable`
    reasons : sequence of str
        What is to be said of a row beside its flags; "" for nothing.
    """
    flags = np.asarray(table["flags"])
    fluxes = [np.asarray(table[name].value) for name in table.colnames if _is_flux(name)]
    measured = np.isfinite(np.array(fluxes)).any(axis=0) if fluxes else np.zeros(len(table), bool)
    table["reliable"] = (flags & int(UNRELIABLE) == 0) & measured
    issues = [_words(int(bits), str(text)) for bits, text in zip(flags, reasons, strict=True)]
    description = table["issues"].info.description
    table["issues"] = np.array(issues, dtype=str) if issues else np.zeros(0, "U1")
    table["issues"].info.description = description


def _is_flux(name):
    return name.startswith("flux_") and not name.endswith("_err")


def _words(bits, reason):
    words = [name.replace("_", " ") for name in decode(bits & int(UNRELIABLE), FieldFlag)]
    return "; ".join([", ".join(words)] * bool(words) + [reason] * bool(reason))
