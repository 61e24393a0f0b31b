"""Damped Gauss-Newton (Levenberg-Marquardt) on a scene.

Each step solves the normal equations of all parameters together; only the
non-linear ones are damped, and their steps capped, so that a poor start cannot
throw one out of its basin. What a capped parameter did not do, the others are
solved for again; the linear ones follow exactly at every step (variable
projection: Golub & Pereyra 1973, in Kaufman's 1975 form).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.linalg import LinAlgError

from galstep.core.engine import normal
from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.normal import wing_half_sizes
from galstep.core.engine.scene import Freedom
from galstep.core.engine.wings import with_far_wings, without_far_wings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.normal import NormalEquations
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["ShapeBounds", "Solution", "fit_scene"]

# The largest change of a parameter in one step: pixels or dimensionless.
MAX_CENTRE_STEP = 1.5
MAX_LN_R_EFF_STEP = 0.5
MAX_ELLIPTICITY_STEP = 0.3
MAX_LN_N_STEP = 0.4
MAX_STAR_STEP = 0.4
MAX_SHIFT_STEP = 0.5
MAX_GRADIENT_STEP = 0.3

MAX_TRIES = 6
# Damping that holds a parameter where it is.
HOLD = 1e8
# A chi2 that still falls by so much per step is not that of a minimum, unless the galaxies
# stand: then what moves is a blend whose two stars trade light, and nothing else notices.
STILL_MOVING, STANDS = 5.0, 0.1


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a fit ended.

    ``evaluation`` belongs to ``state``; ``half_sizes`` are the rendering
    half-sizes it was made with. ``equations`` are the normal equations of the
    last step, one step before ``state``. ``converged`` is False when the
    iterations ran out while a step still lowered chi2 by more than
    ``STILL_MOVING`` and moved a galaxy by more than ``STANDS`` of its errors (what
    moves otherwise is a blend whose stars trade light), or when no step could be made
    at all. ``gained`` is by how much chi2 is below that of the start.
    """

    state: SceneState
    evaluation: Evaluation
    half_sizes: tuple
    n_iterations: int
    converged: bool
    equations: NormalEquations | None = None
    gained: float = np.nan

    @property
    def chi2(self) -> float:
        """Sum of weighted squares, priors included."""
        return self.evaluation.chi2


def _cap_shape(step):
    step = step.copy()
    step[:2] = np.clip(step[:2], -MAX_CENTRE_STEP, MAX_CENTRE_STEP)
    step[2] = np.clip(step[2], -MAX_LN_R_EFF_STEP, MAX_LN_R_EFF_STEP)
    step[3:5] *= min(1.0, MAX_ELLIPTICITY_STEP / max(np.hypot(step[3], step[4]), 1e-12))
    step[5] = np.clip(step[5], -MAX_LN_N_STEP, MAX_LN_N_STEP)
    return step


def _capped(border, stars, state, bands, layout, bounds):
    """The state with its non-linear parameters as a step may change them."""
    n_shape, shape = len(layout.shape), layout.shape
    steps = np.zeros_like(state.shapes)
    own = shape.power == 0
    steps[shape.galaxy[own], shape.parameter[own]] = border[:n_shape][own]
    shapes = state.shapes.copy()
    of_companions, target = bounds.of_companions, state.target
    for g, step in enumerate(steps):
        free = shape.parameter[own & (shape.galaxy == g)]
        limits = bounds if target[g] else of_companions
        shapes[g, free] = limits.clip(state.shapes[g] + _cap_shape(step))[free]
    shapes[:, :2] = shapes[shape.leaders, :2]
    gradients = _padded(state.gradients, shape.n_powers)
    slopes = np.clip(border[:n_shape][~own], -MAX_GRADIENT_STEP, MAX_GRADIENT_STEP)
    gradients[shape.power[~own] - 1, shape.galaxy[~own], shape.parameter[~own]] += slopes
    gradients = bounds.shrunk(shapes, gradients, [band.log_wavelength for band in bands])
    shift = state.shift.copy()
    for band, places in layout.registration.items():
        shift[band] += np.clip(border[places], -MAX_SHIFT_STEP, MAX_SHIFT_STEP)
    x, y = state.x, state.y
    if layout.positions:
        moves = stars.reshape(layout.n_stars, layout.block)[:, layout.n_bands :]
        moves = np.clip(moves, -MAX_STAR_STEP, MAX_STAR_STEP)
        x, y = x + moves[:, 0], y + moves[:, 1]
    return replace(state, shapes=shapes, gradients=gradients, shift=shift, x=x, y=y)


