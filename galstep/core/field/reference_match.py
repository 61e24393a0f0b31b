"""Which sources are reference stars: mutual nearest neighbours on the sky."""

from __future__ import annotations

import numpy as np

__all__ = ["mutual_matches", "near_places", "unmatched"]


def mutual_matches(
    ra: np.ndarray, dec: np.ndarray, ra_ref: np.ndarray, dec_ref: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of which each is the nearest of the other.

    So no star is two sources, and no source two stars.

    Parameters
    ----------
    ra, dec : (N,) arrays
        Degrees; NaN has no partner.
    ra_ref, dec_ref : (M,) arrays
    radius : float
        Largest separation, arcsec.

    Returns
    -------
    index, index_ref : (K,) int arrays
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord, match_coordinates_sky

    own = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    other = np.flatnonzero(np.isfinite(ra_ref) & np.isfinite(dec_ref))
    if not len(own) or not len(other):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    sky = SkyCoord(np.asarray(ra)[own], np.asarray(dec)[own], unit="deg")
    sky_ref = SkyCoord(np.asarray(ra_ref)[other], np.asarray(dec_ref)[other], unit="deg")
    nearest, separation, _ = match_coordinates_sky(sky, sky_ref)
    back, _, _ = match_coordinates_sky(sky_ref, sky)
    mutual = (back[nearest] == np.arange(len(own))) & (separation <= radius * u.arcsec)
    return own[mutual], other[nearest[mutual]]


def near_places(
    x: np.ndarray, y: np.ndarray, x_other: np.ndarray, y_other: np.ndarray, radius: float
) -> np.ndarray:
    """Whether there is one of several places within a radius of each position.

    Parameters
    ----------
    x, y : (N,) arrays
        NaN is near nothing.
    x_other, y_other : (M,) arrays
    radius : float

    Returns
    -------
    (N,) bool array
    """
    from scipy.spatial import cKDTree

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    near = np.zeros(len(x), dtype=bool)
    known = np.isfinite(x) & np.isfinite(y)
    if len(x_other) and known.any():
        tree = cKDTree(np.column_stack([x_other, y_other]))
        distance, _ = tree.query(
            np.column_stack([x[known], y[known]]), distance_upper_bound=radius * (1 + 1e-12)
        )
        near[known] = distance <= radius
    return near


def unmatched(size: int, index: np.ndarray) -> np.ndarray:
    """Indices of 0 ... size - 1 that are not in ``index``."""
    left = np.ones(size, dtype=bool)
    left[index] = False
    return np.flatnonzero(left)
