"""Find stars, fit the scene, prune, and again with a lower threshold.

From bright to faint, because a star fitted beside an undetected brighter one
is not the star that is there. After each fit the stars that do not carry their
marginal error are dropped, so that a low threshold costs nothing: near bright
stars and in the galaxy's core a missed star's light has gone into the fit of
its neighbours, the filter underrates it, and only a fit can decide.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.covariance import covariance_of, scene_covariance
from galstep.core.detect import colour_templates, find_peaks, significance_map
from galstep.core.noise import update_noise
from galstep.core.normal import evaluate, wing_half_sizes
from galstep.core.robust import with_robust_weights
from galstep.core.scene import Freedom
from galstep.core.solve import ShapeBounds, fit_scene

__all__ = ["LadderOptions", "LadderResult", "known_variance", "run_ladder", "threshold_ladder"]

MAX_FINAL_FITS = 3
# Weights and residuals agree after a few rounds.
ROBUST_FITS = 3

log = logging.getLogger("stpipe.galstep.ladder")


@dataclass(frozen=True)
class LadderOptions:
    """How stars are found. Lengths are in units of the sharpest band's FWHM.

    Parameters
    ----------
    thresholds : tuple of float
        Detection thresholds in units of the map's scatter, one per pass, from
        bright to faint.
    max_empty : int
        The descent ends after so many passes in a row without a new star.
    floor_passes : int
        Largest number of further passes at the lowest threshold.
    min_passes, patience, shape_tolerance
        The floor passes end when ``patience`` passes in a row changed no shape
        parameter by more than ``shape_tolerance`` (the centre in units of
        r_eff, ln r_eff, e1, e2, ln n), after at least ``min_passes``.
    keep : float
        A fitted star stays while its significance is above this.
    near_threshold : float
        Threshold within ``near_radius`` of a star with significance above
        ``near_significance`` and within ``core_radius`` (r_eff), at most
        ``core_reach``, of the galaxy's centre, from pass ``near_from`` (0 = first) on.
    separation, merge : float
        Smallest distance of a new peak from a known star; pairs closer than
        ``merge`` become one star.
    density : float
        Largest number of stars per noise area of the sharpest band's PSF; a
        field of unresolved stars is left to the noise model beyond it.
    max_iterations, final_iterations : int
        Steps of the fit per pass, and at the end.
    tolerance, final_tolerance : float
        In chi2.
    robust, robust_scale
        Loss of the final fits and its scale (`galstep.core.robust`).
    fitter : callable
        What fits the scene after each pass: `galstep.core.solve.fit_scene`, or
        another with its arguments (`galstep.core.simplex.fit_simplex`).
    """

    thresholds: tuple = (6.0, 4.5)
    max_empty: int = 3
    floor_passes: int = 1
    min_passes: int = 0
    patience: int = 1
    shape_tolerance: float = 1e-3
    keep: float = 4.5
    near_threshold: float = 2.5
    near_radius: float = 1.35
    near_significance: float = 10.0
    core_radius: float = 1.0
    core_reach: float = 4.0
    near_from: int = 1
    separation: float = 0.23
    merge: float = 0.15
    density: float = 0.2
    max_iterations: int = 3
    final_iterations: int = 8
    tolerance: float = 5.0
    final_tolerance: float = 0.5
    robust: str = "none"
    robust_scale: float = 3.0
    fitter: object = fit_scene


@dataclass(frozen=True, eq=False)
class LadderResult:
    """The fitted scene and its stars.

    ``bands`` carry the weights of the last noise estimate, ``covariance`` is
    the formal one, ``significance`` that of each star, ``limited`` says that
    the density bound cut the list. ``history`` has a dict per pass: threshold, n_found, n_stars,
    shape (of the first galaxy), chi2.
    """

    bands: list
    solution: object
    covariance: object
    significance: np.ndarray
    limited: bool
    history: list
    n_iterations: int


def threshold_ladder(highest, lowest, count):
    """``count`` thresholds in equal ratios from ``highest`` down to ``lowest``.

    The last is always ``lowest``; a ``highest`` below it counts as equal.
    """
    if count == 1:
        return (float(lowest),)
    return tuple(float(t) for t in np.geomspace(max(highest, lowest), lowest, count))


def known_variance(bands):
    """Per band the variance of its error plane, None where there is none."""
    return [1 / np.where(b.mask, 1, b.weight) if b.error_known else None for b in bands]


def _shape_change(old, new):
    """Largest change of a shape parameter, the centre in units of r_eff."""
    if not len(new):
        return 0.0
    change = np.abs(new - old)
    change[:, :2] /= np.exp(new[:, 2:3])
    return float(change.max())


def _covered_pixels(bands):
    """Number of the scene's pixels with data in a band at least."""
    if all(band.in_scene_frame for band in bands):
        return np.count_nonzero(~np.all([band.mask for band in bands], axis=0))
    return max(np.count_nonzero(~band.mask) / band.scale**2 for band in bands)


