"""Stars of a large field: peaks of the matched filter, tile by tile.

The filter is the mean PSF: a detection only needs a place to start from. A tile
is read with a margin, so that its map is that of the whole field.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.tiles import Tile

__all__ = [
    "MatchedFilter",
    "Peaks",
    "apart",
    "finder_peaks",
    "map_scatter",
    "matched_filter_peaks",
]

# Every so many pixels of the map, on a lattice of the field, measure its scatter.
SAMPLE_STEP = 5
# A pixel of the map counts where this share of the filter's P^2 lies on good pixels.
LEAST_COVERAGE = 0.25
# The filter holds the core of the PSF: more wings find no more stars.
MAX_KERNEL_HALF_SIZE = 10
# Rows of an image that are filtered at a time, more or less.
STRIP = 128


@dataclass(frozen=True, eq=False)
class Peaks:
    """Places (field pixels), fluxes and significances of possible stars."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    significance: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def joined(cls, parts: Iterable[Peaks]) -> Peaks:
        """Several lists one after the other."""
        parts = list(parts)
        if not parts:
            return cls(*(np.zeros(0) for _ in range(4)))
        names = ("x", "y", "flux", "significance")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def select(self, keep: np.ndarray) -> Peaks:
        """The peaks where ``keep`` (boolean or index array) says so."""
        return Peaks(self.x[keep], self.y[keep], self.flux[keep], self.significance[keep])


class MatchedFilter:
    """The core of the mean PSF of a field on native pixels: what stars are found with.

    Parameters
    ----------
    psfs : `galstep.core.star_field.psf.PsfField`

    Attributes
    ----------
    kernel : (k, k) array
    """

    def __init__(self, psfs: PsfField) -> None:
        half = min(psfs.matrix_half_size, MAX_KERNEL_HALF_SIZE)
        centre, shape = np.array([float(half)]), (2 * half + 1,) * 2
        self.kernel = psfs.mean_renderer.render(shape, centre, centre, np.ones(1), half)
        self._made = {}

    def _once(self, key, make):
        # frames of a field have few shapes: those within, at an edge, in a corner
        if key not in self._made:
            if len(self._made) > 30:
                self._made.clear()
            self._made[key] = make()
        return self._made[key]

    def uniform_root(self, shape: tuple[int, int]) -> np.ndarray:
        """sqrt(sum P^2) over what of the filter lies in a frame, about each of its pixels."""
        return self._once(("root", shape), lambda: np.sqrt(_sums_inside(self.kernel**2, shape)))

    def correlate(self, image: np.ndarray, power: int = 1) -> np.ndarray:
        """Sums of an image times P^power about each of its pixels; the image is 0 outside."""
        half, (ny, nx) = len(self.kernel) // 2, image.shape
        # in strips that stay in the cache, each with what the filter reaches beside it
        height = next_fast_len(min(ny + half, STRIP), real=True)
        padded = height, next_fast_len(nx + half, real=True)
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
    centred = np.zeros(shape)
    centred[: len(kernel), : len(kernel)] = kernel
    return np.conj(rfft2(np.roll(centred, (-half, -half), axis=(0, 1))))


def _vertex(before, at, after):
    curvature = np.minimum(before - 2 * at + after, -1e-12)
    return np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)


def matched_filter_peaks(
    matched: MatchedFilter,
    residual: np.ndarray,
    weight: np.ndarray,
    doubt: np.ndarray | None,
    tile: Tile,
    frame: Tile,
    threshold: float,
    root: np.ndarray | None = None,
) -> tuple[Peaks, np.ndarray, np.ndarray]:
    """Peaks of the matched filter whose pixel is in a tile.

    S = sum(w r P) / sqrt(sum(w P^2)) (see `galstep.core.detection.detect`), divided by
    sqrt(1 + w doubt^2).

    Parameters
    ----------
    matched : MatchedFilter
    residual, weight : arrays
        On ``frame``: the tile and a margin of at least (k + 1) / 2 + 1.
    doubt : array or None
        Error of what was subtracted, image units.
    tile, frame : `galstep.core.star_field.tiles.Tile`
    threshold : float
        Smallest S.
    root : array, optional
        sqrt(sum(w P^2)) on ``frame``, if an earlier search with the same weights has left it.

    Returns
    -------
    Peaks
    samples : array
        S on a lattice of the field, of which the scatter is taken.
    root : array
        For the next search; 0 where too little of the filter lies on good pixels.
    """
    snr, root = _significance(matched, residual, weight, root)

    def at(rows, columns):
        found = snr[rows, columns]
        if doubt is not None:
            found /= np.sqrt(1 + weight[rows, columns] * doubt[rows, columns] ** 2)
        return found

    own = tile.inside(frame)
    iy, ix = np.nonzero(snr[own] > threshold)
    iy, ix = iy + own[0].start, ix + own[1].start
    # beyond the edge of the field the map is mirrored, so that peaks there count as well
    rows, columns = (
        [np.abs(i - 1), i, n - 1 - np.abs(n - 1 - (i + 1))]
        for i, n in zip((iy, ix), snr.shape, strict=True)
    )
    middle = at(iy, ix)
    around: Any = [[at(r, c) for c in columns] for r in rows]
    peak = (middle > threshold) & (middle >= np.max(around, axis=(0, 1), initial=-np.inf))
    iy, ix, middle = iy[peak], ix[peak], middle[peak]
    around = np.array(around)[:, :, peak]
    x = ix + _vertex(around[1, 0], middle, around[1, 2]) + frame.x0
    y = iy + _vertex(around[0, 1], middle, around[2, 1]) + frame.y0
    flux = middle / root[iy, ix]
    lattice = np.ix_(
        *(
            np.arange(part.start + -origin % SAMPLE_STEP, part.stop, SAMPLE_STEP)
            for part, origin in zip(own, (tile.y0, tile.x0), strict=True)
        )
    )
    samples = at(*lattice)[root[lattice] > 0]
    return Peaks(x, y, flux, middle), samples, root


