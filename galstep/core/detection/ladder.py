"""Find stars, fit the scene, prune, and again with a lower threshold.

From bright to faint, because a star fitted beside an undetected brighter one
is not the star that is there. After each fit the stars that do not carry their
marginal error are dropped, so that a low threshold costs nothing: near bright
stars and in the galaxy's core a missed star's light has gone into the fit of
its neighbours, the filter underrates it, and only a fit can decide.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std

from galstep.core.detection.core_colours import with_colour_prior
from galstep.core.detection.detect import colour_templates, significance_map
from galstep.core.detection.finder import Look
from galstep.core.detection.ladder_noise import PassNoise
from galstep.core.detection.ladder_options import LadderOptions, LadderResult, threshold_ladder
from galstep.core.detection.outliers import discounted_band
from galstep.core.detection.pruning import merged_pairs, weakest_of_pairs
from galstep.core.detection.star_cuts import failing_stars
from galstep.core.detection.star_fitters import StarFitter, final_fitter, odd_side, with_render_side
from galstep.core.detection.star_search import StarSearch, covered_pixels
from galstep.core.engine.covariance import LateCovariance, covariance_of, scene_covariance
from galstep.core.engine.normal import evaluate, wing_half_sizes
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import ShapeBounds
from galstep.core.engine.structure_fit import solve_structure
from galstep.core.engine.wings import with_far_wings, without_far_wings
from galstep.exceptions import GalstepError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.core.detection.detect import Candidates
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = [
    "Ladder",
    "LadderOptions",
    "LadderResult",
    "known_variance",
    "threshold_ladder",
]

MAX_FINAL_FITS = 3
# Fits at the end with the weights held, and what counts as no gain (chi2).
MAX_LAST_FITS, GAINS_NOTHING = 4, 1.0
# Weights and residuals agree after a few rounds.
ROBUST_FITS = 3

log = logging.getLogger("stpipe.galstep.ladder")


def known_variance(bands: Sequence[SceneBand]) -> list[np.ndarray | None]:
    """Per band the variance of its error plane, None where there is none."""
    return [1 / np.where(b.mask, 1, b.weight) if b.error_known else None for b in bands]


def _shape_change(old, new):
    """Largest change of a shape parameter, the centre in units of r_eff."""
    if not len(new):
        return 0.0
    change = np.abs(new - old)
    change[:, :2] /= np.exp(new[:, 2:3])
    return float(change.max())


@dataclass(frozen=True, eq=False)
class _Saved:
    """What a ladder goes back to when a refit is undone."""

    bands: list
    state: SceneState
    solution: Solution
    maps: list
    images: list
    scatters: list
    templates: np.ndarray
    significance: np.ndarray
    evaluated: tuple


class Ladder:
    """The moving parts of one run: bands, solution and star significances.

    Parameters
    ----------
    bands, base, state, freedom, options, bounds
        See `run_ladder`.

    Attributes
    ----------
    state : `galstep.core.engine.scene.SceneState`
        The scene as it is fitted now.
    solution : `galstep.core.engine.solve.Solution`
        The last fit; stars may have been dropped from ``state`` since.
    final_fitter : callable
        What fits the scene at the end.
    failures, notes : list of str
        See `LadderResult`.
    """

    solution: Solution
    maps: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    evaluated: tuple[SceneState, Evaluation]
    _map: tuple | None
    _covariance: LateCovariance | None

    def __init__(
        self,
        bands: Sequence[SceneBand],
        base: Sequence[np.ndarray | None],
        state: SceneState,
        freedom: Freedom,
        options: LadderOptions,
        bounds: ShapeBounds,
    ) -> None:
        self.bands = [with_render_side(band, options.render_side) for band in bands]
        self.freedom, self.options, self.bounds = freedom, options, bounds
        area = min(band.noise_area_in_scene for band in bands)
        self.fwhm = min(band.fwhm_in_scene for band in bands)
        max_stars = int(options.density * covered_pixels(bands) / area)
        self.search = StarSearch(options, self.fwhm, max_stars)
        self.templates = colour_templates(state.star_flux[:, :0], state.star_flux[:, :0])
        self.significance = np.full(state.n_stars, np.inf)
        self.n_iterations = 0
        self.history, self.failures, self.notes = [], [], []
        # where a fitted star was found insignificant at the lowest threshold:
        # the same peak is not tried again, or the passes would never end
        self.at_floor = False
        self.noise = PassNoise(base, options)
        sharpest = min(band.star_renderer.psf.fwhm for band in bands)
        self.fitter = StarFitter(options.fitter, window=odd_side(options.window * sharpest))
        apart = options.group_separation * self.fwhm
        self.final_fitter = final_fitter(options.refit, self.fitter, apart)
        self.solution, self.state, self.maps = None, state, None
        self.evaluated = None  # the last state with its images
        self._covariance = None  # of the last fit, where it was wanted
        self._map = None  # the last significance map, with what it was made of

    # ------------------------------------------------------------------ fits

    def look(self, reuse: tuple[SceneState, Evaluation] | None = None) -> None:
        """Measure the noise that the start leaves, before anything is fitted.

        With weights that are wrong by the square of ten, as those of single
        pixels are in a crowded frame, the first fit would be of no use. ``reuse`` as for
        `galstep.core.engine.normal.evaluate`.
        """
        half_sizes = [
            wing_half_sizes(band, flux)
            for band, flux in zip(self.bands, self.state.star_flux, strict=True)
        ]
        bands, wings = without_far_wings(self.bands, self.state, half_sizes)
        evaluation = evaluate(bands, self.state, half_sizes, self.freedom, reuse)
        evaluation = with_far_wings(evaluation, wings)
        self.evaluated = self.state, evaluation
        self._measure_noise(anew=True)
        # a galaxy that is known: its profiles are not to reach for its arms first
        known = any(band.structure is not None for band in self.bands)
        if not known and (self.state.galaxy_flux > 0).any() and self._model_structure():
            self._measure_noise()

    def _measure_noise(self, anew=False):
        self.bands, self.maps = self.noise.measure(self.bands, *self.evaluated, anew=anew)

    def _model_structure(self):
        """Solve for the target's structure and take it off the data; whether there is any."""
        if not self.options.modes or not len(self.state.shapes):
            return False
        state, evaluation = self.evaluated
        found = solve_structure(self.bands, state, evaluation)
        if all(own is None for own in (*found, *(band.structure for band in self.bands))):
            return False
        bands = [band.with_structure(own) for band, own in zip(self.bands, found, strict=True)]
        evaluation = evaluation.of_other_data(self.bands, bands)
        self.bands, self.evaluated = bands, (state, evaluation)
        if self.solution is not None:
            self.solution = replace(self.solution, evaluation=evaluation)
        return True

    def fit(self, final: bool = False, structure: bool = False, rough: bool = False) -> None:
        """Fit the scene as it stands and measure the noise it leaves.

        Parameters
        ----------
        final : bool, optional
            To convergence, with the fitter of the end.
        rough : bool, optional
            Then no finer than a fit of a pass.
        structure : bool, optional
            Solve for the target's structure before the noise is looked at.
        """
        options = self.options
        fitter = self.final_fitter if final else self.fitter
        if options.colour_prior and self.state.n_stars and len(self.state.shapes):
            self.state = with_colour_prior(self.state, self.faintest(), self.fwhm)
        self.solution = fitter(
            self.bands,
            self.state,
            self.freedom,
            bounds=self.bounds,
            max_iterations=options.final_iterations if final else options.max_iterations,
            tolerance=options.final_tolerance if final and not rough else options.tolerance,
            reuse=self.evaluated,
            anticipate=rough or not final,
        )
        self._take_solution()
        if structure:
            self._model_structure()
        self._measure_noise(anew=final)

    def _take_solution(self):
        self.state, evaluation = self.solution.state, self.solution.evaluation
        self.evaluated = self.state, evaluation
        self._covariance = None
        self.n_iterations += self.solution.n_iterations

    def end_at_optimum(self) -> None:
        """Go on with the weights that are reported until a fit gains nothing any more.

        Each fit is followed by a new look at the noise: without this the state would be
        the optimum in the weights of a scene that is gone.
        """
        for _ in range(MAX_LAST_FITS):
            self.solution = self.final_fitter(
                self.bands,
                self.state,
                self.freedom,
                bounds=self.bounds,
                max_iterations=self.options.final_iterations,
                tolerance=min(self.options.final_tolerance, 0.5 * GAINS_NOTHING),
                reuse=self.evaluated,
            )
            self._take_solution()
            if not self.solution.gained >= GAINS_NOTHING:  # stars fitted in turn do not say
                return

    def converge(self) -> None:
        """Fit until every star left carries its error.

        No finer than that decision needs where `end_at_optimum` goes on from here.
        """
        rough = self.options.final
        for _ in range(MAX_FINAL_FITS):
            self.fit(final=True, rough=rough)
            if not self.prune(self.options.keep):
                break
        else:
            self.fit(final=True, rough=rough)

    # ----------------------------------------------------------------- stars

    def _significance_map(self):
        """The map of what the last fit left, made once for each look at the noise."""
        made_of = self.maps, self.templates
        if self._map is None or any(a is not b for a, b in zip(self._map[0], made_of, strict=True)):
            self._map = made_of, significance_map(*made_of, self.noise.structure)
        return self._map[1]

    def _look(self):
        state, noise, map_ = self.state, self.noise, self._significance_map()
        return Look(self.bands, noise.images, state.shift, map_, noise.scatters, state.x, state.y)

    def detect(self, threshold: float, near: bool) -> Candidates:
        """Candidates of a pass, see `StarSearch.detect`."""
        bright = self.significance > self.options.near_significance
        return self.search.detect(self._look(), self.state.shapes, bright, threshold, near)

    def leftovers(
        self, threshold: float, separation: float, box_size: int | None = None
    ) -> Candidates:
        """Candidates after a fit, see `StarSearch.leftovers`."""
        look = self._look()
        return self.search.leftovers(look, self.state.shapes, threshold, separation, box_size)

    def add(self, found: Candidates) -> int:
        """Put candidates into the scene; how many they were."""
        if len(found.x):
            self.state = self.state.with_stars(found.x, found.y, found.flux)
        return len(found.x)

    def prune(self, threshold: float) -> bool:
        """Drop insignificant stars, merge close pairs; True if any went."""
        state = self.state
        if state.n_stars == 0:
            return False
        errors = covariance_of(self.solution.equations, state).star_flux_errors(self.bands)
        self.templates = colour_templates(state.star_flux, errors)
        significance = self._significance_map().star_significance(
            state.star_flux, errors, state.x, state.y
        )
        flux, keep = merged_pairs(state, significance, self.options.merge * self.fwhm)
        # a pair that became one star has the pair's flux and no error yet
        merged = (flux != state.star_flux).any(axis=0)
        poor = ~(np.isfinite(significance) & (significance > threshold)) & ~merged
        keep &= ~weakest_of_pairs(state, poor & keep, ~keep, significance, self.fwhm)
        self.state = replace(state, star_flux=flux)
        self.significance = significance
        return self._select(keep)

    def _select(self, keep):
        """Only these stars; True if any went."""
        if self.at_floor:
            self.search.reject(self.state.x_prior[~keep], self.state.y_prior[~keep])
        self.state = self.state.select_stars(keep)
        self.significance = self.significance[keep]
        return not keep.all()

    # ---------------------------------------------------------------- passes

    def climb(self, threshold: float, near: bool) -> tuple[int, float]:
        """One pass: detect, fit, prune. Number found and change of the shape."""
        before = self.state.shapes
        n_found = self.add(self.detect(threshold, near))
        if n_found:
            self.fit(structure=True)
            self.prune(min(self.options.keep, threshold))
        self.note_pass(threshold, n_found)
        return n_found, _shape_change(before, self.state.shapes)

    def note_pass(self, threshold: float, n_found: int = 0) -> None:
        """Write down how things stand after a pass."""
        self.history.append(
            dict(
                threshold=threshold,
                n_found=n_found,
                n_stars=self.state.n_stars,
                shape=self.state.shapes[:1].ravel(),
                chi2=self.solution.chi2,
                noise=[band.sigma for band in self.bands],
            )
        )
        log.debug("%s", self.history[-1])

    def descend(self) -> None:
        """All thresholds from bright to faint."""
        n_empty = 0
        for index, threshold in enumerate(self.options.thresholds):
            n_found, _ = self.climb(threshold, index >= self.options.near_from)
            n_empty = 0 if n_found else n_empty + 1
            if n_empty >= self.options.max_empty:
                break

    def settle(self) -> None:
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

    # ------------------------------------------------------------------- end

    def finish(self, refit: Callable[[Ladder], None]) -> None:
        """The final refit, the cuts, and what no model explains.

        Parameters
        ----------
        refit : callable
            `galstep.core.detection.final_refit.refit_stars`.
        """
        if not self.options.final:
            self.converge()
            return
        refit(self)
        if self.options.background.has_mesh:
            self._note_background()
        if self.options.cuts.any:
            self.cut()
        if self.options.robust != "none" or self.options.clip > 0:
            for _ in range(ROBUST_FITS):
                self._discount_outliers()
                self.fit(final=True)
            self._discount_outliers()
            self._covariance = None  # the weights are others now
        else:
            self.end_at_optimum()

    def _note_background(self):
        """Say what the mesh took off the last detection images."""
        pairs = zip(self.bands, self.solution.evaluation.residuals, self.noise.images, strict=True)
        for band, residual, image in pairs:
            level = (residual - image)[~band.mask]
            if level.size:
                self.note(
                    f"{band.name}: background of the detection image: median "
                    f"{np.median(level):.3g}, scatter {mad_std(level):.3g}"
                )

    def cut(self) -> None:
        """Drop the stars that fail the quality cuts, and fit again without them."""
        state = self.state
        if not state.n_stars:
            return
        failed = failing_stars(
            self.bands, self.solution, self.late_covariance().value, self.options.cuts
        )
        gone = np.any(list(failed.values()), axis=0)
        if not gone.any():
            return
        counts = ", ".join(f"{name} {own.sum()}" for name, own in failed.items() if own.any())
        self.note(f"quality cuts dropped {gone.sum()} of {state.n_stars} stars: {counts}")
        self.at_floor = True
        self._select(~gone)
        self.converge()

    def _discount_outliers(self):
        """Robust weights and clipped pixels, from the residuals of the last fit."""
        options, residuals = self.options, self.solution.evaluation.residuals
        vectors = [
            [band.own_vector(vector, self.state.shift[i]) for vector in self.state.shapes_in(band)]
            for i, band in enumerate(self.bands)
        ]
        self.bands = [
            discounted_band(band, residual, own, options)
            for band, residual, own in zip(self.bands, residuals, vectors, strict=True)
        ]

    def late_covariance(self) -> LateCovariance:
        """The formal covariance of the last fit, when it is wanted."""
        if self._covariance is None:
            make = partial(scene_covariance, self.bands, self.solution, self.freedom)
            self._covariance = LateCovariance(make)
        return self._covariance

    def note(self, text: str) -> None:
        """Say what happened to the stars."""
        self.notes.append(text)
        log.info("%s", text)

    def failed(self, text: str) -> None:
        """Say what went wrong, or raise an error where that is wanted."""
        if self.options.raise_error:
            raise GalstepError(f"star fit failed: {text}")
        self.failures.append(text)
        log.warning("%s", text)

    # ------------------------------------------------- what the refits need

    def identify(self) -> None:
        """Give stars without an identity one below zero, which is no number yet."""
        star_id = self.state.star_id.copy()
        new = np.flatnonzero(star_id == -1)
        lowest = min(star_id.min(initial=-1), -1)
        star_id[new] = lowest - 1 - np.arange(len(new))
        self.state = replace(self.state, star_id=star_id)

    def faintest(self) -> np.ndarray:
        """Per band the flux error of a star by itself, (nb,)."""
        areas = [band.star_renderer.psf.noise_area for band in self.bands]
        return np.array([b.sigma * np.sqrt(a) for b, a in zip(self.bands, areas, strict=True)])

    def residual_scatter(self) -> float:
        """MAD of the residuals in units of the noise of the start, mean of the bands."""
        pairs = zip(self.bands, self.solution.evaluation.residuals, self.noise.first, strict=True)
        scatters = [mad_std(own[~b.mask]) / first for b, own, first in pairs if not b.mask.all()]
        return float(np.mean(scatters))

    def saved(self) -> _Saved:
        """What `restore` goes back to."""
        return _Saved(
            self.bands, self.state, self.solution, self.maps, list(self.noise.images),
            list(self.noise.scatters), self.templates, self.significance, self.evaluated,
        )  # fmt: skip

    def restore(self, saved: _Saved) -> None:
        """Go back to what was `saved`."""
        self.bands, self.state, self.solution = saved.bands, saved.state, saved.solution
        self.maps, self.noise.images = saved.maps, list(saved.images)
        self.noise.scatters = list(saved.scatters)
        self.templates, self.significance = saved.templates, saved.significance
        self.evaluated, self._covariance = saved.evaluated, None
        if self.solution.state.n_stars != self.state.n_stars:
            self.fit()  # stars had been dropped since

    def drop_zeros(self) -> None:
        """Drop stars without any flux: the scene is the same without them."""
        keep = (self.state.star_flux != 0).any(axis=0)
        if not keep.all():
            self._select(keep)
            self.fit(final=True)
