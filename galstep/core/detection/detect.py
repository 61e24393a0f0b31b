"""Detection of stars on the residuals of all bands, at one threshold.

The matched filter of Stetson (1987) and others: for white noise the map

    S(x) = sum_p w_p r_p P(p - x) / sqrt(sum_p w_p P(p - x)^2)

is the signal-to-noise ratio of a star placed at x. Bands are combined with
spectral templates t as max_t sum_b t_b S_b / |t|: a star seen faintly in every
band is found though no single band shows it.

Unresolved stars and correlated noise make the maps scatter more than one. All
thresholds are therefore in units of the scatter of the map itself, measured on
its lower half, where no undetected star raises it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.vq import kmeans2

from galstep.core.imaging.matched_filter import MatchedFilter
from galstep.core.imaging.matched_filter import find_peaks as local_maxima
from galstep.core.imaging.medians import median, quantile
from galstep.core.imaging.neighbours import apart
from galstep.core.imaging.resample import SceneSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand

__all__ = [
    "Candidates",
    "SignificanceMap",
    "apart_from",
    "colour_templates",
    "find_peaks",
    "has_scene_pixels",
    "lower_scatter",
    "maps_on_scene",
    "matched_filter",
    "significance_map",
    "thinned",
]

# Stars just outside the frame reach in with their wings.
PADDING = 4
# A map pixel counts when it has at least this share of the median information, or of the
# PSF's own P^2 on good pixels.
MIN_COVERAGE = 0.03
# So many values tell a scatter to a percent, and a map's neighbours are not
# independent anyway.
QUANTILE_VALUES = 40_000
MIN_TEMPLATE_STARS = 8
TEMPLATE_SNR = 15.0
MAX_TEMPLATES = 4


@dataclass(frozen=True, eq=False)
class SignificanceMap:
    """The combined matched-filter map of all bands.

    Parameters
    ----------
    combined : (ny + 2 PADDING, nx + 2 PADDING) array
        Largest template significance, in units of its scatter.
    flux : (nb, ...) array
        Flux of a star at each place, per band; 0 where there are no data.
    templates : (nt, nb) array
        Unit templates.
    scatters : (nt,) array
        Scatter of each template's map before division, at least 1.
    covered : bool array
        Where at least one band has data.
    structure : (nb, ...) array, optional
        Flux that a piece of a galaxy may have at each place, 1 sigma, per band: see
        `galstep.core.detection.structure`.
    """

    combined: np.ndarray
    flux: np.ndarray
    templates: np.ndarray
    scatters: np.ndarray
    covered: np.ndarray
    structure: np.ndarray | None = None

    def star_significance(
        self, flux: np.ndarray, error: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> np.ndarray:
        """Significance of fitted stars in the same units.

        ``flux`` and ``error`` are (nb, n_stars), ``x`` and ``y`` (n_stars,) in the scene's
        frame.
        """
        layers = self.templates @ (flux / error) / self.scatters[:, None]
        if self.structure is not None:
            ny, nx = self.combined.shape
            iy = np.clip(np.rint(y).astype(int) + PADDING, 0, ny - 1)
            ix = np.clip(np.rint(x).astype(int) + PADDING, 0, nx - 1)
            own = self.templates @ (self.structure[:, iy, ix] / error) / self.scatters[:, None]
            layers = layers / np.sqrt(1 + own**2)
        return np.max(layers, axis=0, initial=-np.inf)


@dataclass(frozen=True, eq=False)
class Candidates:
    """Peaks of a map: scene positions, flux per band, significance."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    significance: np.ndarray

    def select(self, keep: np.ndarray) -> Candidates:
        """The candidates where ``keep`` says so."""
        return Candidates(self.x[keep], self.y[keep], self.flux[:, keep], self.significance[keep])


