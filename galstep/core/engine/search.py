"""Global escape: out of a basin that Levenberg-Marquardt cannot leave.

Generalised simulated annealing (Xiang et al. 1997, Phys. Lett. A 233, 216, as
in `scipy.optimize.dual_annealing`) over the galaxies' shapes alone: all that is
linear is solved for at each trial (`galstep.core.engine.shape_chi2`). What it finds is
a start; where the fit ends is decided by Levenberg-Marquardt from there and
from where it began, and the lower chi2 is taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import dual_annealing

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import N_SHAPE, Freedom
from galstep.core.engine.shape_chi2 import ShapeChi2
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = ["escape", "search_box", "solve_linear"]

_LINEAR = Freedom(shape=(False,) * N_SHAPE, positions=False)
# A trial is worth a fit of its own when it is better by so much (chi2): below
# it, it is in the basin of the start.
_WORTH_A_FIT = 1.0
# Steps of a local search: annealing needs the basin, not its bottom.
_LOCAL_STEPS = 10


def escape(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom = Freedom(),
    bounds: ShapeBounds = ShapeBounds(),
    *,
    centre: float = 10.0,
    r_eff: float = 4.0,
    n: tuple[float, float] = (0.5, 6.0),
    max_evaluations: int = 150,
    seed: int = 0,
    max_iterations: int = 30,
    tolerance: float = 0.1,
) -> Solution:
    """The best fit of a scene that annealing finds, never worse than `fit_scene`.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
        The start.
    freedom : `galstep.core.engine.freedom.Freedom`, optional
        What the fits may change. The search itself changes shapes only.
    bounds : `galstep.core.engine.bounds.ShapeBounds`, optional
    centre : float, optional
        The search goes so far to each side of the first fit (pixels).
    r_eff : float, optional
        And by this factor up and down.
    n : (float, float), optional
        Range of the Sersic index. The ellipticity is searched within bounds.
    max_evaluations : int, optional
        Trials; a local search that is under way is finished first.
    seed : int, optional
        The same seed gives the same result.
    max_iterations, tolerance
        Of each fit, as for `galstep.core.engine.solve.fit_scene`.

    Returns
    -------
    galstep.core.engine.solve.Solution
        ``n_iterations`` counts those of all fits.

    Raises
    ------
    ParameterError
        If a range is empty, or no shape parameter is free.
    """
    fit: dict[str, Any] = dict(bounds=bounds, max_iterations=max_iterations, tolerance=tolerance)
    begun = fit_scene(bands, state, freedom, **fit)
    chi2 = ShapeChi2(bands, begun.state, freedom, bounds)
    box = np.column_stack(search_box(chi2, centre, r_eff, n))
    found = dual_annealing(
        chi2,
        box,
        x0=np.clip(chi2.start, *box.T),
        maxfun=max_evaluations,
        seed=np.random.default_rng(seed),
        minimizer_kwargs=dict(
            method="L-BFGS-B",
            jac=lambda vector: chi2.with_gradient(vector)[1],
            bounds=box,
            options=dict(maxiter=_LOCAL_STEPS),
        ),
    )
    if found.fun > chi2(chi2.start) - _WORTH_A_FIT:
        return begun
    start = solve_linear(bands, chi2.state_at(found.x))
    other = fit_scene(bands, start, freedom, **fit)
    best = min(begun, other, key=lambda solution: solution.chi2)
    return replace(best, n_iterations=begun.n_iterations + other.n_iterations)


def search_box(
    chi2: ShapeChi2, centre: float, r_eff: float, n: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of a search about the start of a `ShapeChi2`, inside its bounds.

    Parameters
    ----------
    chi2 : `galstep.core.engine.shape_chi2.ShapeChi2`
    centre, r_eff, n
        As in `escape`.

    Returns
    -------
    low, high : (n,) arrays

    Raises
    ------
    ParameterError
        If a range is empty.
    """
    if not (centre > 0 and r_eff > 1 and 0 < n[0] < n[1]):
        raise ParameterError(
            "a search needs centre > 0, r_eff > 1 and 0 < n[0] < n[1], "
            f"got centre={centre}, r_eff={r_eff}, n={n}"
        )
    bounds = chi2.bounds
    ln_n = np.clip(np.log(n), *np.log(bounds.n))
    low, high = [], []
    for shape in chi2.state.shapes:
        ln_r = np.clip(shape[2] + np.log(r_eff) * np.array([-1, 1]), *np.log(bounds.r_eff))
        low += [shape[0] - centre, shape[1] - centre, ln_r[0], -bounds.e, -bounds.e, ln_n[0]]
        high += [shape[0] + centre, shape[1] + centre, ln_r[1], bounds.e, bounds.e, ln_n[1]]
    return np.array(low)[chi2.places], np.array(high)[chi2.places]


def solve_linear(bands: Sequence[SceneBand], state: SceneState) -> SceneState:
    """The state with every flux and sky coefficient solved for, the rest held."""
    return fit_scene(bands, state, _LINEAR).state
