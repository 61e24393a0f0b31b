"""Other ways to fit a scene's stars than all at once on every pixel.

`StarFitter` takes the arguments of `galstep.core.engine.solve.fit_scene` and can stand
in its place. By default it *is* `fit_scene`. With a window, or group by group,
the stars are fitted while galaxy and sky stand still, then these while the stars
stand still, in turn; positions can be pinned or kept within a distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.detection.star_groups import StarsAlone
from galstep.core.engine import normal
from galstep.core.engine.normal import wing_half_sizes
from galstep.core.engine.solve import Solution, fit_scene
from galstep.core.engine.wings import with_far_wings, without_far_wings
from galstep.core.imaging.stars import StarRenderer
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.core.detection.refit_options import FinalRefit
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = [
    "StarFitter",
    "final_fitter",
    "fit_without_stars",
    "odd_side",
    "solution_at",
    "with_render_side",
]

# Stars and galaxy in turn: what one leaves of the other falls by far each time.
MAX_TURNS = 6
# Stars that met their limit are held there, and the others follow.
MAX_BOUND_FITS = 3
# Of the turns, in chi2, unless it is given.
TOLERANCE = 0.1
# What a scene's state says of its stars.
STAR_FIELDS = (
    "x",
    "y",
    "x_prior",
    "y_prior",
    "star_flux",
    "star_id",
    "flux_precision",
    "star_probability",
)
# Width of the prior (pixels) that holds a star.
HELD = 1e-4


@dataclass(frozen=True)
class StarFitter:
    """How stars are fitted.

    Parameters
    ----------
    fitter : callable
        What fits stars, galaxy and sky together.
    window : int
        Side (pixels of the band, odd) of the square in whose pixels stars are
        fitted; 0: every pixel that the PSF reaches.
    separation : float
        Stars nearer to each other than this (pixels of the scene) are fitted
        together, one such group after the other; 0: all together.
    reach : float, optional
        Largest distance (pixels of the scene) from where a star is at the start;
        0: positions are pinned, None: free.

    Raises
    ------
    ParameterError
        If there are windows or groups and ``fitter`` is not `fit_scene`, or the
        window is even.
    """

    fitter: Callable[..., Solution] = fit_scene
    window: int = 0
    separation: float = 0.0
    reach: float | None = None

    def __post_init__(self) -> None:
        if self.window and self.window % 2 == 0:
            raise ParameterError(f"window must be an odd number of pixels, got {self.window}")
        if (self.window or self.separation) and self.fitter is not fit_scene:
            raise ParameterError(
                "galaxy_fitter must be varpro where stars are fitted in windows or by groups"
            )

    def __call__(
        self, bands: Sequence[SceneBand], state: SceneState, freedom: Freedom, **options: Any
    ) -> Solution:
        """Fit; arguments and result as of `galstep.core.engine.solve.fit_scene`.

        The chi2 of the result may be above that of the start where only the
        pixels of a window count.
        """
        if self.reach is None or not freedom.positions or not state.n_stars:
            return self._fit(bands, state, freedom, **options)
        if self.reach == 0:
            pinned = replace(freedom, positions=False)
            return _with_equations(bands, self._fit(bands, state, pinned, **options), freedom)
        return self._fit_within(bands, state, freedom, **options)

    def _fit(self, bands, state, freedom, **options):
        if not (self.window or self.separation) or not state.n_stars:
            return self.fitter(bands, state, freedom, **options)
        return self._fit_in_turn(bands, state, freedom, **options)

    def _fit_within(self, bands, state, freedom, **options):
        """Stars that went beyond their limit are put there, and the rest fitted again."""
        prior = np.broadcast_to(freedom.position_prior, state.x.shape).astype(float)
        centre, start = (state.x_prior, state.y_prior), state
        for _ in range(MAX_BOUND_FITS):
            own = replace(freedom, position_prior=prior)
            solution = self._fit(bands, state, own, **options)
            options["reuse"] = solution.state, solution.evaluation
            state, beyond = _brought_back(solution.state, start, self.reach)
            if not beyond.any():
                break
            prior = np.where(beyond, HELD, prior)
        state = replace(state, x_prior=centre[0], y_prior=centre[1])
        solution = solution_at(bands, state, freedom, solution.converged, solution.n_iterations)
        return _with_equations(bands, solution, freedom)

    def _fit_in_turn(self, bands, state, freedom, **options):
        """Stars, then galaxy and sky, and again."""
        tolerance, n_iterations = options.get("tolerance", TOLERANCE), 0
        options = options | {"reuse": None}
        chi2 = np.inf
        for _ in range(MAX_TURNS):
            inside = [self._windowed(band, i, state) for i, band in enumerate(bands)]
            stars = fit_scene(inside, state, freedom, method=StarsAlone(self.separation), **options)
            rest = fit_without_stars(bands, stars.state, freedom, **options)
            n_iterations += stars.n_iterations + rest.n_iterations
            state, previous = rest.state, chi2
            chi2 = _evaluated(bands, state, freedom).chi2
            if abs(previous - chi2) < tolerance:
                break
        converged = stars.converged and rest.converged
        solution = solution_at(bands, state, freedom, converged, n_iterations)
        return _with_equations(bands, solution, freedom)

    def _windowed(self, band, index, state):
        """The band with weight in the stars' windows only."""
        if not self.window:
            return band
        inside = np.zeros(band.shape, dtype=bool)
        half = self.window // 2
        x, y = band.to_pixels(state.x, state.y, state.shift[index])
        for ix, iy in zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
            rows = slice(max(iy - half, 0), max(iy + half + 1, 0))
            inside[rows, max(ix - half, 0) : max(ix + half + 1, 0)] = True
        return replace(band, weight=np.where(inside, band.weight, 0.0))


