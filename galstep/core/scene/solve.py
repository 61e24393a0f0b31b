"""The fit of a scene: Gauss-Newton steps, damped source by source.

Fluxes and sky are linear and never damped. After a step that lowered chi2 a source's damping
falls, unless chi2 of its own pixels rose; after one that did not, only sources whose own chi2
rose are damped more: no source brakes another. What is solved is that the gradient, whose
derivatives end with the fit stamps, vanishes; chi2 is smallest a little elsewhere. Near the end,
where steps are below an error, they are therefore taken whatever chi2 says, and the end is where
a step has nothing more to gain (g' K^-1 g). What a cap or a bound holds is fixed, and the
rest solved again. A source whose step is below a fiftieth of its error is neither moved nor
drawn again; its fluxes still follow.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError

from galstep.core.scene.equations import normal_equations
from galstep.core.scene.grams import Grams
from galstep.core.scene.scene import Evaluation, SceneState

if TYPE_CHECKING:
    from galstep.core.scene.equations import Equations
    from galstep.core.scene.scene import Scene

__all__ = ["Fit", "FitOptions", "fit_scene", "linear_fit"]

# So often a step is shortened before the fit is given up.
_TRIALS = 7
# Factors of a source's damping after a step that its pixels like, that they do not, and that was
# taken back; and the least damping. Clean fields converged in 5 to 8 steps.
_EASED, _BRAKED, _REJECTED, _LEAST_DAMPING = 0.15, 4.0, 10.0, 1e-7
# Beyond it a source does not move.
_MOST_DAMPING = 1e3
# chi2 that a source's own pixels may gain in a good step without being damped: noise of others
_OWN_RISE, _OWN_RISE_REJECTED = 0.5, 0.01
# Differences of chi2 below it are rounding.
_CHI2_ROUNDING = 1e-3
# Steps below this (conditional) error are near the end; what chi2 may rise there.
_NEAR, _NEAR_RISE = 1.0, 5.0


@dataclass(frozen=True)
class FitOptions:
    """How a scene is fitted.

    Parameters
    ----------
    max_iterations : int
    tolerance : float
        The fit ends when a step has less of chi2 to gain.
    damping : float
        That every source starts with, in units of the matrix's diagonal.
    still : float
        A source whose step is below this share of its (conditional) error stands still.
    deadline : float
        Time (`time.monotonic`) after which no iteration begins.
    """

    max_iterations: int = 25
    tolerance: float = 0.05
    damping: float = 1e-2
    still: float = 0.02
    deadline: float = inf


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted scene.

    Attributes
    ----------
    evaluation : Evaluation
    grams : Grams
        Of its weights.
    n_iterations : int
    converged : bool
    """

    evaluation: Evaluation
    grams: Grams
    n_iterations: int
    converged: bool

    @property
    def state(self) -> SceneState:
        """The state that it ended at."""
        return self.evaluation.state

    def equations(self) -> Equations:
        """At the end."""
        return normal_equations(self.evaluation, self.grams)


def linear_fit(scene: Scene, state: SceneState) -> Evaluation:
    """Fluxes and sky by one linear fit at the state's places and shapes.

    Parameters
    ----------
    scene : Scene
    state : SceneState
        Its fluxes decide how large the stamps are, nothing else.

    Returns
    -------
    Evaluation
        Drawn with stamps of the right size, weights of the sky's noise alone.
    """
    start = Evaluation(scene, state, scene.render(state), scene.weights())
    equations = normal_equations(start, Grams(scene, start.weights))
    border, step = equations.solve(
        None, ~equations.layout.linear, np.zeros(len(equations.gradient))
    )
    state = _stepped(scene, state, equations.layout, border, step)
    return Evaluation(scene, state, scene.render(state), start.weights)