def _padded(gradients, n_powers):
    """A copy with coefficients of at least so many powers."""
    padded = np.zeros((max(n_powers, len(gradients)), *gradients.shape[1:]))
    padded[: len(gradients)] = gradients
    return padded


def _taken(border, stars, state, layout, capped):
    """The step with its non-linear entries as they were allowed to be."""
    border, stars = border.copy(), stars.copy()
    border[: len(layout.shape)] = layout.shape.of_state(capped) - layout.shape.of_state(state)
    for band, places in layout.registration.items():
        border[places] = capped.shift[band] - state.shift[band]
    if layout.positions:
        own = np.arange(layout.n_stars)
        stars[layout.star(own, layout.n_bands)] = capped.x - state.x
        stars[layout.star(own, layout.n_bands + 1)] = capped.y - state.y
    return border, stars


def _apply_step(bands, state, border, stars, layout, bounds):
    """The state after a step, and what was taken of it if any cap was met."""
    capped = _capped(border, stars, state, bands, layout, bounds)
    taken = _taken(border, stars, state, layout, capped)
    met = not (np.allclose(taken[0], border) and np.allclose(taken[1], stars))
    flux, sky = state.galaxy_flux.copy(), []
    for i in range(len(bands)):
        first = layout.galaxy_flux(i)
        flux[i] += border[first : first + layout.n_galaxies]
        sky.append(state.sky[i] + border[layout.sky(i)])
    fluxes = stars.reshape(layout.n_stars, layout.block)[:, : layout.n_bands].T
    after = replace(capped, galaxy_flux=flux, sky=tuple(sky), star_flux=state.star_flux + fluxes)
    return after, taken if met else None


def _damping_diagonals(equations, damping):
    """What Levenberg and Marquardt add to the diagonal of K."""
    layout, matrix = equations.layout, equations.matrix
    border = np.zeros(layout.n_border)
    own = layout.nonlinear_border()
    border[own] = damping * np.diag(matrix.border)[own]
    stars = np.zeros(matrix.stars.shape[0])
    if layout.positions and layout.n_stars:
        diagonal = matrix.stars.diagonal().reshape(layout.n_stars, layout.block)
        stars.reshape(layout.n_stars, layout.block)[:, layout.n_bands :] = (
            damping * diagonal[:, layout.n_bands :]
        )
    return border, stars


def _step(equations, state, bands, damping, bounds):
    """One damped step; where a cap or bound was met, the rest is solved again.

    Entries that were capped are held at what they were allowed, and all others
    follow: a parameter at its bound then behaves as if it were pinned there.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the damped matrix is not positive definite.
    """
    layout, matrix = equations.layout, equations.matrix
    right = (equations.border_gradient, equations.star_gradient)
    added = _damping_diagonals(equations, damping)
    solved = matrix.damped(*added).factor().solve(*right)
    trial, taken = _apply_step(bands, state, *solved, layout, bounds)
    if taken is None:
        return trial
    capped = [~np.isclose(t, s, atol=1e-12) for t, s in zip(taken, solved, strict=True)]
    border, stars = (np.where(c, t, 0.0) for c, t in zip(capped, taken, strict=True))
    rest = (
        right[0] - matrix.border @ border - matrix.coupling @ stars,
        right[1] - matrix.coupling.T @ border - matrix.stars @ stars,
    )
    diagonals = (np.diag(matrix.border), matrix.stars.diagonal())
    added = [np.where(c, HOLD * d, a) for c, d, a in zip(capped, diagonals, added, strict=True)]
    solved = matrix.damped(*added).factor().solve(*rest)
    border, stars = (
        np.where(c, held, s) for c, held, s in zip(capped, (border, stars), solved, strict=True)
    )
    return _apply_step(bands, state, border, stars, layout, bounds)[0]


