"""The galaxy by Nelder-Mead: what the engine's own fit is compared with.

Rounds of the simplex of Nelder & Mead (1965, Computer J. 7, 308; scipy's, with
bounds), each begun afresh about the best point of the last one, until a round
lowers chi2 no more: ``iterative_nm``. The simplex sees the galaxies' shapes
alone; at each trial all that is linear is solved for. Stars are moved between
the galaxy's fits, not with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import N_SHAPE, Freedom
from galstep.core.engine.normal import evaluate, normal_equations
from galstep.core.engine.search import solve_linear
from galstep.core.engine.shape_chi2 import ShapeChi2
from galstep.core.engine.solve import fit_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = ["fit_simplex"]

_PINNED = (False,) * N_SHAPE
# Edges of the first simplex: pixels or dimensionless. Later ones are smaller.
_EDGES = (1.0, 1.0, 0.3, 0.15, 0.15, 0.3)
_SHRINK = 0.5
_LEAST_EDGE = 0.02
_CENTRE_RANGE = 20.0
# A round that lowers chi2 by less than this share of it is the last.
_CHI2_SHARE = 1e-6


def fit_simplex(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom = Freedom(),
    *,
    bounds: ShapeBounds = ShapeBounds(),
    max_iterations: int = 15,
    tolerance: float = 0.1,
    evaluations_per_round: int = 100,
    polish: bool = False,
    reuse: Any = None,
    anticipate: Any = False,
) -> Solution:
    """Fit a scene with its galaxies' shapes found by Nelder-Mead.

    Takes what `galstep.core.engine.solve.fit_scene` takes, so that either can be used.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    freedom : `galstep.core.engine.freedom.Freedom`, optional
        Star positions and registration, where free, are fitted by `fit_scene`
        after the shapes, with these held.
    bounds : `galstep.core.engine.bounds.ShapeBounds`, optional
    max_iterations : int, optional
        Largest number of rounds, and of the steps of the fit after them.
    tolerance : float, optional
        In chi2: a simplex ends when its corners differ by less, the rounds when
        one gains less.
    evaluations_per_round : int, optional
        Trials in a round: too few for convergence from afar, hence the rounds.
    polish : bool, optional
        End with `fit_scene` on everything that is free.
    reuse, anticipate : optional
        Not used; see `fit_scene`.

    Returns
    -------
    galstep.core.engine.solve.Solution
        Never worse than the start. ``n_iterations`` counts rounds and steps.
    """
    held = replace(freedom, shape=_PINNED, gradient=(0,) * N_SHAPE, shape_priors=())
    options: dict[str, Any] = dict(
        bounds=bounds, max_iterations=max_iterations, tolerance=tolerance
    )
    n_rounds = 0
    if len(state.shapes) and any(freedom.shape):
        state, n_rounds = _rounds(
            bands, state, freedom, bounds, max_iterations, tolerance, evaluations_per_round
        )
    solution = fit_scene(bands, state, freedom if polish else held, **options)
    return replace(
        solution,
        n_iterations=solution.n_iterations + n_rounds,
        equations=_equations(bands, solution, freedom),
    )


def _rounds(bands, state, freedom, bounds, max_rounds, tolerance, evaluations):
    """The state after the rounds, its linear parameters solved for, and their number."""
    state = solve_linear(bands, state)
    chi2 = ShapeChi2(bands, state, freedom, bounds)
    edges = np.tile(_EDGES, len(state.shapes))[chi2.places]
    limits = _limits(chi2)
    best, value = np.clip(chi2.start, *limits.T), chi2(chi2.start)
    for round_ in range(max_rounds):
        size = max(_SHRINK**round_, _LEAST_EDGE)
        found = minimize(
            chi2,
            best,
            method="Nelder-Mead",
            bounds=limits,
            options=dict(
                maxfev=evaluations,
                fatol=tolerance,
                xatol=np.inf,
                initial_simplex=_simplex(best, size * edges, limits),
            ),
        )
        gained, best = value - found.fun, found.x
        value = found.fun
        if gained < max(tolerance, _CHI2_SHARE * value):
            break
    return solve_linear(bands, chi2.state_at(best)), round_ + 1


def _simplex(corner, edges, limits):
    """A corner and one more along each axis, towards the inside."""
    towards = np.where(corner + edges > limits[:, 1], -edges, edges)
    return np.vstack([corner, corner + np.diag(towards)])


def _limits(chi2):
    """(n, 2) limits of the free parameters."""
    bounds, n_galaxies = chi2.bounds, len(chi2.state.shapes)
    ln_r, ln_n = np.log(bounds.r_eff), np.log(bounds.n)
    width = [_CENTRE_RANGE, _CENTRE_RANGE]
    low = np.tile([*(-w for w in width), ln_r[0], -bounds.e, -bounds.e, ln_n[0]], n_galaxies)
    high = np.tile([*width, ln_r[1], bounds.e, bounds.e, ln_n[1]], n_galaxies)
    limits = np.column_stack([low, high])[chi2.places]
    centre = chi2.places % N_SHAPE < 2
    limits[centre] += chi2.start[centre, None]
    return limits


def _equations(bands, solution, freedom):
    """Normal equations of all that is free, which covariances are made of."""
    state, half_sizes = solution.state, solution.half_sizes
    evaluation = evaluate(bands, state, half_sizes, freedom)
    return normal_equations(bands, state, evaluation, half_sizes, freedom)
