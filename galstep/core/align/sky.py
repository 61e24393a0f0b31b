"""Pixels and sky of any WCS: right ascension and declination are ICRS, whatever its own frame.

A FITS WCS and a gwcs differ in how they are asked, in which of their axes is
the longitude, and in the frame that it is in. Here and nowhere else of the
alignment that is known. Only the way from pixels to the sky is used: a gwcs
need not have an inverse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from astropy.wcs.utils import wcs_to_celestial_frame

from galstep.exceptions import InputError

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

# Newton's method finds a pixel to a millionth in two or three steps.
MOST_STEPS, PIXEL_ACCURACY = 10, 1e-7


def is_gwcs(wcs: Any) -> bool:
    """Whether a WCS is a `gwcs.WCS`."""
    return hasattr(wcs, "available_frames")


def celestial_frame(wcs: Any) -> BaseCoordinateFrame:
    """The frame of a WCS; ICRS for a gwcs that does not say.

    Raises
    ------
    InputError
        If it is one that astropy does not know.
    """
    if is_gwcs(wcs):
        found = getattr(wcs.output_frame, "reference_frame", None)
        return ICRS() if found is None else found
    try:
        return wcs_to_celestial_frame(wcs)
    except ValueError as error:
        axes = ", ".join(wcs.wcs.ctype)
        raise InputError(
            f"the sky frame of a WCS with the axes {axes} is not known ({error})"
        ) from error


def _axes(wcs):
    """Number of the axis of the longitude, and of the latitude."""
    if is_gwcs(wcs):
        order = getattr(wcs.output_frame, "axes_order", (0, 1))
        return (0, 1) if len(order) != 2 else tuple(int(i) for i in order)
    return wcs.wcs.lng, wcs.wcs.lat


def own_sky(wcs: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of pixels in the frame of the WCS itself.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    x, y : array-like
        0-based pixels, also outside the image.

    Returns
    -------
    longitude, latitude : arrays
        Degrees.
    """
    if is_gwcs(wcs):
        world = wcs(x, y, with_bounding_box=False)
    else:
        world = wcs.all_pix2world(x, y, 0)
    first, second = _axes(wcs)
    return np.array(world[first], dtype=float), np.array(world[second], dtype=float)


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


def sky_of(wcs: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination (ICRS, degrees) of 0-based pixels.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    x, y : array-like

    Returns
    -------
    ra, dec : arrays

    Raises
    ------
    InputError
        If the frame of the WCS is not known.
    """
    return to_icrs(celestial_frame(wcs), *own_sky(wcs, x, y))


def pixel_of(wcs: Any, ra: float, dec: float, start: tuple[float, float]) -> np.ndarray:
    """The pixel that sees a place of the sky, found from the pixels' sky alone.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    ra, dec : float
        ICRS, degrees.
    start : (x, y)
        A pixel that is not far away.

    Returns
    -------
    (2,) array
        x and y; NaN where the search does not end.
    """
    target = _vector(ra, dec)
    east, north = _tangents(ra, dec)
    pixel = np.array(start, dtype=float)
    for _ in range(MOST_STEPS):
        # the pixel and its neighbours on both axes, in the tangent plane of the target
        x, y = pixel[:, None] + np.array([[0.0, 0.5, -0.5, 0, 0], [0, 0, 0, 0.5, -0.5]])
        place = np.array([east, north]) @ (_vector(*sky_of(wcs, x, y)) - target[:, None])
        jacobian = np.column_stack([place[:, 1] - place[:, 2], place[:, 3] - place[:, 4]])
        if not np.isfinite(jacobian).all() or np.linalg.det(jacobian) == 0:
            break
        step = np.linalg.solve(jacobian, place[:, 0])
        pixel = pixel - step
        if np.hypot(*step) < PIXEL_ACCURACY:
            return pixel
    return np.full(2, np.nan)


def pixel_side(wcs: Any, shape: tuple[int, int]) -> float:
    """Side of a pixel at the middle of the image, arcsec.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    shape : (ny, nx)

    Returns
    -------
    float
        Root of the pixel's solid angle, from directions in space: the same
        where right ascension passes 0 and at a pole.
    """
    ny, nx = shape
    x, y = (nx - 1) / 2 + np.array([0.0, 1, 0]), (ny - 1) / 2 + np.array([0.0, 0, 1])
    corner, along_x, along_y = _vector(*own_sky(wcs, x, y)).T
    area = np.linalg.norm(np.cross(along_x - corner, along_y - corner))
    return float(np.degrees(np.sqrt(area)) * 3600)


def _vector(lon, lat):
    """Directions in space, (3, ...) of degrees."""
    lon, lat = np.radians(lon), np.radians(lat)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _tangents(lon, lat):
    """Unit vectors to the east and to the north; at a pole as by the longitude."""
    lon, lat = np.radians(lon), np.radians(lat)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return east, north
