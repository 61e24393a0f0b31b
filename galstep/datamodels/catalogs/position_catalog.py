"""Catalogues of positions that users bring: the one door for all steps.

Positions are columns of pixels, of right ascension and declination (ICRS), or of
sky coordinates in any frame; names are those of photutils, SExtractor, Gaia and
VizieR, in any case of letters. Units, masks and sexagesimal text are astropy's.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.datamodels.catalogs.catalog_table import (
    angles,
    found_column,
    needed_column,
    numbers,
    open_table,
)
from galstep.datamodels.files.table_bounds import bounded_positions
from galstep.exceptions import InputError, ParameterError
from galstep.sky_frame import pixels_of_sky

if TYPE_CHECKING:
    from collections.abc import Iterable

    from astropy.units import UnitBase

__all__ = ["CatalogColumns", "PositionCatalog", "read_position_catalog"]

log = logging.getLogger("stpipe.galstep.catalog")

# of photutils' init_params in its order of preference, then of other programs
_AXIS = (
    "{}_init", "{}init", "{}", "{}_0", "{}0", "{}_centroid", "{}centroid", "{}_peak", "{}cen",
    "{}_cen", "{}pos", "{}_pos", "{}_fit", "{}fit", "{}center", "{}_center", "{}_image",
    "{}win_image", "{}_pixel", "{}_pix",
)  # fmt: skip
# positions that were measured come before the first guesses of that measurement
_FITTED = ("{}", "{}_fit", "{}fit")
_RA = (
    "ra", "ra_icrs", "alpha_j2000", "raj2000", "_raj2000", "ra_deg", "radeg", "ra_j2000",
    "right_ascension", "lon",
)  # fmt: skip
_DEC = (
    "dec", "dec_icrs", "de_icrs", "delta_j2000", "dej2000", "decj2000", "_dej2000", "dec_deg",
    "decdeg", "dedeg", "dec_j2000", "declination", "de", "lat",
)  # fmt: skip
_ID = ("id", "star_id", "source_id", "catalog_id", "name", "label", "number", "objid")
_FLUX = (
    "flux", "flux_fit", "fluxfit", "flux_init", "fluxinit", "flux_0", "flux0", "source_sum",
    "segment_flux", "kron_flux", "flux_auto", "flux_psf",
)  # fmt: skip
# what else a row may say of how its star is measured; a step takes it or says that it does not
_SAYS_HOW = ("group_id", "local_bkg", "weight")
_PARAMETERS = {"x": "catalog_x", "y": "catalog_y", "ra": "catalog_ra", "dec": "catalog_dec"}


def _axis(letter, measured_first):
    names = _FITTED + _AXIS if measured_first else _AXIS
    return tuple(dict.fromkeys(name.format(letter) for name in names))


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
    """Positions of a catalogue, all rows in their order; what a row lacks is NaN.

    Parameters
    ----------
    name : tuple of str
        Ids; the number of the row, from 1, where the catalogue has none.
    first, second : (n,) arrays
        Right ascension and declination (degrees, ICRS), or x and y (0-based
        pixels).
    on_sky : bool
        Which of them.
    columns : str
        Where they were found, in words.
    flux : (n,) array
        In the unit that was asked for, x pixel.
    id : (n,) array
        As the catalogue has it: integers if all are, else text.
    group_id : (n,) int array, optional
    local_bkg, weight : (n,) arrays, optional
    """

    name: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    on_sky: bool
    columns: str
    flux: np.ndarray
    id: np.ndarray
    group_id: np.ndarray | None = None
    local_bkg: np.ndarray | None = None
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.name)

    def on_image(self, wcs: Any, shape: tuple[int, int]) -> PositionCatalog:
        """The same in pixels of an image.

        Parameters
        ----------
        wcs : WCS
            Not needed for what is in pixels already.
        shape : (ny, nx)
        """
        if not self.on_sky:
            return self
        x, y = pixels_of_sky(wcs, self.first, self.second, shape)
        x, y = bounded_positions(x), bounded_positions(y)
        return replace(self, first=x, second=y, on_sky=False)


def read_position_catalog(
    source: Any,
    columns: CatalogColumns = CatalogColumns(),
    has_wcs: bool = True,
    *,
    what: str = "catalog",
    unit: UnitBase | None = None,
    table_format: str | None = None,
    sky_first: bool = True,
    measured_first: bool = True,
    takes: Iterable[str] = _SAYS_HOW,
) -> PositionCatalog:
    """Read a catalogue of positions.

    Parameters
    ----------
    source : path-like, table or `astropy.coordinates.SkyCoord`
        See `galstep.datamodels.catalogs.catalog_table.open_table`.
    columns : `CatalogColumns`, optional
        Columns that are named are used. Otherwise positions on the sky are, where
        there are any and ``has_wcs``: they hold in every image. Then pixels.
    has_wcs : bool, optional
        Whether positions on the sky can be used.
    what : str, optional
        What messages call it.
    unit : unit, optional
        Of the image: fluxes and levels with a unit are converted to it.
    table_format : str, optional
        A name that astropy knows.
    sky_first : bool, optional
        Whether the sky comes before pixels where there are both.
    measured_first : bool, optional
        Whether ``x_fit`` comes before ``x_init`` where there are both.
    takes : iterable of str, optional
        Which of the columns ``group_id``, ``local_bkg`` and ``weight`` the caller makes use
        of. One of the others that the table has is named in the log, and not read.

    Returns
    -------
    PositionCatalog

    Raises
    ------
    InputError
        If the file is not there or no table, lacks a column, has one that cannot be
        used, or has only positions on the sky for an image without a WCS.
    """
    table = open_table(source, what, table_format)
    where = f"{what} {source}" if isinstance(source, str | os.PathLike) else what
    name, ids = _ids(table, columns.id, where)
    first, second, on_sky, text = _positions(
        table, columns, has_wcs, where, sky_first, measured_first
    )
    flux = _flux(table, unit, where)
    group, level, weight = (
        found_column(table, (own,)) if own in takes else None for own in _SAYS_HOW
    )
    _say_what_is_left(table, takes, where)
    return PositionCatalog(
        name, first, second, on_sky, text, flux, ids,
        None if group is None else _whole(table, group, where),
        None if level is None else numbers(table, level, where, *_units(unit)),
        None if weight is None else numbers(table, weight, where),
    )  # fmt: skip


def _say_what_is_left(table, takes, where):
    found = [found_column(table, (own,)) for own in _SAYS_HOW if own not in takes]
    if left := [name for name in found if name is not None]:
        log.warning("%s: not used here: column %s", where, ", ".join(left))


def _positions(table, columns, has_wcs, where, sky_first, measured_first):
    pixels = _axis("x", measured_first), _axis("y", measured_first)
    if columns.x is not None:
        return _pixels(table, ((columns.x,), (columns.y,)), columns.first_pixel, where)
    has_pixels = found_column(table, pixels[0]) is not None
    if columns.ra is None and has_pixels and not sky_first:
        return _pixels(table, pixels, columns.first_pixel, where)
    sky = _sky(table, columns, where)
    if sky is not None and (has_wcs or columns.ra is not None or not has_pixels):
        if not has_wcs:
            raise InputError(f"{where}: positions on the sky need an image with a WCS")
        return sky
    return _pixels(table, pixels, columns.first_pixel, where)


def _pixels(table, names, first_pixel, where):
    text = "or columns of right ascension and declination: see catalog_x, catalog_ra"
    x, y = (needed_column(table, own, text, where) for own in names)
    first, second = (
        bounded_positions(numbers(table, column, where, u.pix) - first_pixel) for column in (x, y)
    )
    return first, second, False, f"pixels {x}, {y}"


def _sky(table, columns, where):
    """Right ascension, declination, True and where they were found; None without."""
    from astropy.coordinates import SkyCoord

    if columns.ra is not None:
        names = [
            needed_column(table, (name,), text, where)
            for name, text in ((columns.ra, "catalog_ra"), (columns.dec, "catalog_dec"))
        ]
    else:
        for name in table.colnames:
            if isinstance(table[name], SkyCoord):
                return *_icrs(table[name]), True, f"sky {name}"
        names = [found_column(table, _RA), found_column(table, _DEC)]
    if None in names:
        return _galactic(table, where)
    ra, dec = (angles(table, name, hours, where) for name, hours in zip(names, (1, 0), strict=True))
    return ra, dec, True, f"sky {names[0]}, {names[1]}"


def _galactic(table, where):
    from astropy.coordinates import SkyCoord

    names = [found_column(table, own) for own in (("glon", "gal_lon"), ("glat", "gal_lat"))]
    if None in names:
        return None
    lon, lat = (angles(table, name, False, where) for name in names)
    lat = np.where(np.abs(lat) <= 90, lat, np.nan)
    sky = SkyCoord(lon, lat, unit="deg", frame="galactic")
    return *_icrs(sky), True, f"sky {names[0]}, {names[1]}"


def _icrs(sky):
    """Right ascension and declination, NaN where masked."""
    place = sky.icrs
    return tuple(_filled(axis) for axis in (place.ra, place.dec))


def _filled(angle):
    values = angle.to_value(u.deg)
    mask = getattr(values, "mask", None)
    values = np.array(getattr(values, "unmasked", values), dtype=float)
    return values if mask is None else np.where(mask, np.nan, values)


def _units(unit):
    return () if unit is None else (unit, unit * u.pix)


def _flux(table, unit, where):
    name = found_column(table, _FLUX)
    if name is None:
        return np.full(len(table), np.nan)
    values = numbers(table, name, where, *_units(unit))
    return np.where(np.isfinite(values), values, np.nan)


def _whole(table, name, where):
    values = numbers(table, name, where)
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise InputError(f"{where}: column {name!r} must hold whole numbers, in every row")
    return values.astype(int)


def _ids(table, name, where):
    """Text for every row, and the ids as they are."""
    own = needed_column(table, (name,), "catalog_id", where) if name else found_column(table, _ID)
    if own is None:
        count = np.arange(1, len(table) + 1)
        return tuple(str(number) for number in count), count
    column = np.ma.asarray(getattr(table[own], "unmasked", table[own]))
    text = np.ma.filled(column.astype(str), "")
    if column.dtype.kind in "iu" and not np.ma.getmaskarray(column).any():
        return tuple(text.tolist()), np.asarray(column, dtype=np.int64)
    return tuple(str(value) for value in text), np.asarray(text, dtype=str)
