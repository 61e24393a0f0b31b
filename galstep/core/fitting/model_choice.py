"""How many parameters a galaxy deserves: components, and shapes that change.

chi2 cannot decide this on real frames. Its pixels share the noise of unresolved
stars, and a difference of some hundred in chi2 may be one sigma. What is known
of the noise is the covariance that the sandwich gives (`galstep.core.noise.errors`),
so a parameter theta that the richer model has and the simpler one sets to zero
is judged by its Wald statistic

    W = theta^T Cov(theta)^-1 theta,

which is the chi2 difference of the two models in the noise that there is. A
group of k parameters is kept if W is above ``PENALTY`` k.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.covariance import covariance_of, scene_covariance, solution_equations
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging.sersic import enclosed_fraction
from galstep.core.measurement.galaxy_covariance import galaxy_covariance, rows_covariance
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions, LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = [
    "SHAPE_FREEDOMS",
    "cancels",
    "choose_gradient",
    "gradient_of",
    "is_no_part",
    "ordered",
    "plays_the_sky",
    "run_again",
    "second_is_earned",
    "with_components",
    "with_gradient",
    "with_second_component",
    "without_sky_player",
]

# Each parameter must lower chi2 by more than this: one in a thousand does by chance.
PENALTY = 11.0

#: What may change with wavelength, by name: degree 1 for these shape parameters.
SHAPE_FREEDOMS = {
    "pinned": (0, 0, 0, 0, 0, 0),
    "r_eff": (0, 0, 1, 0, 0, 0),
    "n": (0, 0, 0, 0, 0, 1),
    "r_eff+n": (0, 0, 1, 0, 0, 1),
    "all": (0, 0, 1, 1, 1, 1),
}

# A second component starts as the core or as the outskirts of the first:
# factor of r_eff and value of n of the inner and of the outer one.
STARTS = (((0.4, 2.0), (1.4, 1.0)), ((0.25, 1.0), (1.1, 1.0)), ((0.13, 2.0), (0.8, 1.0)))
# All starts are followed so far, and the best of them to its end: the others end there too, or
# above it. Another one is only where that is no part of the galaxy.
FIRST_ITERATIONS, START_ITERATIONS = 4, 12
# Least share of a component's light inside the frame. A de Vaucouleurs profile whose r_eff
# is a seventh of the frame's side has it.
MIN_IN_FRAME = 0.75
# Components whose fluxes without sign add up to more than so many times their sum cancel. A
# disc with a hole of a third of its light has 2; two profiles within the core of a star, where
# no pixel tells them apart, had 2.9 to 14.
MOST_CANCELLED = 2.0


def gradient_of(name: str) -> tuple[int, ...]:
    """Degrees of the polynomials in ln(wavelength) for a name of `SHAPE_FREEDOMS`.

    Raises
    ------
    ParameterError
        If the name is unknown.
    """
    if name not in SHAPE_FREEDOMS:
        known = ", ".join((*SHAPE_FREEDOMS, "auto"))
        raise ParameterError(f"shape_freedom must be one of {known}, got {name!r}")
    return SHAPE_FREEDOMS[name]


def _wald(values, covariance):
    """theta^T Cov^-1 theta; 0 for no parameters."""
    if not len(values):
        return 0.0
    scale = np.sqrt(np.diag(covariance))
    unit = values / scale
    return float(unit @ np.linalg.solve(covariance / np.outer(scale, scale), unit))


def choose_gradient(
    bands: Sequence[SceneBand],
    solution: Solution,
    freedom: Freedom,
) -> str:
    """Which shape parameters change with wavelength beyond doubt.

    One step with all of them free decides, which at the best fit without them is as good as
    a fit: of every choice, those that it sets to zero count with their Wald statistic, those
    that it keeps with ``PENALTY`` each, and the smallest sum wins.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
        The best fit with one shape for all bands.
    freedom : `galstep.core.engine.scene.Freedom`
        What was free in it.

    Returns
    -------
    str
        Of `SHAPE_FREEDOMS`; ``"pinned"`` where all bands have one wavelength.
    """
    if len({band.log_wavelength for band in bands}) == 1:
        return "pinned"
    free = replace(freedom, gradient=gradient_of("all"))
    equations = solution_equations(bands, solution, free)
    covariance = covariance_of(equations, solution.state)
    step, _ = covariance.factor.solve(equations.border_gradient, equations.star_gradient)
    shape = equations.layout.shape
    slopes = np.flatnonzero(shape.power > 0)
    rows = np.eye(equations.layout.n_border)[slopes]
    matrix, _ = rows_covariance(bands, solution, covariance, rows)
    values = shape.of_state(solution.state)[slopes] + step[slopes]
    parameter = shape.parameter[slopes]
    costs = {}
    for name, degrees in SHAPE_FREEDOMS.items():
        kept = np.array(degrees)[parameter] > 0
        dropped = np.flatnonzero(~kept)
        statistic = _wald(values[dropped], matrix[np.ix_(dropped, dropped)])
        costs[name] = PENALTY * np.count_nonzero(kept) + statistic
    return min(costs, key=costs.get)


def with_second_component(
    bands: Sequence[SceneBand], solution: Solution, freedom: Freedom, bounds: ShapeBounds
) -> Solution:
    """The best fit whose target has two components, the stars as they are.

    Parameters
    ----------
    bands, solution, freedom
        As for `choose_gradient`; the fit with one component.
    bounds : `galstep.core.engine.bounds.ShapeBounds`

    Returns
    -------
    `galstep.core.engine.solve.Solution`
        The better of a start as bulge and disc and one as nucleus and galaxy; one whose
        second component is none (`is_no_part`) only if all are so.
    """
    known = solution.state, solution.evaluation

    def fitted(state, n_iterations, known):
        return fit_scene(
            bands,
            state,
            freedom,
            bounds=bounds,
            max_iterations=n_iterations,
            tolerance=1.0,
            reuse=known,
        )

    begun = [
        fitted(_split(solution.state, start, bounds), FIRST_ITERATIONS, known) for start in STARTS
    ]
    fits = []
    for first in sorted(begun, key=lambda fit: fit.chi2):
        left = START_ITERATIONS - FIRST_ITERATIONS
        fits.append(fitted(first.state, left, (first.state, first.evaluation)))
        if not is_no_part(fits[-1].state, bounds):
            return fits[-1]
    return min(fits, key=lambda fit: fit.chi2)


def plays_the_sky(state: SceneState, bounds: ShapeBounds) -> bool:
    """Whether much of a component's light would lie where no pixel of the frame shows it.

    Such a component stands in for an error of the sky, not for a part of the galaxy. The
    largest r_eff allowed is half of the frame (`ShapeBounds`), which is where it counts.
    """
    return bool(min(_seen(state, bounds)) < MIN_IN_FRAME)


def _seen(state, bounds):
    """Share of the light of each of the target's components that the frame could show."""
    reach = bounds.r_eff[1]
    own = state.shapes[state.target]
    return [float(enclosed_fraction(reach / np.exp(s[2]), np.exp(s[5]))) for s in own]


