"""Where a sky position lies on an image, and the part that is cut out about it.

Nothing is resampled: the cutout has the image's own pixels. Any WCS that follows
APE 14 will do. One that is no plain FITS WCS (gwcs, look-up tables of distortion)
is replaced in the cutout by a FITS WCS fitted to it, because that can be sliced
and stored.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata.utils import NoOverlapError, overlap_slices
from astropy.wcs import WCS, NoConvergence
from astropy.wcs.utils import fit_wcs_from_points

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels.image_source import ImageSource

__all__ = ["Cut", "cut_about", "fits_wcs", "pixel_side", "whole"]

log = logging.getLogger(__name__)

SMALLEST_SIDE = 16
_LINEAR_ENOUGH = 0.01  # pixels
_WORTH_A_WARNING = 0.05
_POINTS_PER_SIDE = 9


@dataclass(frozen=True)
class Cut:
    """A part of an image.

    Parameters
    ----------
    box : tuple of slice or None
        (y, x); None if the position is off the image.
    shape : tuple of int
        (ny, nx) of the part, or of what was asked for if it is off the image.
    x, y : float
        The position in pixels of the image; its middle if none was given, or it is off.
    """

    box: tuple | None
    shape: tuple
    x: float
    y: float

    @property
    def origin(self) -> tuple[int, int]:
        """(x, y) of the first pixel."""
        return (0, 0) if self.box is None else (self.box[1].start, self.box[0].start)


def whole(shape: tuple[int, int]) -> Cut:
    """The whole of an image."""
    ny, nx = shape
    return Cut((slice(0, ny), slice(0, nx)), (ny, nx), (nx - 1) / 2, (ny - 1) / 2)


def cut_about(source: ImageSource, ra: float, dec: float, size: float) -> Cut:
    """The square about a position, cut off at the image's edges.

    Parameters
    ----------
    source : `galstep.datamodels.image_source.ImageSource`
    ra, dec : float
        ICRS, degrees.
    size : float
        Side, arcsec; rounded up to whole pixels.

    Returns
    -------
    Cut
        Without a box if the position, or nearly all of the square, is off the
        image.

    Raises
    ------
    InputError
        If the image has no WCS, or the square has fewer than 16 pixels a side.
    """
    if source.wcs is None:
        raise InputError(
            f"{source.where}: ra and dec need a WCS, and the image has none{source.wcs_note}"
        )
    ny, nx = source.shape
    side = pixel_side(source.wcs, (nx - 1) / 2, (ny - 1) / 2)
    if not side > 0:
        raise InputError(f"{source.where}: the WCS gives no sky positions in the image")
    n = int(np.ceil(size / side - 1e-6))
    if n < SMALLEST_SIDE:
        raise InputError(
            f"{source.where}: size must be at least {SMALLEST_SIDE} pixels, "
            f"{SMALLEST_SIDE * side:.3g} arcsec here, got {size:g} arcsec"
        )
    x, y = _pixel_of(source.wcs, ra, dec)
    off = Cut(None, (min(n, ny), min(n, nx)), (nx - 1) / 2, (ny - 1) / 2)
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        return off
    try:
        box, _ = overlap_slices((ny, nx), (n, n), (y, x), mode="trim")
    except NoOverlapError:
        return off
    shape = tuple(part.stop - part.start for part in box)
    return off if min(shape) < SMALLEST_SIDE else Cut(box, shape, x, y)


def _pixel_of(wcs, ra, dec):
    """(x, y) of an ICRS position; NaN where the WCS cannot say."""
    try:
        x, y = wcs.world_to_pixel(SkyCoord(ra * u.deg, dec * u.deg, frame="icrs"))
    except NoConvergence:  # the series of a distortion, far off the image
        return np.nan, np.nan
    return float(x), float(y)


def pixel_side(wcs: Any, x: float, y: float) -> float:
    """Square root of the area of the pixel at (x, y), arcsec; NaN off the sky."""
    sky = wcs.pixel_to_world(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    if not isinstance(sky, SkyCoord):  # axes like those of the sky, in no known frame
        return np.nan
    (_, lon, lon2), (_, lat, lat2) = (
        offset.to_value(u.arcsec) for offset in sky[0].spherical_offsets_to(sky)
    )
    return float(np.sqrt(abs(lon * lat2 - lon2 * lat)))


def fits_wcs(wcs: Any, cut: Cut, where: str) -> WCS:
    """A FITS WCS of a part of an image.

    Parameters
    ----------
    wcs : object
        Of the whole image.
    cut : Cut
        With a box.
    where : str
        What messages call the image.

    Returns
    -------
    `astropy.wcs.WCS`
    """
    wcs = getattr(wcs, "low_level_wcs", wcs) if not hasattr(wcs, "pixel_to_world") else wcs
    is_plain = isinstance(wcs, WCS) and not (wcs.cpdis1 or wcs.cpdis2 or wcs.det2im1 or wcs.det2im2)
    return wcs[cut.box] if is_plain else _fitted(wcs, cut, where)


def _fitted(wcs, cut, where):
    """A tangential projection, with distortion terms if it needs them."""
    (x_min, y_min), (ny, nx) = cut.origin, cut.shape
    y, x = np.meshgrid(
        np.linspace(0, ny - 1, _POINTS_PER_SIDE), np.linspace(0, nx - 1, _POINTS_PER_SIDE)
    )
    x, y = x.ravel(), y.ravel()
    sky = wcs.pixel_to_world(x + x_min, y + y_min)
    known = np.isfinite(sky.data.lon) & np.isfinite(sky.data.lat)
    if np.count_nonzero(known) < _POINTS_PER_SIDE:
        raise InputError(f"{where}: the WCS gives no sky positions in the cutout")
    x, y, sky = x[known], y[known], sky[known].icrs
    for degree in (None, 3):
        fitted = fit_wcs_from_points((x, y), sky, proj_point="center", sip_degree=degree)
        difference = float(np.max(np.hypot(*(np.array(fitted.world_to_pixel(sky)) - (x, y)))))
        if difference < _LINEAR_ENOUGH:
            break
    if difference > _WORTH_A_WARNING:
        log.warning("%s: the FITS WCS of the cutout is off by up to %.2g pixels", where, difference)
    return fitted