class _Ladder:
    """The moving parts of one run: bands, solution and star significances."""

    def __init__(self, bands, base, state, freedom, options, bounds):
        self.bands, self.base = list(bands), base
        self.freedom, self.options, self.bounds = freedom, options, bounds
        area = min(band.noise_area_in_scene for band in bands)
        self.fwhm = min(band.fwhm_in_scene for band in bands)
        self.max_stars = int(options.density * _covered_pixels(bands) / area)
        self.templates = colour_templates(state.star_flux[:, :0], state.star_flux[:, :0])
        self.significance = np.full(state.n_stars, np.inf)
        self.limited, self.n_iterations = False, 0
        self.history = []
        # where a fitted star was found insignificant at the lowest threshold:
        # the same peak is not tried again, or the passes would never end
        self.rejected, self.at_floor = np.zeros((0, 2)), False
        self.solution, self.state, self.maps = None, state, None
        self.evaluated = None  # the last state with its images

    def look(self):
        """Measure the noise that the start leaves, before anything is fitted.

        With weights that are wrong by the square of ten, as those of single
        pixels are in a crowded frame, the first fit would be of no use.
        """
        half_sizes = [
            wing_half_sizes(band, flux)
            for band, flux in zip(self.bands, self.state.star_flux, strict=True)
        ]
        evaluation = evaluate(self.bands, self.state, half_sizes, self.freedom)
        self.evaluated = self.state, evaluation
        self._measure_noise(evaluation)

    def fit(self, final=False):
        """Fit the scene as it stands and measure the noise it leaves."""
        options = self.options
        self.solution = options.fitter(
            self.bands,
            self.state,
            self.freedom,
            bounds=self.bounds,
            max_iterations=options.final_iterations if final else options.max_iterations,
            tolerance=options.final_tolerance if final else options.tolerance,
            reuse=self.evaluated,
            anticipate=not final,
        )
        self.state = self.solution.state
        self.evaluated = self.state, self.solution.evaluation
        self.n_iterations += self.solution.n_iterations
        self._measure_noise(self.solution.evaluation)

    def _measure_noise(self, evaluation):
        state, maps = self.state, []
        for i, band in enumerate(self.bands):
            residual = evaluation.residuals[i]
            sky = np.tensordot(state.sky[i], band.basis, axes=1)
            light = band.data - residual - sky
            core = band.core(state, state.shift[i])
            self.bands[i], own = update_noise(
                band, self.base[i], residual, light, evaluation.stars[i], core, state.shift[i]
            )
            maps.append(own)
        self.maps = maps

    def _in_core(self, x, y):
        """Whether places are in the core of a galaxy, where its profile is steep."""
        options, inside = self.options, np.zeros(len(x), dtype=bool)
        for shape in self.state.shapes:
            reach = min(options.core_radius * np.exp(shape[2]), options.core_reach * self.fwhm)
            inside |= np.hypot(x - shape[0], y - shape[1]) < reach
        return inside

    def detect(self, threshold, near):
        """Peaks above the threshold; lower ones near bright stars and cores."""
        options, state = self.options, self.state
        near = near and options.near_threshold < threshold
        found = find_peaks(
            significance_map(self.maps, self.templates),
            options.near_threshold if near else threshold,
            state.x,
            state.y,
            options.separation * self.fwhm,
        )
        keep = found.significance > threshold
        if near and len(found.x):
            keep |= self._in_core(found.x, found.y)
            bright = self.significance > options.near_significance
            if bright.any():
                tree = cKDTree(np.column_stack([state.x[bright], state.y[bright]]))
                distance, _ = tree.query(np.column_stack([found.x, found.y]))
                keep |= distance < options.near_radius * self.fwhm
        if len(self.rejected) and len(found.x):
            distance, _ = cKDTree(self.rejected).query(np.column_stack([found.x, found.y]))
            keep &= distance > options.separation * self.fwhm
        found = found.select(np.flatnonzero(keep))
        room = max(0, self.max_stars - state.n_stars)
        if len(found.x) > room:
            self.limited = True
            found = found.select(np.arange(room))
        return found

    def prune(self, threshold):
        """Drop insignificant stars, merge close pairs; True if any went."""
        state = self.state
        if state.n_stars == 0:
            return False
        errors = covariance_of(self.solution.equations, state).star_flux_errors(self.bands)
        self.templates = colour_templates(state.star_flux, errors)
        combined = significance_map(self.maps, self.templates)
        significance = combined.star_significance(state.star_flux, errors)
        flux, keep = self._merged(significance)
        # a pair that became one star has the pair's flux and no error yet
        merged = (flux != state.star_flux).any(axis=0)
        poor = ~(np.isfinite(significance) & (significance > threshold)) & ~merged
        keep &= ~self._weakest(poor & keep, ~keep, significance)
        if self.at_floor:
            dropped = np.column_stack([state.x_prior, state.y_prior])[~keep]
            self.rejected = np.concatenate([self.rejected, dropped])
        self.state = replace(state, star_flux=flux).select_stars(keep)
        self.significance = significance[keep]
        return not keep.all()

    def _weakest(self, poor, gone, significance):
        """Of the poor stars, those that may be dropped now.

        Where stars overlap each is insignificant beside the others; dropping
        all of them would lose their light. So one of a pair goes at a time, and
        none beside a star that is going already.
        """
        if not poor.any():
            return poor
        poor = poor.copy()
        tree = cKDTree(np.column_stack([self.state.x, self.state.y]))
        for a, b in tree.query_pairs(self.fwhm, output_type="ndarray"):
            if gone[a] or gone[b]:
                poor[[a, b]] &= gone[[a, b]]
            elif poor[a] and poor[b]:
                poor[a if significance[a] > significance[b] else b] = False
        return poor

    def _merged(self, significance):
        state, flux = self.state, self.state.star_flux.copy()
        keep = np.ones(state.n_stars, dtype=bool)
        if state.n_stars > 1 and self.options.merge > 0:
            tree = cKDTree(np.column_stack([state.x, state.y]))
            reach = self.options.merge * self.fwhm
            for a, b in tree.query_pairs(reach, output_type="ndarray"):
                if keep[a] and keep[b]:
                    weak, strong = (a, b) if significance[a] < significance[b] else (b, a)
                    keep[weak] = False
                    flux[:, strong] += flux[:, weak]
        return flux, keep

    def climb(self, threshold, near):
        """One pass: detect, fit, prune. Number found and change of the shape."""
        before = self.state.shapes
        found = self.detect(threshold, near)
        if len(found.x):
            self.state = self.state.with_stars(found.x, found.y, found.flux)
            self.fit()
            self.prune(min(self.options.keep, threshold))
        self.history.append(
            dict(
                threshold=threshold,
                n_found=len(found.x),
                n_stars=self.state.n_stars,
                shape=self.state.shapes[:1].ravel(),
                chi2=self.solution.chi2,
            )
        )
        log.debug("%s", self.history[-1])
        return len(found.x), _shape_change(before, self.state.shapes)

    def descend(self):
        """All thresholds from bright to faint."""
        n_empty = 0
        for index, threshold in enumerate(self.options.thresholds):
            n_found, _ = self.climb(threshold, index >= self.options.near_from)
            n_empty = 0 if n_found else n_empty + 1
            if n_empty >= self.options.max_empty:
                break

    def settle(self):
        """Passes at the lowest threshold until the galaxy stands still."""
        options, quiet = self.options, 0
        if not options.thresholds:
            return
        self.at_floor = True
        for index in range(options.floor_passes):
            n_found, change = self.climb(options.thresholds[-1], near=True)
            quiet = quiet + 1 if change < options.shape_tolerance else 0
            if (quiet >= options.patience or not n_found) and index + 1 >= options.min_passes:
                return

    def finish(self):
        """Fit to convergence; every star left carries its error."""
        for _ in range(MAX_FINAL_FITS):
            self.fit(final=True)
            if not self.prune(self.options.keep):
                break
        else:
            self.fit(final=True)
        if self.options.robust != "none":
            for _ in range(ROBUST_FITS):
                self._discount_outliers()
                self.fit(final=True)
            self._discount_outliers()

    def _discount_outliers(self):
        """Robust weights, from the residuals of the last fit."""
        options, residuals = self.options, self.solution.evaluation.residuals
        self.bands = [
            with_robust_weights(band, residual, options.robust, options.robust_scale)
            for band, residual in zip(self.bands, residuals, strict=True)
        ]


