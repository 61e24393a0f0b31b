"""Whether a frame's sky is a plane or curved, decided by the frame.

A plane that is fitted to a curved sky leaves it to the galaxy's wings, to the
noise and to the star list, and everything is wrong; a curvature that is not
there costs a few percent of the errors. So the plane stays unless the data
speak clearly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std

from galstep.core.imaging.background import sky_basis

if TYPE_CHECKING:
    from galstep.core.fitting.galaxy_first import GalaxyFirst

__all__ = ["choose_sky_order", "frame_sky_order"]

BLOCK = 16
MIN_BLOCKS = 24
MIN_COVERAGE = 0.5
# In units of the scatter of the blocks, for three more terms. By chance it is
# 3 +- 2.4; unresolved stars and noise correlated over more than a block raise it
# to some tens, a sky that bends by three sigma of a pixel to a thousand.
MIN_IMPROVEMENT = 60.0
# The galaxy's wings are no sky: nothing within so many r_eff, or so many pixels.
WINGS_IN_R_EFF = 3.0
MAX_WINGS = 80.0


def _block_medians(image, good):
    """Medians of square blocks and the places of their centres; NaN if empty."""
    ny, nx = image.shape
    values = []
    for y in range(0, ny - BLOCK + 1, BLOCK):
        for x in range(0, nx - BLOCK + 1, BLOCK):
            part = good[y : y + BLOCK, x : x + BLOCK]
            if part.mean() >= MIN_COVERAGE:
                own = np.median(image[y : y + BLOCK, x : x + BLOCK][part])
                values.append((x + BLOCK // 2, y + BLOCK // 2, own))
    return np.array(values).reshape(-1, 3)


def choose_sky_order(residual: np.ndarray, good: np.ndarray) -> int:
    """Degree of the sky polynomial that a frame needs.

    Parameters
    ----------
    residual : (ny, nx) array
        Data without the galaxy; stars may be in it. Ignored where not ``good``.
    good : (ny, nx) bool array
        Pixels to use: with data, away from the galaxy, and not on stars.

    Returns
    -------
    int
        2 if a quadratic lowers the sum of squares of the blocks' medians by
        more than 60 times their variance about it, else 1.
    """
    blocks = _block_medians(np.where(good, residual, 0.0), good)
    if len(blocks) < MIN_BLOCKS:
        return 1
    x, y, values = blocks[:, 0].astype(int), blocks[:, 1].astype(int), blocks[:, 2]
    terms = sky_basis(residual.shape, 2)[:, y, x].T
    left = []
    for count in (3, 6):
        fitted, *_ = np.linalg.lstsq(terms[:, :count], values, rcond=None)
        left.append(values - terms[:, :count] @ fitted)
    variance = mad_std(left[1]) ** 2 * len(values) / (len(values) - 6)
    if not variance > 0:
        return 1
    improvement = ((left[0] ** 2).sum() - (left[1] ** 2).sum()) / variance
    return 2 if improvement > MIN_IMPROVEMENT else 1


def frame_sky_order(data: np.ndarray, mask: np.ndarray, first: GalaxyFirst) -> int:
    """`choose_sky_order` for a frame with a galaxy and stars in it.

    Parameters
    ----------
    data : (ny, nx) array
        The image, NaN allowed where masked.
    mask : (ny, nx) bool array
        True = bad.
    first : `galstep.core.fitting.galaxy_first.GalaxyFirst`
        The robust fit of the galaxy in this frame, and where stars stand out.

    Returns
    -------
    int
        1 or 2.
    """
    yy, xx = np.indices(mask.shape)
    radius = np.hypot(xx - first.params.x_0, yy - first.params.y_0)
    far = radius > min(WINGS_IN_R_EFF * first.params.r_eff, MAX_WINGS)
    return choose_sky_order(data - first.galaxy, far & ~mask & ~first.star_mask)
