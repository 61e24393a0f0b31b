"""Pixels and sky of any WCS: right ascension and declination are ICRS, whatever its own frame.

A FITS WCS and a gwcs differ in how they are asked, in which of their axes is the
longitude, and in the frame that it is in. Here and nowhere else that is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, BarycentricMeanEcliptic, SkyCoord
from astropy.wcs import NoConvergence
from astropy.wcs.utils import wcs_to_celestial_frame
from astropy.wcs.wcsapi import HighLevelWCSWrapper

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from numpy.typing import ArrayLike

__all__ = ["celestial_frame", "is_gwcs", "own_sky", "pixel_side", "pixels_of_sky", "sky_of_pixels"]

# Newton's method finds a pixel to a millionth in two or three steps.
MOST_STEPS, PIXEL_ACCURACY = 10, 1e-7
# A pixel farther than this from where it began has left every image (pixels).
FARTHEST = 1e7


def is_gwcs(wcs: Any) -> bool:
    """Whether a WCS is a `gwcs.WCS`."""
    return hasattr(wcs, "available_frames")


def celestial_frame(wcs: Any) -> BaseCoordinateFrame:
    """The sky frame of a WCS; ICRS for a gwcs that does not say.

    Raises
    ------
    InputError
        If it is one that astropy does not know.
    """
    if is_gwcs(wcs):
        found = getattr(wcs.output_frame, "reference_frame", None)
        return ICRS() if found is None else found
    axes = ", ".join(wcs.wcs.ctype)
    longitude = wcs.wcs.lngtyp.strip()
    if longitude == "ELON":
        # astropy goes by RADESYS alone, and takes ecliptic axes for equatorial ones
        equinox = wcs.wcs.equinox if np.isfinite(wcs.wcs.equinox) else 2000.0
        return BarycentricMeanEcliptic(equinox=f"J{equinox}")
    if longitude not in ("RA", "GLON", "TLON"):
        raise InputError(f"the sky frame of a WCS with the axes {axes} is not known")
    try:
        return wcs_to_celestial_frame(wcs)
    except ValueError as error:
        raise InputError(
            f"the sky frame of a WCS with the axes {axes} is not known ({error})"
        ) from error


def _axes(wcs):
    """Number of the axis of the longitude, and of the latitude."""
    if is_gwcs(wcs):
        order = getattr(wcs.output_frame, "axes_order", (0, 1))
        return (0, 1) if len(order) != 2 else tuple(int(i) for i in order)
    return wcs.wcs.lng, wcs.wcs.lat


def _is_known(wcs):
    """Whether it is a WCS of FITS or a gwcs: anything else is asked as APE 14 has it."""
    return is_gwcs(wcs) or hasattr(wcs, "all_pix2world")


def _celestial(place, wcs):
    if not isinstance(place, SkyCoord):
        raise InputError(f"the WCS ({type(wcs).__name__}) gives no places on the sky")
    return place


def own_sky(wcs: Any, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of pixels in the frame of the WCS itself.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    x, y : array_like
        0-based pixels, also outside the image.

    Returns
    -------
    longitude, latitude : arrays
        Degrees; NaN where the projection has no sky.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not x.size:
        return np.zeros(x.shape), np.zeros(x.shape)
    if is_gwcs(wcs):
        world = wcs(x, y, with_bounding_box=False)
    elif hasattr(wcs, "all_pix2world"):
        world = wcs.all_pix2world(x, y, 0)
    else:
        raise TypeError(f"own_sky needs a WCS of FITS or a gwcs, got {type(wcs).__name__}")
    first, second = _axes(wcs)
    return np.array(world[first], dtype=float), np.array(world[second], dtype=float)


def sky_of_pixels(wcs: Any, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination (ICRS, degrees) of 0-based pixels.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    x, y : array_like

    Returns
    -------
    ra, dec : arrays
        NaN where a pixel is not finite, or not on the sky.

    Raises
    ------
    InputError
        If the frame of the WCS is not known.
    """
    if not _is_known(wcs):
        sky = _celestial(HighLevelWCSWrapper(wcs).pixel_to_world(x, y), wcs).icrs
        return np.asarray(sky.ra.deg), np.asarray(sky.dec.deg)
    frame = celestial_frame(wcs)
    lon, lat = own_sky(wcs, x, y)
    if isinstance(frame, ICRS):
        return lon % 360.0, lat
    sky = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
    return np.asarray(sky.ra.deg), np.asarray(sky.dec.deg)


