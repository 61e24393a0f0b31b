"""Pixels that no point source can make: hot, dead, or hit by a particle.

Everything in an image is seen through the PSF. A source that is brightest in
pixel p has in the four neighbours of p at least the share rho of what it has in
p, where rho is the least such share over all places of the source inside p; a
smooth background has more. So with d counted from the local sky and m the mean
of the four neighbours,

    d <= m / rho,

and what exceeds it beyond the noise is no light that came through the optics.
Half of rho is taken, since no PSF is known so well. A pixel far below all its
neighbours is not light either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median_filter

if TYPE_CHECKING:
    from galstep.core.imaging.stars import StarRenderer

__all__ = ["find_spikes", "neighbour_share"]

MARGIN = 0.5
_PHASES = np.linspace(-0.5, 0.5, 9)
_BESIDE = ((-1, 0), (1, 0), (0, -1), (0, 1))
_SKY_SIZE = 7


def neighbour_share(renderer: StarRenderer) -> float:
    """rho: the least mean of the four neighbours over the brightest pixel.

    Parameters
    ----------
    renderer : `galstep.core.imaging.stars.StarRenderer`

    Returns
    -------
    float
    """
    # one star to a cell of 9 x 9 pixels, none reaching into the next
    n_phases = len(_PHASES)
    centre = 4 + 9 * np.arange(n_phases)
    x, y = (grid.ravel() for grid in np.meshgrid(centre + _PHASES, centre + _PHASES))
    half_sizes = np.full(len(x), 3)
    image = renderer.render((9 * n_phases,) * 2, x, y, np.ones(len(x)), half_sizes=half_sizes)
    own = np.ix_(centre, centre)
    around = [image[np.ix_(centre + dy, centre + dx)] for dy, dx in _BESIDE]
    return float(max((np.mean(around, axis=0) / image[own]).min(), 1e-3))


def _neighbours(data, mask):
    """(4, ny, nx) array of the neighbours above, below, left and right, NaN where bad."""
    padded = np.pad(np.where(mask, np.nan, data), 1, constant_values=np.nan)
    return np.array([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])


def find_spikes(
    data: np.ndarray,
    mask: np.ndarray,
    sigma: float | np.ndarray,
    renderer: StarRenderer,
    threshold: float = 10.0,
) -> np.ndarray:
    """Bad pixels that a mask has missed.

    Parameters
    ----------
    data : (ny, nx) array
        The image; values of masked pixels are ignored.
    mask : (ny, nx) bool array
        True = bad.
    sigma : float or (ny, nx) array
        1-sigma noise of single pixels.
    renderer : `galstep.core.imaging.stars.StarRenderer`
        Of the PSF; one that is too sharp finds fewer spikes, not more.
    threshold : float, optional
        By how many sigma a pixel must be beyond what light can do.

    Returns
    -------
    (ny, nx) bool array
        True where a good pixel is a spike or a hole. A pixel with fewer than
        two good neighbours is not judged.
    """
    sigma = np.where(mask, np.inf, np.broadcast_to(sigma, mask.shape))
    around = _neighbours(data, mask)
    n_good = np.isfinite(around).sum(axis=0)
    judged = ~mask & (n_good >= 2)
    filled = np.where(mask, np.median(data[~mask]) if (~mask).any() else 0.0, data)
    sky = np.minimum(median_filter(filled, _SKY_SIZE), filled)
    share = MARGIN * neighbour_share(renderer)
    mean = np.nansum(around - sky, axis=0) / np.maximum(n_good, 1)
    excess = (filled - sky) - np.maximum(mean, 0.0) / share
    noise = sigma * np.sqrt(1 + 1 / (np.maximum(n_good, 1) * share**2))
    hot = excess > threshold * np.where(mean > 0, noise, sigma)
    own = np.where(np.isfinite(around), around, filled)
    low, high = own.min(axis=0), own.max(axis=0)
    # beside a steep source the neighbours differ by more than the noise
    dark = low - filled > threshold * sigma + 0.5 * (high - low)
    return judged & (hot | dark)
