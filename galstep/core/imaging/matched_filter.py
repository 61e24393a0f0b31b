"""The matched filter of star finding, and the peaks of its map.

One filter for all finders: sums of an image times a kernel about each pixel. The kernel is the
PSF, or the PSF less its mean within a disc (`zero_sum`): then no constant light under it counts.
A peak is the highest of its 3 x 3 pixels, its place the vertex of the parabolas through it and
its neighbours.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import fft, irfft2, next_fast_len, rfft, rfft2

from galstep.core.imaging import _kernels
from galstep.core.imaging.stars import for_kernel

__all__ = ["MatchedFilter", "find_peaks", "parabola_offset", "zero_sum"]

# Rows that are transformed at a time, more or less, of images with more pixels.
STRIP, STRIP_PIXELS = 128, 2**17
# Filters of at most so many pixels a side are summed up as they are: of 11 in half the time of
# the transforms, of 19 as soon.
DIRECT = 15
# Transforms that are kept: frames of a field are few shapes, those within, at an edge, in a corner.
KEPT = 30


class MatchedFilter:
    """A kernel, ready to be correlated with images.

    Parameters
    ----------
    kernel : (k, k) array
        k odd; the star is in the middle, but for a displacement of the band.

    Attributes
    ----------
    kernel : (k, k) array
    """

    def __init__(self, kernel: np.ndarray) -> None:
        self.kernel = kernel
        self.half = len(kernel) // 2
        self._made = {}

    def _once(self, key, make):
        if key not in self._made:
            if len(self._made) > KEPT:
                self._made.clear()
            self._made[key] = make()
        return self._made[key]

    def uniform_root(self, shape: tuple[int, int]) -> np.ndarray:
        """sqrt(sum P^2) over what of the filter lies in a frame, about each of its pixels."""
        return self._once(("root", shape), lambda: np.sqrt(_sums_inside(self.kernel**2, shape)))

    def correlate(self, image: np.ndarray, power: int = 1, exact: bool = True) -> np.ndarray:
        """Sums of an image times P^power about each of its pixels; the image is 0 outside.

        Parameters
        ----------
        image : (ny, nx) array
        power : int, optional
        exact : bool, optional
            To rounding; else a ten-millionth of what is under the filter will do.

        Returns
        -------
        (ny, nx) array
        """
        if exact or not _kernels.COMPILED or len(self.kernel) > DIRECT:
            return self._by_strips(image, power)
        sums = np.empty(image.shape)
        _kernels.correlate_small(for_kernel(image), for_kernel(self.kernel**power), sums)
        return sums

    def _by_strips(self, image, power):
        half, (ny, nx) = self.half, image.shape
        # of a large image in strips that stay in the cache, each with what the filter reaches
        # beside it
        rows, columns = (max(n + half, len(self.kernel)) for n in (ny, nx))
        if rows * columns > STRIP_PIXELS:
            rows = min(rows, max(STRIP, 6 * half))
        height = next_fast_len(rows, real=True)
        padded = height, next_fast_len(columns, real=True)
        transform = self._once((power, padded), lambda: _transform(self.kernel**power, padded))
        sums = np.empty(image.shape)
        step = ny if ny + half <= height else height - 2 * half
        for y in range(0, ny, step):
            low = max(0, y - half)
            product = rfft2(image[low : y + step + half], padded)
            product *= transform
            strip = irfft2(product, padded, overwrite_x=True)
            own = sums[y : y + step]
            own[:] = strip[y - low : y - low + len(own), :nx]
        return sums


def _transform(kernel, shape):
    """What the transform of an image is multiplied with, to correlate it with a kernel."""
    half = len(kernel) // 2
    # the rows that are 0 need no transform along them
    rows = np.zeros((len(kernel), shape[1]))
    rows[:, : kernel.shape[1]] = kernel
    columns = np.zeros((shape[0], shape[1] // 2 + 1), dtype=complex)
    columns[: len(kernel)] = rfft(np.roll(rows, -half, axis=1), axis=1)
    transform = fft(np.roll(columns, -half, axis=0), axis=0, overwrite_x=True)
    return np.conj(transform, out=transform)


def _sums_inside(squares, shape):
    """Sums of a kernel over what of it lies inside a frame, about each pixel."""
    half = len(squares) // 2
    sums = np.pad(np.cumsum(np.cumsum(squares, axis=0), axis=1), ((1, 0), (1, 0)))
    low, high = [], []
    for size in shape:
        place = np.arange(size)
        low.append(np.maximum(half - place, 0))
        high.append(np.minimum(half + size - place, len(squares)))
    (y0, x0), (y1, x1) = low, high
    across = sums[y1] - sums[y0]
    return across[:, x1] - across[:, x0]


def zero_sum(profile: np.ndarray, radius: float) -> np.ndarray:
    """A profile less its mean within a disc, 0 outside: no constant light under it counts.

    A plain matched filter collects every faint star in the wings of the PSF; in a crowded
    field its noise is that of the crowd.

    Parameters
    ----------
    profile : (2h+1, 2h+1) array
    radius : float
        Of the disc about the middle, pixels.

    Returns
    -------
    (2h+1, 2h+1) array
        Sums to zero.
    """
    half = len(profile) // 2
    yy, xx = np.ogrid[-half : half + 1, -half : half + 1]
    disc = xx * xx + yy * yy <= radius * radius
    return np.where(disc, profile - profile[disc].mean(), 0.0)


def parabola_offset(
    before: float | np.ndarray, at: float | np.ndarray, after: float | np.ndarray
) -> float | np.ndarray:
    """Offset of the maximum of a parabola through three points, in [-0.5, 0.5]."""
    curvature = np.minimum(before - 2 * at + after, -1e-12)
    return np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)


def find_peaks(
    map_: np.ndarray, threshold: float, edge: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Local maxima of a map.

    Parameters
    ----------
    map_ : (ny, nx) array
    threshold : float
        A peak is higher.
    edge : bool, optional
        Whether there may be peaks at the edge, beyond which the map is mirrored.

    Returns
    -------
    rows, columns : int arrays
        Of the peaks, in order.
    height : array
    y, x : arrays
        Places to a fraction of a pixel.
    """
    found = np.empty(map_.size, dtype=np.int64)
    map_ = for_kernel(map_)
    count = _kernels.peak_pixels(map_, float(threshold), found)
    rows, columns = np.divmod(found[:count], map_.shape[1])
    if not edge:
        inner = (np.minimum(rows, columns) > 0) & (rows < map_.shape[0] - 1)
        inner &= columns < map_.shape[1] - 1
        rows, columns = rows[inner], columns[inner]
    height = map_[rows, columns]
    ends = [
        [_mirrored(place - 1, n), _mirrored(place + 1, n)]
        for place, n in zip((rows, columns), map_.shape, strict=True)
    ]
    y = rows + parabola_offset(map_[ends[0][0], columns], height, map_[ends[0][1], columns])
    x = columns + parabola_offset(map_[rows, ends[1][0]], height, map_[rows, ends[1][1]])
    return rows, columns, height, y, x


def _mirrored(index, size):
    return np.clip(np.minimum(np.abs(index), 2 * (size - 1) - index), 0, size - 1)