def pixels_of_sky(
    wcs: Any, ra: ArrayLike, dec: ArrayLike, shape: tuple[int, int] = (1, 1)
) -> tuple[np.ndarray, np.ndarray]:
    """0-based pixels that see places of the sky, on the frame or off it.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
        A gwcs need not have an inverse.
    ra, dec : array_like
        ICRS, degrees.
    shape : (ny, nx), optional
        Of the image: where a search begins.

    Returns
    -------
    x, y : arrays
        NaN for what is not finite or has no place on this projection.

    Raises
    ------
    InputError
        If the frame of the WCS is not known.
    """
    shape_of_both = np.broadcast_shapes(np.shape(ra), np.shape(dec))
    ra, dec = (np.ravel(np.broadcast_to(np.asarray(v, float), shape_of_both)) for v in (ra, dec))
    x, y = np.full((2, *ra.shape), np.nan)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    if known.any():
        x[known], y[known] = _inverse(wcs, ra[known], dec[known], shape)
    lost = ~(np.isfinite(x) & np.isfinite(y))
    x[lost] = y[lost] = np.nan
    return x.reshape(shape_of_both), y.reshape(shape_of_both)


def _inverse(wcs, ra, dec, shape):
    if is_gwcs(wcs):
        return _searched(wcs, ra, dec, shape)
    if not _is_known(wcs):
        return HighLevelWCSWrapper(wcs).world_to_pixel(SkyCoord(ra * u.deg, dec * u.deg))
    lon, lat = _from_icrs(celestial_frame(wcs), ra, dec)
    world = [lon, lat] if _axes(wcs) == (0, 1) else [lat, lon]
    try:
        return wcs.all_world2pix(*world, 0)
    except NoConvergence as error:
        # the series of a distortion, far off the image: the others are known
        best = np.array(error.best_solution, dtype=float)
        for index in (error.divergent, error.slow_conv):
            if index is not None:
                best[index] = np.nan
        return best.T


def _from_icrs(frame, ra, dec):
    if isinstance(frame, ICRS):
        return ra, dec
    place = SkyCoord(ra * u.deg, dec * u.deg, frame=ICRS()).transform_to(frame).spherical
    return np.asarray(place.lon.deg), np.asarray(place.lat.deg)


def _searched(wcs, ra, dec, shape):
    """By Newton's method, from pixels to the sky alone: a bounding box ends no search."""
    target = _vector(ra, dec)
    east, north = _tangents(ra, dec)
    pixel = np.repeat(np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])[:, None], len(ra), axis=1)
    step = np.full(len(ra), np.inf)
    for _ in range(MOST_STEPS):
        # the pixels and their neighbours on both axes, in the tangent plane of the targets
        x = pixel[0] + np.array([0.0, 0.5, -0.5, 0, 0])[:, None]
        y = pixel[1] + np.array([0.0, 0, 0, 0.5, -0.5])[:, None]
        apart = _vector(*sky_of_pixels(wcs, x, y)) - target[:, None]
        at = np.array([(axis[:, None] * apart).sum(axis=0) for axis in (east, north)])
        jacobian = np.array([at[:, 1] - at[:, 2], at[:, 3] - at[:, 4]])  # [pixel axis, plane axis]
        (a, b), (c, d) = jacobian
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = 1 / (a * d - b * c)
            move = np.array([(d * at[0, 0] - c * at[1, 0]), (a * at[1, 0] - b * at[0, 0])]) * scale
        pixel = pixel - move
        step = np.hypot(*move)
        pixel[:, ~(np.abs(pixel).max(axis=0) < FARTHEST)] = np.nan
        if not (step > PIXEL_ACCURACY).any():
            break
    # on the other side of the sky the tangent plane has a pixel as well
    seen = (_vector(*sky_of_pixels(wcs, *pixel)) * target).sum(axis=0) > 0
    pixel[:, ~((step <= PIXEL_ACCURACY) & seen)] = np.nan
    return pixel


def pixel_side(wcs: Any, x: float, y: float) -> float:
    """Side of the pixel at (x, y), arcsec.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`
    x, y : float

    Returns
    -------
    float
        Root of the pixel's solid angle, from directions in space: the same where
        right ascension passes 0 and at a pole. NaN off the sky.
    """
    corner, along_x, along_y = _vector(
        *sky_of_pixels(wcs, np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    ).T
    area = np.linalg.norm(np.cross(along_x - corner, along_y - corner))
    return float(np.degrees(np.sqrt(area)) * 3600)


def _vector(lon, lat):
    """Directions in space, (3, ...) of degrees."""
    lon, lat = np.radians(lon), np.radians(lat)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _tangents(lon, lat):
    """Unit vectors to the east and to the north; at a pole as by the longitude."""
    lon, lat = np.radians(lon), np.radians(lat)
    east = np.array([-np.sin(lon), np.cos(lon), np.zeros_like(lon)])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return east, north
