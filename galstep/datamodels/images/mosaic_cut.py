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
from astropy.coordinates import SkyCoord
from astropy.nddata.utils import NoOverlapError, overlap_slices
from astropy.wcs import WCS
from astropy.wcs.utils import fit_wcs_from_points

from galstep.exceptions import InputError
from galstep.sky_frame import pixel_side, pixels_of_sky, sky_of_pixels

if TYPE_CHECKING:
    from galstep.datamodels.images.image_source import ImageSource

__all__ = ["Cut", "cut_about", "fits_wcs", "whole"]

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
    source : `galstep.datamodels.images.image_source.ImageSource`
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
    x, y = (float(v) for v in pixels_of_sky(source.wcs, ra, dec, source.shape))
    off = Cut(None, (min(n, ny), min(n, nx)), (nx - 1) / 2, (ny - 1) / 2)
    if not (-0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5):
        return off
    try:
        box, _ = overlap_slices((ny, nx), (n, n), (y, x), mode="trim")
    except NoOverlapError:
        return off
    shape = tuple(part.stop - part.start for part in box)
    return off if min(shape) < SMALLEST_SIDE else Cut(box, shape, x, y)


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
    ra, dec = sky_of_pixels(wcs, x + x_min, y + y_min)
    known = np.isfinite(ra) & np.isfinite(dec)
    if np.count_nonzero(known) < _POINTS_PER_SIDE:
        raise InputError(f"{where}: the WCS gives no sky positions in the cutout")
    x, y, sky = x[known], y[known], SkyCoord(ra[known], dec[known], unit="deg")
    for degree in (None, 3):
        fitted = fit_wcs_from_points((x, y), sky, proj_point="center", sip_degree=degree)
        difference = float(np.max(np.hypot(*(np.array(fitted.world_to_pixel(sky)) - (x, y)))))
        if difference < _LINEAR_ENOUGH:
            break
    if difference > _WORTH_A_WARNING:
        log.warning("%s: the FITS WCS of the cutout is off by up to %.2g pixels", where, difference)
    return fitted
