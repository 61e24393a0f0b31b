"""Positions of galaxies on common images, from a table without a column of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.datamodels.files.safe_name import safe_name
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.table import Table

    from galstep.hints import PathLike

__all__ = ["Positions", "read_positions"]

# columns that name a source in the usual catalogues, in any case of letters
_IDS = ("name", "id", "source_id", "objid", "label", "number", "star_id", "catalog_id")


@dataclass(frozen=True, eq=False)
class Positions:
    """Names and positions, row by row.

    Parameters
    ----------
    names : list of str
        Plain file names.
    ra, dec : (n,) arrays
        Degrees, ICRS.
    columns : tuple of str
        The columns that they were taken from.
    """

    names: list
    ra: np.ndarray
    dec: np.ndarray
    columns: tuple[str, ...]

    def parameters(self, row: int) -> dict:
        """The position of a row as nested parameters."""
        place = {"ra": repr(float(self.ra[row])), "dec": repr(float(self.dec[row]))}
        return {"steps": {"loadcrop": place}}


def read_positions(path: PathLike, table: Table) -> Positions:
    """Positions on the sky of a table, by the usual names of columns and with their units.

    Parameters
    ----------
    path : path-like
    table : `astropy.table.Table`
        What is in the file; its columns of names are used.

    Returns
    -------
    Positions
        A galaxy without a name is called after its position: ``J100021.45+021342.1``.

    Raises
    ------
    InputError
        If there are no such columns, or a row has no position.
    """
    catalog = read_position_catalog(path)
    if not catalog.on_sky:
        raise InputError(
            f"{path}: without a column 'input' the positions must be right ascension and "
            f"declination, got {catalog.columns}"
        )
    known = np.isfinite(catalog.first) & np.isfinite(catalog.second)
    bad = np.flatnonzero(~known | (np.abs(catalog.second) > 90))
    if len(bad):
        raise InputError(f"{path}: row {bad[0] + 1} has no position on the sky")
    columns = tuple(catalog.columns.removeprefix("sky ").split(", "))
    ids = [name for name in table.colnames if name.lower() in _IDS]
    ra = np.mod(catalog.first, 360.0)
    names = _after_ids(table, ids[0]) if ids else _after_places(ra, catalog.second)
    return Positions(names, ra, catalog.second, (*columns, *ids[:1]))


def _after_ids(table, name):
    values = np.ma.filled(np.ma.asarray(table[name]).astype(str), "")
    return [safe_name(str(value).strip()) if str(value).strip() else "" for value in values]


def _after_places(ra, dec):
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    east = sky.ra.to_string(u.hour, sep="", precision=2, pad=True)
    north = sky.dec.to_string(u.deg, sep="", precision=1, pad=True, alwayssign=True)
    return [f"J{x}{y}" for x, y in zip(np.atleast_1d(east), np.atleast_1d(north), strict=True)]
