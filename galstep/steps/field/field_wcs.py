"""Bands of a field on the grid of the first one, by their WCS."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.affine import fit_pixel_map, frame_points
from galstep.exceptions import InputError
from galstep.pixel_map import PixelMap
from galstep.sky_frame import pixels_of_sky, sky_of_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.field.field_band import FieldBand

__all__ = ["put_on_grid"]

# Pixels by which an affine map may miss the WCS anywhere: beyond the first, positions are wrong
# by more than bright stars are measured to, and it is said; beyond the second the fit would be.
GOOD_MAP, WORST_MAP = 0.02, 0.3


def put_on_grid(bands: Sequence[FieldBand], tolerance: float, grids: str) -> None:
    """Set the pixel maps of the bands, in place.

    Parameters
    ----------
    bands : sequence of FieldBand
        The first one's pixels are the grid.
    tolerance : float
        Grids that agree so far everywhere are one, pixels.
    grids : {"map", "same"}
        Whether others are mapped or refused.

    Raises
    ------
    InputError
        If a band is on other pixels and may not be, has no WCS to say where it lies, or no affine
        map says it.
    """
    first = bands[0]
    for band in bands[1:]:
        band.pixel_map = _map(first, band, tolerance, grids)


def _map(first, band, tolerance, grids):
    if first.wcs is None or band.wcs is None:
        if first.shape != band.shape:
            raise InputError(
                f"band {band.name}: {band.shape[::-1]} pixels and that of {first.name} "
                f"{first.shape[::-1]}: with other pixels both need a WCS"
            )
        band.reasons.append("without a WCS in both: taken as on the pixels of the first band")
        return PixelMap()
    x, y = frame_points(first.shape)
    with warnings.catch_warnings():
        # astropy only warns where the distortion has no inverse: those are NaN
        warnings.simplefilter("ignore", UserWarning)
        places = pixels_of_sky(band.wcs, *sky_of_pixels(first.wcs, x, y), band.shape)
    known = np.isfinite(places[0]) & np.isfinite(places[1])
    if np.count_nonzero(known) < 0.5 * len(x):
        raise InputError(f"band {band.name}: its WCS has no place for the field of {first.name}")
    x, y, (x_band, y_band) = x[known], y[known], (p[known] for p in places)
    apart = float(np.max(np.hypot(x_band - x, y_band - y)))
    if apart <= tolerance and first.shape == band.shape:
        return PixelMap()
    if grids == "same":
        raise InputError(
            f"band {band.name}: its pixels are not those of {first.name}: up to {apart:.3g} pixels "
            f"apart, {band.shape[::-1]} and {first.shape[::-1]} pixels (wcs_tolerance "
            f"{tolerance:g}; grids=map maps them)"
        )
    pixel_map, missed = fit_pixel_map(x, y, x_band, y_band)
    if missed > WORST_MAP:
        raise InputError(
            f"band {band.name}: no affine map takes the pixels of {first.name} to its own: "
            f"{missed:.2g} pixels are left"
        )
    if missed > GOOD_MAP:
        band.reasons.append(f"the affine map from {first.name} misses by up to {missed:.2g} pixels")
    return pixel_map