def thinned(values: np.ndarray) -> np.ndarray:
    """At most ``QUANTILE_VALUES`` of the values, evenly taken from their order."""
    values = values.ravel()
    return values[:: max(1, -(-len(values) // QUANTILE_VALUES))]


def lower_scatter(values: np.ndarray) -> float:
    """Gaussian sigma from the lower half of a distribution.

    The median minus the 15.87th percentile: undetected sources raise the upper
    half only. Of many values, from `thinned` ones.
    """
    if len(values) == 0:
        return 1.0
    values = thinned(values)
    return median(values) - quantile(values, 0.15865)


def _filter_of(band, shift):
    """The filter of a band; that of a band which is not displaced is kept with its PSF."""
    dx, dy = band.to_pixels(0.0, 0.0, shift) if has_scene_pixels(band) else (0.0, 0.0)
    renderer, half = band.star_renderer, band.star_renderer.matrix_half_size + 4

    def make():
        side = 2 * half + 1
        place = np.array([half + dx]), np.array([half + dy])
        kernel = renderer.render((side, side), *place, np.ones(1), half_sizes=2 * half)
        return MatchedFilter(kernel)

    return make() if dx or dy else renderer.psf.derived("whole matched filter", make)


def matched_filter(
    band: SceneBand, residual: np.ndarray, shift: tuple[float, float] | np.ndarray = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S/N and flux maps of one band, on the frame widened by ``PADDING``.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    residual : (ny, nx) array
        Data - model; 0 where masked.
    shift : (dx, dy), optional
        Registration of the band.

    Returns
    -------
    snr, flux, information : (ny + 2 PADDING, nx + 2 PADDING) arrays
        ``information`` is 1 / variance of the flux. In the scene's frame where
        the band has its pixels (`has_scene_pixels`), else in the band's own; see
        `maps_on_scene`.
    """
    weight = np.pad(band.weight, PADDING)
    star = _filter_of(band, shift)
    signal = star.correlate(np.pad(band.weight * residual, PADDING))
    information = star.correlate(weight, 2)
    inner = information[PADDING:-PADDING, PADDING:-PADDING]
    good = information > MIN_COVERAGE * median(thinned(inner))
    there = np.pad(~band.mask, PADDING)
    if (there & ~good).any():
        # a bright star's own noise is no gap: there it is the pixels that count
        square = band.star_renderer.psf.noise_area
        good |= star.correlate(there.astype(float), 2) * square > MIN_COVERAGE
    good &= information > 0
    information[~good] = 0.0
    known = np.where(good, information, 1.0)
    signal[~good] = 0.0
    return signal / np.sqrt(known), signal / known, information


def has_scene_pixels(band: SceneBand) -> bool:
    """Whether a band's array is the scene's frame but for a small displacement."""
    same = band.on_scene_grid and band.shape == tuple(band.scene_shape)
    return same and np.abs(band.origin).max() < PADDING


def maps_on_scene(
    band: SceneBand,
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
    shift: tuple[float, float] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matched filter of a band, on the scene's frame widened by ``PADDING``.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    maps : (snr, flux, information)
        From `matched_filter`.
    shift : (dx, dy)
        Registration of the band.

    Returns
    -------
    snr, flux, information : arrays
        The same arrays where the band has the scene's pixels. Otherwise the
        significance is interpolated, which varies smoothly over a PSF also
        where the noise does not, and the flux follows from it. Of a band with
        finer pixels than the scene it is the largest in each of the scene's
        pixels: a star may lie anywhere in one.
    """
    if has_scene_pixels(band):
        return maps
    snr, _, information = maps
    sampler = SceneSampler(band, shift, PADDING)
    covered = sampler.covered(information > 0)
    steps = _within_pixel(band.scale)
    places = [SceneSampler(band, shift, PADDING, (dx, dy)) for dx in steps for dy in steps]
    snr = np.where(covered, np.max([place.smooth(snr) for place in places], axis=0), 0.0)
    information = np.where(covered, sampler.linear(information), 0.0)
    noise = np.sqrt(np.where(covered, information, 1.0))
    return snr, snr / noise, information


def _within_pixel(scale):
    """Where along a pixel of the scene to look, for a band with ``scale`` pixels in it."""
    count = int(np.ceil(scale))
    return (np.arange(count) - (count - 1) / 2) / count


def colour_templates(flux: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Spectral templates from the stars themselves, in units of S/N.

    Parameters
    ----------
    flux, error : (nb, n_stars) arrays
        Fitted fluxes and their errors.

    Returns
    -------
    (nt, nb) array
        Unit vectors: k-means centres of the spectra of the stars with total
        S/N above 15, at most four; equal S/N in all bands while there are too
        few. Independent of the order of the bands.
    """
    n_bands = len(flux)
    flat = np.full((1, n_bands), 1 / np.sqrt(n_bands))
    if n_bands == 1 or flux.shape[1] == 0:
        return flat
    typical = np.median(error, axis=1)
    total = np.sqrt((np.maximum(flux / error, 0) ** 2).sum(axis=0))
    bright = total > TEMPLATE_SNR
    if bright.sum() < MIN_TEMPLATE_STARS:
        return flat
    spectra = (flux[:, bright] / typical[:, None]).T
    spectra = np.maximum(spectra, 0)
    spectra = spectra / np.linalg.norm(spectra, axis=1, keepdims=True)
    count = int(min(MAX_TEMPLATES, bright.sum() // 4))
    start = _far_apart(spectra, count)
    centres, labels = kmeans2(spectra, start, minit="matrix", iter=20, missing="warn")
    centres = centres[np.unique(labels)]
    return centres / np.linalg.norm(centres, axis=1, keepdims=True)


def _far_apart(spectra, count):
    """Up to ``count`` different spectra: the most typical, then ever the farthest."""
    chosen = [int(np.argmax(spectra @ spectra.sum(axis=0)))]
    while len(chosen) < count:
        likeness = np.max(spectra @ spectra[chosen].T, axis=1)
        if likeness.min() > 1 - 1e-6:
            break  # all of one colour
        chosen.append(int(np.argmin(likeness)))
    return spectra[chosen]


def significance_map(
    maps: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    templates: np.ndarray,
    structure: Sequence[np.ndarray] | None = None,
) -> SignificanceMap:
    """Combine the matched filters of all bands.

    Parameters
    ----------
    maps : sequence of (snr, flux, information)
        From `matched_filter`, one per band, all on the scene's grid.
    templates : (nt, nb) array
    structure : sequence of arrays, optional
        Per band the flux (1 sigma) that a piece of a galaxy may have at each place of the
        maps. It is the same light in all bands and adds up over them as a star's does.

    Returns
    -------
    SignificanceMap
    """
    snr = np.array([m[0] for m in maps])
    information: Any = np.array([m[2] for m in maps])
    covered = (information > 0).any(axis=0)
    typical = np.array([median(thinned(own)) for own in information])
    well = (information > 0.5 * typical[:, None, None]).all(axis=0)
    well = well if well.any() else covered
    # each band by itself as well: where all bands see the same unresolved stars
    # their sum scatters more than any of them
    templates = np.concatenate([templates, np.eye(len(maps))]) if len(maps) > 1 else templates
    layers = np.tensordot(templates, snr, axes=1)
    scatters = np.array([max(1.0, lower_scatter(layer[well])) for layer in layers])
    layers = layers / scatters[:, None, None]
    if structure is not None:
        own = np.tensordot(templates, np.array(structure) * np.sqrt(information), axes=1)
        layers /= np.sqrt(1 + (own / scatters[:, None, None]) ** 2)
    flux = np.array([m[1] for m in maps])
    pieces = None if structure is None else np.array(structure)
    return SignificanceMap(layers.max(axis=0), flux, templates, scatters, covered, pieces)


def find_peaks(
    map_: SignificanceMap,
    threshold: float,
    known_x: np.ndarray,
    known_y: np.ndarray,
    separation: float,
) -> Candidates:
    """Local maxima above a threshold, away from known stars.

    Parameters
    ----------
    map_ : `SignificanceMap`
    threshold : float
        In units of the map's scatter.
    known_x, known_y : arrays
        Stars already listed (scene positions).
    separation : float
        Smallest distance from a known star, pixels.

    Returns
    -------
    Candidates
        Sorted by falling significance.
    """
    iy, ix, height, y, x = local_maxima(map_.combined, threshold, edge=False)
    found = Candidates(x - PADDING, y - PADDING, map_.flux[:, iy, ix], height)
    found = found.select(map_.covered[iy, ix])
    return apart_from(found, known_x, known_y, separation)


def apart_from(
    found: Candidates, known_x: np.ndarray, known_y: np.ndarray, separation: float
) -> Candidates:
    """Candidates away from known stars and from more significant ones.

    Parameters
    ----------
    found : `Candidates`
    known_x, known_y : arrays
        Scene positions.
    separation : float
        Smallest distance, pixels.

    Returns
    -------
    Candidates
        Sorted by falling significance.
    """
    rank = np.argsort(-found.significance, kind="stable")
    return found.select(apart(found.x, found.y, rank, separation, known_x, known_y))