def _significance(matched, residual, weight, root=None):
    """S, and the root of the information of a flux; both 0 where there is too little."""
    least, most = weight.min(), weight.max()
    if least == most and most > 0:
        root = np.sqrt(most) * matched.uniform_root(weight.shape)
        # in a corner of the field a quarter of the PSF is left, and that will do
        snr = matched.correlate(residual)
        snr *= most
        snr /= root
        return snr, root
    signal = matched.correlate(weight * residual)
    root = _root_of_information(matched, weight) if root is None else root
    return np.divide(signal, root, out=np.zeros(signal.shape), where=root > 0), root


def _root_of_information(matched, weight):
    """sqrt(sum(w P^2)), 0 where there is too little."""
    information = matched.correlate(weight, power=2)
    # by pixels that are there, whatever their noise: a bright star's own is no gap
    there = weight > 0
    whole = there.all()
    seen = (
        matched.uniform_root(weight.shape) ** 2
        if whole
        else matched.correlate(there.astype(float), power=2)
    )
    covered = (seen > LEAST_COVERAGE * (matched.kernel**2).sum()) & (information > 0)
    return np.sqrt(np.where(covered, information, 0.0))


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


def finder_peaks(
    name: str,
    residual: np.ndarray,
    good: np.ndarray,
    tile: Tile,
    frame: Tile,
    threshold: float,
    fwhm: float,
) -> Peaks:
    """Stars that a finder of photutils sees in a tile.

    Parameters
    ----------
    name : str
        dao or iraf.
    residual : array
        On ``frame``, in units of the noise of a pixel.
    good : bool array
    tile, frame : Tile
    threshold : float
        In the same units, as are the fluxes.
    fwhm : float
        Of the PSF, pixels.

    Returns
    -------
    Peaks
        Significances are the finder's flux in units of the threshold.
    """
    from photutils.detection import DAOStarFinder, IRAFStarFinder
    from photutils.utils.exceptions import NoDetectionsWarning

    finder = {"dao": DAOStarFinder, "iraf": IRAFStarFinder}[name](threshold, fwhm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        table = finder(residual, mask=~good)
    if table is None:
        return Peaks.joined([])
    x = np.asarray(table["x_centroid"]) + frame.x0
    y = np.asarray(table["y_centroid"]) + frame.y0
    peak, flux = np.asarray(table["peak"], float), np.asarray(table["flux"], float)
    found = Peaks(x, y, flux, peak / threshold)
    return found.select(tile.holds(x, y) & np.isfinite(x + y + flux))


def apart(found: Peaks, known_x: np.ndarray, known_y: np.ndarray, separation: float) -> Peaks:
    """Peaks away from known stars and from brighter peaks, brightest first."""
    if len(known_x) and len(found):
        distance, _ = cKDTree(np.column_stack([known_x, known_y])).query(
            np.column_stack([found.x, found.y])
        )
        found = found.select(distance > separation)
    found = found.select(np.lexsort((found.x, found.y, -found.significance)))
    keep = np.ones(len(found), dtype=bool)
    if len(found) > 1:
        pairs = cKDTree(np.column_stack([found.x, found.y])).query_pairs(separation)
        for first, second in sorted(pairs):
            keep[second] &= not keep[first]
    return found.select(keep)


def map_scatter(samples: np.ndarray) -> float:
    """Scatter of the map, at least 1: units of all thresholds.

    Median minus the 15.87th percentile of all samples, so that neither
    undetected stars nor the order of the tiles counts.
    """
    if not len(samples):
        return 1.0
    low, middle = np.percentile(samples, [15.865, 50.0])
    return max(1.0, float(middle - low))