def _galaxies_stand(equations, before, after):
    """Whether the last step moved no galaxy's shape or flux by more than `STANDS` errors."""
    layout = equations.layout
    moved = np.zeros(layout.n_border)
    moved[: len(layout.shape)] = layout.shape.of_state(after) - layout.shape.of_state(before)
    for i in range(layout.n_bands):
        first = layout.galaxy_flux(i)
        own = slice(first, first + layout.n_galaxies)
        moved[own] = after.galaxy_flux[i] - before.galaxy_flux[i]
    try:
        variance = np.diag(equations.matrix.factor().border_inverse())
    except LinAlgError:
        return False
    return bool((moved**2 <= STANDS**2 * np.maximum(variance, 0.0)).all())


def _is_finite(state):
    """False after a step from a matrix that was singular without anybody noticing."""
    parts = (state.shapes, *state.shift, *state.galaxy_flux, *state.sky)
    return all(np.isfinite(part).all() for part in parts)


def fit_scene(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom = Freedom(),
    *,
    bounds: ShapeBounds = ShapeBounds(),
    max_iterations: int = 12,
    tolerance: float = 0.1,
    damping: float = 1e-3,
    reuse: tuple[SceneState, Evaluation] | None = None,
    method: Any = normal,
    anticipate: bool = False,
) -> Solution:
    """Minimise chi2 over the free parameters of a scene.

    Parameters
    ----------
    bands : sequence of `SceneBand`
    state : `SceneState`
        The start.
    freedom : `Freedom`, optional
        What may change.
    bounds : `ShapeBounds`, optional
    max_iterations : int, optional
        Largest number of accepted steps.
    tolerance : float, optional
        Stop when a step lowers chi2 by less (chi2 units; 1 = one sigma).
    damping : float, optional
        First Levenberg-Marquardt damping.
    reuse : (SceneState, Evaluation), optional
        Of the same bands: see `galstep.core.engine.normal.evaluate`.
    method : optional
        What has the functions ``evaluate`` and ``normal_equations``, of the same
        arguments as those of `galstep.core.engine.normal`, which take pixels for
        independent.
    anticipate : bool, optional
        Stop already when the next step is expected to lower chi2 by less than
        ``tolerance``, if it is as much smaller than the last as that was than
        the one before. For fits that others follow: where blended stars trade
        light, chi2 creeps on.

    Returns
    -------
    Solution
        Never worse than the start.
    """
    half_sizes = tuple(
        wing_half_sizes(band, flux) for band, flux in zip(bands, state.star_flux, strict=True)
    )
    bands, wings = without_far_wings(bands, state, half_sizes)
    evaluation = method.evaluate(bands, state, half_sizes, freedom, reuse)
    first, before = evaluation.chi2, None
    n_iterations, decrease, expected, equations = 0, np.inf, np.inf, None
    while n_iterations < max_iterations and expected >= tolerance:
        n_iterations += 1
        equations = method.normal_equations(bands, state, evaluation, half_sizes, freedom)
        for _ in range(MAX_TRIES):
            try:
                trial = _step(equations, state, bands, damping, bounds)
                if not _is_finite(trial):
                    raise LinAlgError("the step is not finite")
            except LinAlgError:
                damping = max(8 * damping, 1e-3)
                continue
            tried = method.evaluate(bands, trial, half_sizes, freedom, reuse=(state, evaluation))
            if tried.chi2 <= evaluation.chi2 + 1e-6:
                break
            damping = max(8 * damping, 1e-3)
        else:
            break
        before = state
        previous, decrease = decrease, evaluation.chi2 - tried.chi2
        expected = decrease
        if anticipate and np.isfinite(previous):
            expected *= min(1.0, decrease / max(previous, np.finfo(float).tiny))
        state, evaluation = trial, tried
        damping = max(0.1 * damping, 1e-6)
    converged = decrease < max(tolerance, STILL_MOVING) or (
        before is not None and _galaxies_stand(equations, before, state)
    )
    gained = first - evaluation.chi2
    evaluation = with_far_wings(evaluation, wings)
    return Solution(state, evaluation, half_sizes, n_iterations, converged, equations, gained)
