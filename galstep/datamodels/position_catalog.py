"""Catalogues of positions at which a user wants photometry."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.table_bounds import check_table_file
from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["CatalogColumns", "PositionCatalog", "read_position_catalog"]

_X = ("x", "x_fit", "x_centroid", "xcentroid", "x_init", "x_0", "x_image")
_Y = ("y", "y_fit", "y_centroid", "ycentroid", "y_init", "y_0", "y_image")
_RA = ("ra", "ra_icrs", "alpha_j2000", "raj2000", "ra_deg", "lon")
_DEC = ("dec", "dec_icrs", "delta_j2000", "dej2000", "dec_deg", "lat", "de_icrs")
_ID = ("id", "star_id", "source_id", "catalog_id", "name", "label", "number", "objid")
_PARAMETERS = {"x": "catalog_x", "y": "catalog_y", "ra": "catalog_ra", "dec": "catalog_dec"}


@dataclass(frozen=True)
class CatalogColumns:
    """Names of the columns of a catalogue; what is None is guessed.

    Parameters
    ----------
    x, y, ra, dec, id : str, optional
    first_pixel : {0, 1}, optional
        What the first pixel's centre is called in ``x`` and ``y``.
    """

    x: str | None = None
    y: str | None = None
    ra: str | None = None
    dec: str | None = None
    id: str | None = None
    first_pixel: int = 0

    def __post_init__(self) -> None:
        for one, other in (("x", "y"), ("ra", "dec")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ParameterError(
                    f"{_PARAMETERS[one]} and {_PARAMETERS[other]} must be given together, got "
                    f"{getattr(self, one)!r} and {getattr(self, other)!r}"
                )
        if self.x is not None and self.ra is not None:
            raise ParameterError(
                "positions must be pixels or on the sky: give catalog_x and catalog_y, or "
                "catalog_ra and catalog_dec, not both"
            )


@dataclass(frozen=True, eq=False)
class PositionCatalog:
    """Positions of a catalogue; what cannot be read of a row is NaN.

    Parameters
    ----------
    name : tuple of str
        Ids; the number of the row, from 1, where the catalogue has none.
    first, second : (n,) arrays
        Right ascension and declination (degrees, ICRS), or x and y (0-based
        pixels of the base filter's input frame).
    on_sky : bool
        Which of them.
    columns : str
        Where they were found, in words.
    """

    name: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    on_sky: bool
    columns: str

    def __len__(self) -> int:
        return len(self.name)


def read_position_catalog(
    path: PathLike, columns: CatalogColumns = CatalogColumns(), has_wcs: bool = True
) -> PositionCatalog:
    """Read a catalogue of positions.

    Parameters
    ----------
    path : path-like
        Anything that astropy reads as a table: ECSV, CSV, FITS, VOTable, ascii.
    columns : `CatalogColumns`, optional
        Columns that are named are used. Otherwise positions on the sky are, where
        there are any and ``has_wcs``: they hold in every image. Then pixels.
    has_wcs : bool, optional
        Whether positions on the sky can be used.

    Returns
    -------
    PositionCatalog

    Raises
    ------
    InputError
        If the file is not there or no table, lacks a column, or has only positions
        on the sky for an image without a WCS.
    """
    table = _table(path)
    where = f"catalog {path}"
    name = _ids(table, columns.id, where)
    if columns.x is not None:
        return _pixels(table, (columns.x,), (columns.y,), columns.first_pixel, name, where)
    wanted = columns.ra is not None
    sky = _sky(table, columns, where)
    if sky is not None and (has_wcs or wanted):
        if not has_wcs:
            raise InputError(f"{where}: positions on the sky need an image with a WCS")
        ra, dec, text = sky
        return PositionCatalog(name, ra, dec, True, text)
    if _found(table, _X) is None and sky is not None:
        raise InputError(f"{where}: positions on the sky need an image with a WCS")
    return _pixels(table, _X, _Y, columns.first_pixel, name, where)


def _table(path):
    from astropy.io.registry import IORegistryError
    from astropy.table import QTable

    check_table_file(path, "catalog")
    try:
        return QTable.read(path)
    except IORegistryError:
        text = "unknown format"
    except (ValueError, OSError, TypeError, LookupError, csv.Error) as error:
        text = str(error)
    refused = InputError(f"catalog {path}: cannot be read as a table ({text.splitlines()[0]})")
    if b"\0" in Path(path).read_bytes()[:4096]:
        raise refused
    try:  # an extension that says nothing: text with columns, as most such files are
        return QTable.read(path, format="ascii")
    except (ValueError, OSError, TypeError, LookupError, csv.Error):
        raise refused from None


def _found(table, names):
    """The table's own spelling of the first of these names that it has."""
    by_lower = {name.lower(): name for name in reversed(table.colnames)}
    return next((by_lower[name.lower()] for name in names if name.lower() in by_lower), None)


def _needed(table, names, what, where):
    found = _found(table, names)
    if found is None:
        raise InputError(
            f"{where}: a column {names[0]!r} is needed ({what}), it has {', '.join(table.colnames)}"
        )
    return found


def _numbers(table, name, where):
    column = table[name]
    try:
        values = np.ma.asarray(getattr(column, "value", column), dtype=float)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: column {name!r} must hold numbers ({error})") from error
    if values.ndim != 1:
        raise InputError(f"{where}: column {name!r} must hold one number a row")
    return np.ma.filled(values, np.nan)


def _pixels(table, x, y, first_pixel, name, where):
    what = "or columns of right ascension and declination: see catalog_x, catalog_ra"
    x, y = _needed(table, x, what, where), _needed(table, y, what, where)
    first, second = (_numbers(table, column, where) - first_pixel for column in (x, y))
    return PositionCatalog(name, first, second, False, f"pixels {x}, {y}")


def _sky(table, columns, where):
    """Right ascension, declination and where they were found; None without."""
    from astropy.coordinates import SkyCoord

    if columns.ra is not None:
        names = [
            _needed(table, (name,), what, where)
            for name, what in ((columns.ra, "catalog_ra"), (columns.dec, "catalog_dec"))
        ]
    else:
        for name in table.colnames:
            if isinstance(table[name], SkyCoord):
                sky = table[name].icrs
                return sky.ra.deg, sky.dec.deg, f"sky {name}"
        names = [_found(table, _RA), _found(table, _DEC)]
    if None in names:
        return None
    ra, dec = (
        _degrees(table, name, hours, where) for name, hours in zip(names, (1, 0), strict=True)
    )
    return ra, dec, f"sky {names[0]}, {names[1]}"


def _degrees(table, name, hours, where):
    """Degrees of a column of angles; numbers without a unit are degrees, text sexagesimal."""
    from astropy import units as u
    from astropy.coordinates import Angle

    column = table[name]
    try:
        if isinstance(column, u.Quantity):
            return column.to_value(u.deg)
        if np.asarray(column).dtype.kind in "US":
            text = [str(value) for value in column]
            return Angle(text, unit=u.hourangle if hours else u.deg).deg
    except (ValueError, u.UnitsError) as error:
        raise InputError(f"{where}: column {name!r} must hold angles ({error})") from error
    return _numbers(table, name, where)


def _ids(table, name, where):
    own = _needed(table, (name,), "catalog_id", where) if name else _found(table, _ID)
    if own is None:
        return tuple(str(number) for number in range(1, len(table) + 1))
    return tuple(str(value) for value in np.ma.filled(np.ma.asarray(table[own]).astype(str), ""))
