"""The catalogue of a star field as a table, and as ds9 regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from galstep.datamodels.calibration import SURFACE_BRIGHTNESS
from galstep.sky_frame import sky_of_pixels
from galstep.units import ab_magnitude, flux_unit

__all__ = ["star_catalog", "star_regions"]

# column of the rows: unit ("flux", "image", "pix" or None), text
_COLUMNS = {
    "id": (None, "number of the star"),
    "group_id": (None, "group of stars that were fitted together"),
    "group_size": (None, "number of stars in the group"),
    "iter_detected": (None, "round in which the star came: first those given, then each search"),
    "local_bkg": ("image", "sky beneath the star; NaN if its ring has no good pixel"),
    "x_init": ("pix", "first position, 0-based, x"),
    "y_init": ("pix", "first position, 0-based, y"),
    "flux_init": ("flux", "first flux"),
    "x_fit": ("pix", "fitted position, 0-based, x"),
    "y_fit": ("pix", "fitted position, 0-based, y"),
    "flux_fit": ("flux", "fitted total flux; may be negative"),
    "x_err": ("pix", "1-sigma error of x_fit; NaN if the position was held"),
    "y_err": ("pix", "1-sigma error of y_fit; NaN if the position was held"),
    "flux_err": ("flux", "1-sigma error of flux_fit"),
    "n_pixels_fit": (None, "number of good pixels in the box of the fit"),
    "qfit": (None, "sum of the absolute residuals in the box over the flux"),
    "cfit": (None, "residual at the star's pixel over the flux"),
    "reduced_chi2": (None, "reduced chi-squared in the box"),
    "flags": (None, "photutils.psf.PSF_FLAGS bits"),
}


def star_catalog(
    rows: Any,
    unit: str = "",
    wcs: Any = None,
    pixel_area_sr: float | None = None,
    meta: dict | None = None,
    brightness: float | None = None,
) -> QTable:
    """The table of a field.

    Parameters
    ----------
    rows : object
        With an array for each column: `galstep.core.star_field.rows.StarRows`.
    unit : str, optional
        Of the image; "" if it is not known.
    wcs : WCS, optional
        For ``ra`` and ``dec`` (ICRS).
    pixel_area_sr : float, optional
        For magnitudes, where the unit is a surface brightness.
    meta : dict, optional
    brightness : float, optional
        MJy/sr of one image unit, for magnitudes where the unit does not tell.

    Returns
    -------
    `astropy.table.QTable`
    """
    image_unit = u.Unit(unit) if unit else u.one
    units = {"flux": flux_unit(image_unit), "image": image_unit, "pix": u.pix}
    table = QTable(meta=dict(meta or {}))
    for name, (kind, text) in _COLUMNS.items():
        values = np.array(getattr(rows, name))
        _put(table, name, values if kind is None else values * units[kind], text)
    _add_sky(table, rows, wcs)
    if brightness is None:
        _add_magnitudes(table, rows, unit, pixel_area_sr)
    else:
        _add_magnitudes(table, rows, SURFACE_BRIGHTNESS, pixel_area_sr, brightness)
    return table


def _put(table, name, values, text):
    table[name] = values
    table[name].info.description = text


def _add_sky(table, rows, wcs):
    ra = dec = np.full(len(rows.x_fit), np.nan)
    if wcs is not None and len(rows.x_fit):
        ra, dec = sky_of_pixels(wcs, rows.x_fit, rows.y_fit)
    if wcs is not None:
        _put(table, "ra", ra * u.deg, "right ascension (ICRS)")
        _put(table, "dec", dec * u.deg, "declination (ICRS)")


def _add_magnitudes(table, rows, unit, pixel_area_sr, factor=1.0):
    if not unit or pixel_area_sr is None:
        return
    flux, err = rows.flux_fit * factor, rows.flux_err * factor
    mag, error = ab_magnitude(flux, err, unit, pixel_area_sr)
    if np.isfinite(mag).any():
        _put(table, "mag_ab", mag * u.mag, "AB magnitude; NaN if the flux is not positive")
        _put(table, "mag_ab_err", error * u.mag, "1-sigma error of mag_ab")


def star_regions(rows: Any, radius: float) -> str | None:
    """ds9 regions: a circle per star.

    Parameters
    ----------
    rows : object
        As for `star_catalog`.
    radius : float
        Pixels.

    Returns
    -------
    str or None
        None if the package ``regions`` is not installed.
    """
    try:
        from regions import CirclePixelRegion, PixCoord, RegionMeta, Regions
    except ImportError:
        return None
    shapes = [
        CirclePixelRegion(PixCoord(x, y), radius, meta=RegionMeta({"text": str(number)}))
        for x, y, number in zip(rows.x_fit, rows.y_fit, rows.id, strict=True)
    ]
    return Regions(shapes).serialize(format="ds9")
