"""Stars of a large field: peaks of the matched filter, tile by tile.

The filter is the mean PSF: a detection only needs a place to start from. A tile
is read with a margin, so that its map is that of the whole field.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from photutils.detection import DAOStarFinder, IRAFStarFinder
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.signal import oaconvolve
from scipy.spatial import cKDTree

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
# A pixel of the map counts with this share of the information of a whole PSF.
LEAST_COVERAGE = 0.25
# The filter holds the core of the PSF: more wings find no more stars.
MAX_KERNEL_HALF_SIZE = 10


@dataclass(frozen=True, eq=False)
class Peaks:
    """Places (field pixels), fluxes and significances of possible stars."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    significance: np.ndarray

    def __len__(self):
        return len(self.x)

    @classmethod
    def joined(cls, parts):
        """Several lists one after the other."""
        parts = list(parts)
        if not parts:
            return cls(*(np.zeros(0) for _ in range(4)))
        names = ("x", "y", "flux", "significance")
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))

    def select(self, keep):
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

    def __init__(self, psfs):
        half = min(psfs.matrix_half_size, MAX_KERNEL_HALF_SIZE)
        centre, shape = np.array([float(half)]), (2 * half + 1,) * 2
        self.kernel = psfs.mean_renderer.render(shape, centre, centre, np.ones(1), half)
        self._roots = {}

    def uniform_root(self, shape):
        """sqrt(sum P^2) over what of the filter lies in a frame, about each of its pixels."""
        if shape not in self._roots:
            # frames of a field have few shapes: those within, at an edge, in a corner
            if len(self._roots) > 9:
                self._roots.clear()
            self._roots[shape] = np.sqrt(_sums_inside(self.kernel**2, shape))
        return self._roots[shape]


def _correlate(image, kernel):
    return oaconvolve(image, kernel[::-1, ::-1], mode="same")


def _vertex(before, at, after):
    curvature = np.minimum(before - 2 * at + after, -1e-12)
    return np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)


def matched_filter_peaks(matched, residual, weight, doubt, tile, frame, threshold):
    """Peaks of the matched filter whose pixel is in a tile.

    S = sum(w r P) / sqrt(sum(w P^2)) (see `galstep.core.detect`), divided by
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

    Returns
    -------
    Peaks
    samples : array
        S on a lattice of the field, of which the scatter is taken.
    """
    snr, root = _significance(matched, residual, weight)
    if doubt is not None:
        snr /= np.sqrt(1 + weight * doubt**2)
    own = tile.inside(frame)
    high = np.flatnonzero(snr[own] > threshold)
    iy, ix = np.unravel_index(high, tile.shape)
    # one more pixel all round, so that peaks at the edge of the field count as well
    around = np.pad(snr, 1, mode="reflect")
    iy, ix = iy + tile.y0 - frame.y0 + 1, ix + tile.x0 - frame.x0 + 1
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    peak = np.all([around[iy, ix] >= around[iy + dy, ix + dx] for dy, dx in steps], axis=0)
    iy, ix = iy[peak], ix[peak]
    at = around[iy, ix]
    x = ix - 1 + _vertex(around[iy, ix - 1], at, around[iy, ix + 1]) + frame.x0
    y = iy - 1 + _vertex(around[iy - 1, ix], at, around[iy + 1, ix]) + frame.y0
    flux = at / root[iy - 1, ix - 1]
    first = [-origin % SAMPLE_STEP for origin in (tile.y0, tile.x0)]
    lattice = np.s_[first[0] :: SAMPLE_STEP, first[1] :: SAMPLE_STEP]
    samples = snr[own][lattice][root[own][lattice] > 0]
    return Peaks(x, y, flux, at), samples


def _significance(matched, residual, weight):
    """S, and the root of the information of a flux; both 0 where there is too little."""
    kernel = matched.kernel
    least, most = weight.min(), weight.max()
    if least == most and most > 0:
        root = np.sqrt(most) * matched.uniform_root(weight.shape)
        # in a corner of the field a quarter of the PSF is left, and that will do
        return most * _correlate(residual, kernel) / root, root
    signal = _correlate(weight * residual, kernel)
    information = _correlate(weight, kernel**2)
    full = np.median(weight[weight > 0]) * (kernel**2).sum() if most > 0 else 1.0
    covered = information > LEAST_COVERAGE * full
    root = np.sqrt(np.where(covered, information, 0.0))
    return np.divide(signal, root, out=np.zeros(signal.shape), where=covered), root


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
    return sums[np.ix_(y1, x1)] - sums[np.ix_(y0, x1)] - sums[np.ix_(y1, x0)] + sums[np.ix_(y0, x0)]


def finder_peaks(name, residual, good, tile, frame, threshold, fwhm):
    """Stars that a finder of photutils sees in a tile.

    Parameters
    ----------
    name : str
        dao or iraf.
    residual : array
        On ``frame``.
    good : bool array
    tile, frame : Tile
    threshold : float
        Image units.
    fwhm : float
        Of the PSF, pixels.

    Returns
    -------
    Peaks
        Significances are the finder's flux in units of the threshold.
    """
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


def apart(found, known_x, known_y, separation):
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


def map_scatter(samples):
    """Scatter of the map, at least 1: units of all thresholds.

    Median minus the 15.87th percentile of all samples, so that neither
    undetected stars nor the order of the tiles counts.
    """
    if not len(samples):
        return 1.0
    low, middle = np.percentile(samples, [15.865, 50.0])
    return max(1.0, float(middle - low))
