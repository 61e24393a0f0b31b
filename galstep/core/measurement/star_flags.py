"""Flags of stars that are hard to measure: what is odd about where they lie.

A star is difficult because of its place, whatever the fit made of it: off the
frame, its core under a mask, another star or the galaxy's peak within half a
FWHM. None of these is dropped or treated in another way; its error says what
the pixels tell, and its flag says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.flags import StarFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLOSE_PAIR_FWHM", "place_flags"]

# Below half a FWHM two stars make one peak: the errors of their fluxes are
# several times those of one star, and correlated.
CLOSE_PAIR_FWHM = 0.5


def place_flags(
    mask: np.ndarray,
    fwhm: float,
    x: np.ndarray,
    y: np.ndarray,
    centres: Sequence[Sequence[float] | np.ndarray] = (),
) -> np.ndarray:
    """`StarFlag` bits that follow from the positions alone.

    Parameters
    ----------
    mask : (ny, nx) bool array
        True = bad.
    fwhm : float
        Of the PSF (pixels).
    x, y : (n,) arrays
        Positions (pixels of ``mask``).
    centres : sequence of (x, y), optional
        Of the galaxies.

    Returns
    -------
    (n,) int array
        OFF_FRAME, CORE_MASKED, CLOSE_PAIR and ON_CORE.
    """
    flags, (ny, nx) = np.zeros(len(x), dtype=int), mask.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    flags[~inside] |= int(StarFlag.OFF_FRAME)
    own = np.flatnonzero(inside)
    flags[own[mask[iy[own], ix[own]]]] |= int(StarFlag.CORE_MASKED)
    near = CLOSE_PAIR_FWHM * fwhm
    if len(x) > 1:
        places = np.column_stack([x, y])
        distance, _ = cKDTree(places).query(places, k=2)
        flags[distance[:, 1] < near] |= int(StarFlag.CLOSE_PAIR)
    for x_0, y_0 in centres:
        flags[np.hypot(x - x_0, y - y_0) < near] |= int(StarFlag.ON_CORE)
    return flags