def without_sky_player(
    result: LadderResult,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """A fit whose target has no component that plays the sky beside another.

    One band may show two components where all of them together, whose skies are free, show
    one: see `plays_the_sky`.

    Parameters
    ----------
    result, freedom, options, bounds, base
        As for `with_components`.

    Returns
    -------
    LadderResult
        The same one, or the fit made again without the component.
    """
    state = result.solution.state
    if state.target.sum() < 2 or not plays_the_sky(state, bounds):
        return result
    gone = np.flatnonzero(state.target)[int(np.argmin(_seen(state, bounds)))]
    kept = np.arange(len(state.shapes)) != gone
    state = replace(
        state,
        shapes=state.shapes[kept],
        galaxy_flux=state.galaxy_flux[:, kept],
        gradients=state.gradients[:, kept],
        galaxy_id=state.galaxy_id[kept],
    )
    return run_again(result, state, freedom, options, bounds, base)


def cancels(state: SceneState) -> bool:
    """Whether the target's components are large and of either sign beside their sum.

    Two profiles of one place that the PSF does not tell apart (a star, or two, taken for a
    galaxy) fit what is left of each other, and only their sum means anything.
    """
    flux = state.galaxy_flux[:, state.target]
    return bool(np.abs(flux).sum() > MOST_CANCELLED * np.abs(flux.sum(axis=1)).sum())


def is_no_part(state: SceneState, bounds: ShapeBounds) -> bool:
    """Whether a component is no part of the galaxy: it plays the sky, or cancels another."""
    return plays_the_sky(state, bounds) or cancels(state)


def _split(state, start, bounds):
    """The target, which is the first profile, as two with half of its light in each."""
    shapes = []
    for factor, n in start:
        shape = state.shapes[0].copy()
        shape[2] += np.log(factor)
        shape[5] = np.log(n)
        shapes.append(bounds.clip(shape))
    own = np.r_[0, 0, np.arange(1, len(state.shapes))]
    flux = state.galaxy_flux[:, own]
    flux[:, :2] *= 0.5
    return replace(
        state,
        shapes=np.concatenate([shapes, state.shapes[1:]]),
        galaxy_flux=flux,
        gradients=state.gradients[:, own],
        galaxy_id=state.galaxy_id[own],
    )


def second_is_earned(bands: Sequence[SceneBand], solution: Solution, freedom: Freedom) -> bool:
    """Whether the fainter of the target's two components is there beyond doubt.

    Its fluxes in all bands are the parameters to judge; those that a second
    shape adds count in the penalty too.

    Parameters
    ----------
    bands, solution, freedom
        The fit with two components.

    Returns
    -------
    bool
    """
    covariance = scene_covariance(bands, solution, freedom)
    quantities, matrix, _ = galaxy_covariance(bands, solution, covariance)
    fluxes = solution.state.galaxy_flux[:, :2]
    weight = 1 / np.array([matrix[quantities.sky(i), quantities.sky(i)] for i in range(len(bands))])
    fainter = int(np.argmin(np.sqrt(weight) @ fluxes))
    rows = [quantities.flux(i, fainter) for i in range(len(bands))]
    n_shape = int((covariance.layout.shape.galaxy == 1).sum())  # its centre is the first's
    statistic = _wald(fluxes[:, fainter], matrix[np.ix_(rows, rows)])
    return statistic > PENALTY * (len(bands) + n_shape)


def ordered(state: SceneState) -> SceneState:
    """The state with the target's components from the smallest r_eff to the largest."""
    sizes = np.where(state.target, state.shapes[:, 2], np.inf)
    order = np.argsort(sizes, kind="stable")
    return replace(
        state,
        shapes=state.shapes[order],
        galaxy_flux=state.galaxy_flux[:, order],
        gradients=state.gradients[:, order],
        galaxy_id=state.galaxy_id[order],
    )


def run_again(
    result: LadderResult,
    state: SceneState,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """The ladder once more from a richer galaxy.

    Stars that made up for what the galaxy lacked lose their significance, and
    others that it hid appear: one pass at the lowest threshold finds both.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
        The fit so far, whose weights are taken over.
    state : `galstep.core.engine.scene.SceneState`
        Where to start.
    freedom, options, bounds, base
        As for `galstep.core.detection.run_ladder.run_ladder`.

    Returns
    -------
    LadderResult
        Its history and iterations include those of ``result``.
    """
    lowest = replace(options, thresholds=options.thresholds[-1:], floor_passes=1)
    known = result.solution.state, result.solution.evaluation
    again = run_ladder(result.bands, state, freedom, lowest, bounds, base, known)
    return replace(
        again,
        history=result.history + again.history,
        n_iterations=result.n_iterations + again.n_iterations,
        limited=result.limited or again.limited,
    )


def with_components(
    result: LadderResult,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
    two: str,
) -> LadderResult:
    """A fit whose target has a second component if it is wanted, or earns it.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    freedom, options, bounds, base
        What it was made with, see `galstep.core.detection.run_ladder.run_ladder`.
    two : {"false", "true", "auto"}

    Returns
    -------
    LadderResult
        Components from the smallest r_eff to the largest.

    Raises
    ------
    ParameterError
        If ``two`` is none of the three.
    """
    if two not in ("false", "true", "auto"):
        raise ParameterError(f"fit_complex_model must be false, true or auto, got {two!r}")
    if two == "false" or result.solution.state.target.sum() != 1:
        return result
    # what one profile leaves of a bulge has become rings of its structure
    bare = [band.with_structure(None) for band in result.bands]
    fit = with_second_component(bare, result.solution, freedom, bounds)
    if two == "auto":
        none = is_no_part(fit.state, bounds)
        if none or not second_is_earned(bare, fit, freedom):
            return result
    start = replace(result, bands=bare)
    found = run_again(start, ordered(fit.state), freedom, options, bounds, base)
    return result if two == "auto" and cancels(found.solution.state) else found


def with_gradient(
    result: LadderResult, freedom: Freedom, shape_freedom: str
) -> tuple[Freedom, str]:
    """The freedom of a shape that changes with wavelength as is wanted, or as the data ask.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
        With one shape for all bands.
    freedom : `galstep.core.engine.freedom.Freedom`
        What was free in it.
    shape_freedom : str
        A name of `SHAPE_FREEDOMS`, or ``"auto"``.

    Returns
    -------
    freedom : `galstep.core.engine.freedom.Freedom`
        Of the next fit.
    name : str
        Of `SHAPE_FREEDOMS`: what was chosen.
    """
    name = shape_freedom
    if shape_freedom == "auto":
        name = choose_gradient(result.bands, result.solution, freedom)
    return replace(freedom, gradient=gradient_of(name)), name