def run_ladder(
    bands, state, freedom=Freedom(), options=LadderOptions(), bounds=ShapeBounds(), base=None
):
    """Find and fit all stars of a scene, together with galaxy and sky.

    Parameters
    ----------
    bands : sequence of `galstep.core.scene.SceneBand`
    state : `galstep.core.scene.SceneState`
        The start; stars in it are kept while they are significant.
    freedom : `galstep.core.scene.Freedom`, optional
    options : `LadderOptions`, optional
    bounds : `galstep.core.solve.ShapeBounds`, optional
    base : sequence of (ny, nx) arrays or None, optional
        Per band the variance of its error plane, None where there is none; by
        default `known_variance` of the bands.

    Returns
    -------
    LadderResult
    """
    base = known_variance(bands) if base is None else base
    ladder = _Ladder(bands, base, state, freedom, options, bounds)
    ladder.look()
    ladder.fit()
    ladder.prune(min((options.keep, *options.thresholds[:1])))
    ladder.descend()
    ladder.settle()
    ladder.finish()
    return LadderResult(
        bands=ladder.bands,
        solution=ladder.solution,
        covariance=scene_covariance(ladder.bands, ladder.solution, freedom),
        significance=ladder.significance,
        limited=ladder.limited,
        history=ladder.history,
        n_iterations=ladder.n_iterations,
    )