def fit_scene(start: Evaluation, options: FitOptions) -> Fit:
    """Fit a scene, with the weights of the start.

    Parameters
    ----------
    start : Evaluation
    options : FitOptions

    Returns
    -------
    Fit
    """
    current, grams = start, Grams(start.scene, start.weights)
    damping = np.full(len(start.scene.sources), options.damping)
    n_iterations, converged = 0, not len(damping) and not any(map(len, start.state.sky))
    while not converged and n_iterations < options.max_iterations:
        if time.monotonic() > options.deadline:
            break
        n_iterations += 1
        step = _iterate(current, grams, damping, options.still)
        if step is None:
            break
        current, damping = step.trial, step.damping
        converged = step.gain < options.tolerance or not step.moved.any()
    return Fit(current, grams, n_iterations, converged)


@dataclass(frozen=True, eq=False)
class _Step:
    """A step: where it leads, who moves, what it should gain, and how far it goes (errors)."""

    trial: Evaluation
    moved: np.ndarray
    gain: float
    length: float
    damping: np.ndarray


def _iterate(current, grams, damping, still):
    """One step that is taken; None if none can be."""
    equations = normal_equations(current, grams)
    for _ in range(_TRIALS):
        try:
            step = _limited_step(current, equations, damping, still)
        except LinAlgError:
            damping = np.maximum(8 * damping, 1e-2)
            continue
        trial, moved = step.trial, step.moved
        rise = trial.own_chi2 - current.own_chi2
        allowed = _NEAR_RISE if step.length < _NEAR else _CHI2_ROUNDING
        if np.isfinite(trial.chi2) and trial.chi2 <= current.chi2 + allowed:
            eased = np.maximum(damping * _EASED, _LEAST_DAMPING)
            braked = np.minimum(damping * _BRAKED, _MOST_DAMPING)
            return replace(step, damping=np.where((rise > _OWN_RISE) & moved, braked, eased))
        worse = ~(rise <= _OWN_RISE_REJECTED) & moved
        if not worse.any():  # the sum rose, and nobody did it alone
            worse = moved
        damping = np.where(worse, np.maximum(_REJECTED * damping, 1e-2), damping)
    return None


def _limited_step(current, equations, damping, still):
    """A damped step with its caps and bounds."""
    layout, sources, z = equations.layout, current.scene.sources, current.state.z
    diagonal = equations.diagonal
    added = np.where(layout.linear, 0.0, damping[layout.owner] * diagonal)
    border, step = equations.solve(added)
    held, values = np.zeros(len(step), dtype=bool), np.zeros(len(step))
    moved = np.zeros(len(sources), dtype=bool)
    in_errors = np.abs(step) * np.sqrt(diagonal)
    for i, source in enumerate(sources):
        own = layout.shape_of(i)
        if not source.n_free:
            continue
        moved[i] = in_errors[own].max() >= still
        full = np.zeros(6)
        full[source.free] = step[own]
        possible = (source.limited(z[i], full) - z[i])[source.free] if moved[i] else 0.0
        held[own] = np.abs(possible - step[own]) > 1e-12
        values[own] = possible
    if held.any():
        border, step = equations.solve(added, held, values)
    state = _stepped(current.scene, current.state, layout, border, step)
    gain = float(border @ equations.border_gradient + step @ equations.gradient)
    length = float(np.max(np.abs(step) * np.sqrt(diagonal) * ~layout.linear, initial=0.0))
    trial = current.moved(state, np.flatnonzero(moved))
    return _Step(trial, moved, gain, length, damping)


def _stepped(scene, state, layout, border, step):
    z = state.z.copy()
    flux = state.flux.copy()
    for i, source in enumerate(scene.sources):
        if source.n_free and step[layout.shape_of(i)].any():
            z[i, source.free] += step[layout.shape_of(i)]
            z[i] = source.bounds.clip(z[i])
        flux[i] += step[layout.flux_of(i)]
    sky = [own + border[layout.sky[b] : layout.sky[b + 1]] for b, own in enumerate(state.sky)]
    return SceneState(z, flux, sky)
