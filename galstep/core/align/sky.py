"""Pixels and sky as the alignment asks for them: `galstep.sky_frame` for one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord

from galstep import sky_frame
from galstep.sky_frame import celestial_frame, is_gwcs, own_sky, pixels_of_sky
from galstep.sky_frame import sky_of_pixels as sky_of

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame

__all__ = [
    "celestial_frame",
    "from_icrs",
    "is_gwcs",
    "own_sky",
    "pixel_of",
    "pixel_side",
    "sky_of",
    "to_icrs",
]


def to_icrs(frame: BaseCoordinateFrame, lon: Any, lat: Any) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination (ICRS, degrees) of places in a frame (degrees)."""
    if isinstance(frame, ICRS):
        return np.asarray(lon, dtype=float), np.asarray(lat, dtype=float)
    found = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
    return np.asarray(found.ra.deg), np.asarray(found.dec.deg)


def from_icrs(frame: BaseCoordinateFrame, ra: Any, dec: Any) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude in a frame (degrees) of places in ICRS (degrees)."""
    if isinstance(frame, ICRS):
        return np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    found = SkyCoord(ra * u.deg, dec * u.deg, frame=ICRS()).transform_to(frame).spherical
    return np.asarray(found.lon.deg), np.asarray(found.lat.deg)


def pixel_of(wcs: Any, ra: float, dec: float, centre: tuple[float, float]) -> np.ndarray:
    """The pixel (x, y) that sees a place of the sky (ICRS, degrees); NaN where there is none.

    ``centre`` is the middle of the image, where a search begins.
    """
    shape = (round(2 * centre[1] + 1), round(2 * centre[0] + 1))
    return np.array(pixels_of_sky(wcs, ra, dec, shape))


def pixel_side(wcs: Any, shape: tuple[int, int]) -> float:
    """Side of a pixel (arcsec) at the middle of an image of ``shape`` (ny, nx)."""
    ny, nx = shape
    return sky_frame.pixel_side(wcs, (nx - 1) / 2, (ny - 1) / 2)