def fit_without_stars(
    bands: Sequence[SceneBand], state: SceneState, freedom: Freedom, **options: Any
) -> Solution:
    """Fit galaxy and sky while the stars stay as they are.

    Parameters and result as of `galstep.core.engine.solve.fit_scene`; the evaluation
    is that of the bands without stars.
    """
    half_sizes, own = _half_sizes(bands, state), []
    bands, _ = without_far_wings(bands, state, half_sizes)
    for i, (band, sizes) in enumerate(zip(bands, half_sizes, strict=True)):
        x, y = band.to_pixels(state.x, state.y, state.shift[i])
        light = band.star_renderer.render(band.shape, x, y, state.star_flux[i], half_sizes=sizes)
        own.append(replace(band, data=np.where(band.mask, 0.0, band.data - light)))
    bare = state.select_stars(np.zeros(state.n_stars, dtype=bool))
    solution = fit_scene(own, bare, freedom, **options)
    stars = {name: getattr(state, name) for name in STAR_FIELDS}
    return replace(solution, state=replace(solution.state, **stars))


def with_render_side(band: SceneBand, side: int) -> SceneBand:
    """A band whose stars are drawn in a square of this side (pixels); 0: as they are."""
    if not side:
        return band
    renderer = StarRenderer(band.star_renderer.psf)
    renderer.half_size = min(renderer.half_size, int(side) // 2)
    return replace(band, star_renderer=renderer)


def _half_sizes(bands, state):
    return tuple(
        wing_half_sizes(band, flux) for band, flux in zip(bands, state.star_flux, strict=True)
    )


def _brought_back(state, start, reach):
    """Stars at most ``reach`` from their start, the centre of their prior moved along."""
    dx, dy = state.x - start.x, state.y - start.y
    distance = np.hypot(dx, dy)
    beyond = distance > reach * (1 + 1e-3)
    factor = np.where(beyond, reach / np.maximum(distance, np.finfo(float).tiny), 1.0)
    x, y = start.x + factor * dx, start.y + factor * dy
    moved = dict(
        x_prior=np.where(beyond, x, state.x_prior), y_prior=np.where(beyond, y, state.y_prior)
    )
    return replace(state, x=x, y=y, **moved), beyond


def solution_at(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom,
    converged: bool,
    n_iterations: int,
) -> Solution:
    """A `galstep.core.engine.solve.Solution` at a state, without a step and without equations."""
    evaluation = _evaluated(bands, state, freedom)
    return Solution(state, evaluation, _half_sizes(bands, state), n_iterations, converged)


def _evaluated(bands, state, freedom, reuse=None):
    """A state's images, its stars with their far wings."""
    half_sizes = _half_sizes(bands, state)
    bands, wings = without_far_wings(bands, state, half_sizes)
    return with_far_wings(normal.evaluate(bands, state, half_sizes, freedom, reuse), wings)


def _with_equations(bands, solution, freedom):
    """A solution with the normal equations of everything that is free in the scene."""
    state, half_sizes = solution.state, solution.half_sizes
    evaluation = _evaluated(bands, state, freedom, (state, solution.evaluation))
    equations = normal.normal_equations(bands, state, evaluation, half_sizes, freedom)
    return replace(solution, evaluation=evaluation, equations=equations)


def final_fitter(refit: FinalRefit, plain: StarFitter, group_separation: float) -> StarFitter:
    """What fits the scene at the end of a ladder.

    Parameters
    ----------
    refit : `galstep.core.detection.refit_options.FinalRefit`
    plain : `StarFitter`
        That of the passes.
    group_separation : float
        Stars closer than this are in one group, pixels of the scene.

    Returns
    -------
    callable
        As `galstep.core.engine.solve.fit_scene`.
    """
    if refit.method != "iterative":
        return plain
    return StarFitter(
        plain.fitter,
        window=refit.window or plain.window,
        separation=0.0 if refit.together else group_separation,
        reach=refit.reach,
    )


def odd_side(size: float) -> int:
    """The next odd whole number, 3 at least; 0 stays 0."""
    return max(3, 2 * int(np.ceil((size - 1) / 2)) + 1) if size > 0 else 0
