"""The catalogue of a star field as a table, and as ds9 regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from galstep.datamodels.images.calibration import SURFACE_BRIGHTNESS
from galstep.sky_frame import sky_of_pixels
from galstep.units import ab_magnitude, flux_unit

__all__ = ["star_catalog", "star_regions"]

#: Sky blue and vermilion of Okabe & Ito, told apart by the colour-blind too.
STAR_COLOUR, FLAGGED_COLOUR = "#56b4e9", "#d55e00"

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


def star_regions(
    rows: Any,
    radius: float,
    sky: tuple[np.ndarray, np.ndarray] | None = None,
    side: float | None = None,
) -> str:
    """ds9 regions: a circle per star, of another colour and tag where it has flags.

    Written here, not by the package ``regions``: that takes a third of a millisecond for
    each, which for a large field is longer than its photometry.

    Parameters
    ----------
    rows : object
        As for `star_catalog`.
    radius : float
        Pixels.
    sky : pair of arrays, optional
        Right ascension and declination (ICRS, degrees): the regions are on the sky.
        Otherwise they are in pixels.
    side : float, optional
        Of a pixel (arcsec), needed for regions on the sky.

    Returns
    -------
    str
        Without stars that have no place.
    """
    if sky is None:
        # ds9 counts pixels from 1
        frame, first, second = "image", np.asarray(rows.x_fit) + 1, np.asarray(rows.y_fit) + 1
        size = f"{radius:.2f}"
    else:
        frame, (first, second), size = "icrs", sky, f'{radius * side:.4f}"'
    lines = ["# Region file format: DS9", f"global color={STAR_COLOUR}", frame]
    digits = 4 if sky is None else 8
    for x, y, number, flags in zip(first, second, rows.id, rows.flags, strict=True):
        if np.isfinite(x) and np.isfinite(y):
            marked = f"tag={{flagged}} color={FLAGGED_COLOUR}" if flags else ""
            circle = f"circle({x:.{digits}f},{y:.{digits}f},{size})"
            lines.append(f"{circle} # text={{{number}}} tag={{star}} {marked}".rstrip())
    return "\n".join(lines) + "\n"
