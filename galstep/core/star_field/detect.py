"""Stars of a large field: peaks of the matched filter, tile by tile.

The filter is the mean PSF: a detection only needs a place to start from. A tile
is read with a margin, so that its map is that of the whole field.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging import neighbours
from galstep.core.imaging.matched_filter import MatchedFilter, find_peaks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.tiles import Tile

__all__ = [
    "Peaks",
    "apart",
    "field_filter",
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
# Up to this S sums in single precision are good to a tenth of a sigma wherever it is.
SINGLE = 1e6
# White noise bends a map by 4.8 / FWHM^2 (1 sigma) from pixel to pixel: more than this with stars
# of up to 20 pixels. A map that bends less, in rows so far apart, is summed up to rounding.
SMOOTH, COARSE = 0.003, 23


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


@dataclass(frozen=True, eq=False)
class Known:
    """What weights that stay make of the filter.

    Attributes
    ----------
    root : array
        sqrt(sum(w P^2)) on a frame; 0 where too little of the filter lies on good pixels.
    level : float
        The weight of all pixels, if it is one; else 0.
    """

    root: np.ndarray
    level: float


def field_filter(psfs: PsfField) -> MatchedFilter:
    """The core of the mean PSF of a field on native pixels: what stars are found with.

    Parameters
    ----------
    psfs : `galstep.core.star_field.psf.PsfField`
    """
    half = min(psfs.matrix_half_size, MAX_KERNEL_HALF_SIZE)
    centre, shape = np.array([float(half)]), (2 * half + 1,) * 2
    return MatchedFilter(psfs.mean_renderer.render(shape, centre, centre, np.ones(1), half))


def matched_filter_peaks(
    matched: MatchedFilter,
    residual: np.ndarray,
    weight: np.ndarray,
    doubt: np.ndarray | None,
    tile: Tile,
    frame: Tile,
    threshold: float,
    known: Known | None = None,
) -> tuple[Peaks, np.ndarray, Known]:
    """Peaks of the matched filter whose pixel is in a tile.

    S = sum(w r P) / sqrt(sum(w P^2)) (see `galstep.core.detection.detect`), divided by
    sqrt(1 + w doubt^2).

    Parameters
    ----------
    matched : `galstep.core.imaging.matched_filter.MatchedFilter`
    residual, weight : arrays
        On ``frame``: the tile and a margin of at least (k + 1) / 2 + 1.
    doubt : array or None
        Error of what was subtracted, image units.
    tile, frame : `galstep.core.star_field.tiles.Tile`
    threshold : float
        Smallest S.
    known : Known, optional
        What an earlier search of ``frame`` with the same weights has left.

    Returns
    -------
    Peaks
    samples : array
        S on a lattice of the field, of which the scatter is taken.
    known : Known
        For the next search.
    """
    snr, known = _significance(matched, residual, weight, known)

    own = tile.inside(frame)
    lattice = np.ix_(
        *(
            np.arange(part.start + -origin % SAMPLE_STEP, part.stop, SAMPLE_STEP)
            for part, origin in zip(own, (tile.y0, tile.x0), strict=True)
        )
    )
    sampled = known.root[lattice] > 0
    samples = snr[lattice]
    if doubt is not None:
        samples = samples / _doubtful(weight[lattice], doubt[lattice])
        # what is lower is lower than any peak with its doubt, too
        high = np.divmod(np.flatnonzero(snr > threshold), snr.shape[1])
        snr[high] /= _doubtful(weight[high], doubt[high])
    iy, ix, height, y, x = find_peaks(snr, threshold)
    found = Peaks(x + frame.x0, y + frame.y0, height / known.root[iy, ix], height)
    found = found.select(tile.holds(ix + frame.x0, iy + frame.y0))
    return found, samples[sampled], known


def _doubtful(weight, doubt):
    return np.sqrt(1 + weight * doubt**2)


def _significance(matched, residual, weight, known):
    """S, and `Known`; S is 0 where there is too little information."""
    if known is None:
        known = _known(matched, weight)
    image = residual if known.level else weight * residual
    snr = _over_root(matched.correlate(image, exact=False), known)
    if snr.max(initial=0.0) > SINGLE or _without_noise(snr):
        snr = _over_root(matched.correlate(image), known)
    return snr, known


def _without_noise(snr):
    """Whether most of a map is so smooth that rounding makes its peaks."""
    rows = snr[::COARSE]
    bends = np.abs(2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:])
    return bends.size == 0 or np.median(bends) < SMOOTH


def _over_root(signal, known):
    if known.level:
        signal *= known.level
        signal /= known.root
        return signal
    return np.divide(signal, known.root, out=np.zeros(signal.shape), where=known.root > 0)


def _known(matched, weight):
    least, most = weight.min(), weight.max()
    if least == most and most > 0:
        # in a corner of the field a quarter of the PSF is left, and that will do
        return Known(np.sqrt(most) * matched.uniform_root(weight.shape), float(most))
    return Known(_root_of_information(matched, weight), 0.0)


def _root_of_information(matched, weight):
    """sqrt(sum(w P^2)), 0 where there is too little."""
    information = matched.correlate(weight, power=2, exact=False)
    # by pixels that are there, whatever their noise: a bright star's own is no gap
    there = weight > 0
    whole = there.all()
    seen = (
        matched.uniform_root(weight.shape) ** 2
        if whole
        else matched.correlate(there.astype(float), power=2, exact=False)
    )
    covered = (seen > LEAST_COVERAGE * (matched.kernel**2).sum()) & (information > 0)
    return np.sqrt(np.where(covered, information, 0.0))


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
    rank = np.lexsort((found.x, found.y, -found.significance))
    return found.select(neighbours.apart(found.x, found.y, rank, separation, known_x, known_y))


def map_scatter(samples: np.ndarray) -> float:
    """Scatter of the map, at least 1: units of all thresholds.

    Median minus the 15.87th percentile of all samples, so that neither
    undetected stars nor the order of the tiles counts.
    """
    if not len(samples):
        return 1.0
    low, middle = np.percentile(samples, [15.865, 50.0])
    return max(1.0, float(middle - low))
