"""What a fit of given stars may do: positions held, fluxes not negative, or free in bounds.

Each is the engine's own fit of a scene (`galstep.core.engine.solve.fit_scene`) with a
condition on the stars that least squares by itself does not know:

    linear       positions held, fluxes of any sign; one linear problem
    nonnegative  positions held, fluxes at or above zero: least squares on the
                 active set (Lawson & Hanson 1974, ch. 23, in the block form of
                 Portugal, Judice & Vicente 1994, Math. Comp. 63, 625)
    free         positions follow the data up to a distance from where they were
                 given, with a Gaussian prior of that width
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.detection.ladder_options import ONE_PASS, LadderOptions
from galstep.core.engine import normal
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError
from galstep.options import option, options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = ["MODES", "ForcedFit", "as_listed", "at_bound", "fit_nonnegative"]

MODES = ("linear", "nonnegative", "free")
#: The largest distance (pixels) that a free position may move, by default.
XY_BOUNDS = 1.0
# Rounds of the active set in which all fluxes of the wrong sign may change
# sides at once without there being fewer of them, and rounds in all.
BLOCK_ROUNDS, MAX_ROUNDS = 3, 60
# The problem is linear or nearly so: it may as well be solved (chi2).
TOLERANCE = 0.05
# A star at its bound is held as if known to this (pixels); rounds of finding
# which stars are.
HELD, BOUND_ROUNDS = 1e-4, 4
# Where a step ends within this share of the bound it was the bound that ended it.
NEAR_BOUND = 0.99


def as_listed(fitter: Callable[..., Solution] = fit_scene) -> LadderOptions:
    """Options of the ladder that fit the stars there are: no search, no pruning."""
    return replace(ONE_PASS, thresholds=(), floor_passes=0, keep=-np.inf, merge=0.0, fitter=fitter)


@options
class ForcedFit:
    """How given stars are fitted.

    Raises
    ------
    ParameterError
        If there is no such mode, or the distance is not positive.
    """

    mode: str = option(
        default="linear",
        help="Positions held and fluxes of any sign; positions held and no flux below zero; "
        "positions free within xy_bounds",
        choices=MODES,
    )
    xy_bounds: float = option(
        default=XY_BOUNDS,
        help="Largest distance from the given position in mode free (pixels of the filter); also "
        "the width of a Gaussian prior",
        least=0.001,
        most=100,
    )

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ParameterError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not 0 < self.xy_bounds < np.inf:
            raise ParameterError(f"xy_bounds must be positive pixels, got {self.xy_bounds!r}")

    def freedom(self, shape: tuple[bool, ...] = (False,) * 6) -> Freedom:
        """The `galstep.core.engine.scene.Freedom` of the mode, with this freedom of the galaxy."""
        if self.mode == "free":
            return Freedom(shape=shape, position_prior=self.xy_bounds)
        return Freedom(shape=shape, positions=False)

    def options(self) -> LadderOptions:
        """The `galstep.core.detection.ladder.LadderOptions` of the mode."""
        fitters = {"linear": fit_scene, "nonnegative": fit_nonnegative, "free": self._in_bounds}
        return replace(as_listed(fitters[self.mode]), final_tolerance=TOLERANCE)

    def _in_bounds(self, bands, state, freedom=Freedom(), **options):
        """`galstep.core.engine.solve.fit_scene`; a star that leaves its circle is held on it."""
        solution = fit_scene(bands, state, freedom, **options)
        held = np.zeros(state.n_stars, dtype=bool)
        for _ in range(BOUND_ROUNDS):
            now = solution.state
            dx, dy = now.x - state.x_prior, now.y - state.y_prior
            moved = np.hypot(dx, dy)
            beyond = moved > self.xy_bounds * (1 + 1e-9)
            if not (beyond & ~held).any():
                break
            held |= beyond
            shrink = np.where(beyond, self.xy_bounds / np.maximum(moved, self.xy_bounds), 1.0)
            x, y = state.x_prior + shrink * dx, state.y_prior + shrink * dy
            prior = np.where(held, HELD, freedom.position_prior)
            start = replace(
                now, x=x, y=y,
                x_prior=np.where(held, x, state.x_prior), y_prior=np.where(held, y, state.y_prior),
            )  # fmt: skip
            own = replace(freedom, position_prior=prior)
            solution = fit_scene(bands, start, own, **options | {"reuse": None})
        return _with_state(solution, replace(
            solution.state, x_prior=state.x_prior, y_prior=state.y_prior
        ))  # fmt: skip


def at_bound(
    x: np.ndarray, y: np.ndarray, x_given: np.ndarray, y_given: np.ndarray, fit: ForcedFit
) -> np.ndarray:
    """Which stars' positions ended where the bound is.

    Parameters
    ----------
    x, y, x_given, y_given : (n,) arrays
        Fitted and given positions (pixels).
    fit : `ForcedFit`

    Returns
    -------
    (n,) bool array
        False in modes that hold positions.
    """
    moved = np.hypot(x - x_given, y - y_given)
    return (fit.mode == "free") & (moved > NEAR_BOUND * fit.xy_bounds)


def _with_state(solution, state):
    return replace(solution, state=state)


def fit_nonnegative(
    bands: Sequence[SceneBand], state: SceneState, freedom: Freedom = Freedom(), **options: Any
) -> Solution:
    """`galstep.core.engine.solve.fit_scene` with star fluxes at or above zero.

    Stars whose flux would be negative are taken out of the scene; one that the
    residual then asks for (positive gradient) comes back. Where neither is left,
    the conditions of Karush, Kuhn and Tucker hold, and the problem being convex,
    that is the minimum.

    Parameters
    ----------
    bands : sequence of one `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    freedom : `galstep.core.engine.scene.Freedom`, optional
        Positions held.
    **options
        As for `fit_scene`.

    Returns
    -------
    Solution
        With all stars; the equations are those of the free fluxes at the
        solution, so that an error says what the data know, not what the
        condition does.

    Raises
    ------
    ParameterError
        If there is more than one band, or positions are free.
    """
    if len(bands) != 1 or freedom.positions:
        raise ParameterError(
            "fluxes at or above zero are fitted in one band with positions held, got "
            f"{len(bands)} bands, positions {'free' if freedom.positions else 'held'}"
        )
    free = np.ones(state.n_stars, dtype=bool)
    fewest, patience = state.n_stars + 1, BLOCK_ROUNDS
    for _ in range(MAX_ROUNDS):
        start = state.select_stars(free)
        solution = fit_scene(bands, start, freedom, **options | {"reuse": None})
        wrong = _wrong_side(bands[0], state, solution, free)
        count: Any = np.count_nonzero(wrong)
        if not count:
            break
        if count < fewest:
            fewest, patience = count, BLOCK_ROUNDS
        elif patience:
            patience -= 1
        else:  # one at a time cannot go round in circles (Murty's rule)
            wrong[: np.flatnonzero(wrong)[-1]] = False
        free ^= wrong
    return _completed(bands, state, freedom, solution, free)


def _wrong_side(band, state, solution, free):
    """Free stars with a negative flux, and those at zero that the residual asks for."""
    wrong = np.zeros(state.n_stars, dtype=bool)
    wrong[free] = solution.state.star_flux[0] < 0
    if not free.all():
        x, y = band.to_pixels(state.x[~free], state.y[~free], solution.state.shift[0])
        residual = band.weight * solution.evaluation.residuals[0]
        gradient = band.star_renderer.project(residual[None], x, y)[:, 0]
        # in units of its own error: what is below it is rounding and truncated wings
        information = 1 / (band.sigma**2 * band.star_renderer.psf.noise_area)
        wrong[~free] = gradient > 1e-2 * np.sqrt(information)
    return wrong


def _completed(bands, state, freedom, solution, free):
    """The solution with the stars at zero put back, and the equations of all."""
    flux = np.zeros((1, state.n_stars))
    flux[:, free] = np.maximum(solution.state.star_flux, 0.0)
    whole = replace(
        state,
        star_flux=flux,
        **{
            name: getattr(solution.state, name)
            for name in ("shapes", "galaxy_flux", "sky", "shift", "gradients")
        },
    )
    half_sizes = (np.full(state.n_stars, bands[0].star_renderer.matrix_half_size),)
    half_sizes[0][free] = solution.half_sizes[0]
    evaluation = normal.evaluate(bands, whole, half_sizes, freedom)
    equations = normal.normal_equations(bands, whole, evaluation, half_sizes, freedom)
    return replace(
        solution, state=whole, evaluation=evaluation, half_sizes=half_sizes, equations=equations
    )
