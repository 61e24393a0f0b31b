"""A star on the galaxy's centre that the galaxy has swallowed.

A Sersic profile that is steeper than the galaxy can hide a star in its peak: n and
flux come out too large, and the residual, from which stars are found, hardly shows
it. So once the fit stands, a star is put on the centre and fitted with everything
else. Where there is none that gains nothing; where there is one chi2 falls by its
S/N squared, marginalised over the shape.

At n > 5 the fit may be in a basin of its own, in which other stars in the core patch
up what is left; then the galaxy starts anew as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.normal import evaluate, wing_half_sizes
from galstep.core.engine.scene import SceneState
from galstep.core.engine.solve import fit_scene
from galstep.core.engine.wings import without_far_wings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions, LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand

__all__ = ["PER_STAR", "ladder_cost", "scene_cost", "with_core_star"]

# What three more parameters must be worth in chi2: as in `galstep.core.fitting.model_choice`.
PER_STAR = 33.0
# What a coefficient of structure that the data determine must be worth (Akaike 1974).
PER_COEFFICIENT = 2.0
# A star that is listed this near to the centre (FWHM) is that star.
ON_CENTRE_FWHM = 0.5
ITERATIONS = 12
# Beyond this n the galaxy starts anew: as an ordinary one, somewhat smaller, for the
# peak made it large. A de Vaucouleurs profile is not beyond it.
SUSPECT_N, START_N, START_SIZE = 5.0, 1.5, 0.6


def with_core_star(
    result: LadderResult,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """A base fit, or that with a star on the centre if it is better.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
        Of a target of one component, with or without companions.
    freedom, options, bounds, base
        As given to `galstep.core.detection.run_ladder.run_ladder`.

    Returns
    -------
    LadderResult
    """
    if not options.thresholds:
        return result
    state, bands = result.solution.state, result.bands
    if state.target.sum() != 1 or _listed(bands, state):
        return result
    steep = np.exp(state.shapes[0, 5]) > SUSPECT_N
    start = _anew(bands, state) if steep else state
    # rings of structure may stand about a star that the profile has not
    plain = [band.with_structure(None) for band in bands]
    trial = fit_scene(
        plain,
        start.with_stars(*start.shapes[:1, :2].T, np.zeros((len(bands), 1))),  # type: ignore[call-arg]
        freedom,
        bounds=bounds,
        max_iterations=ITERATIONS,
        tolerance=1.0,
        reuse=(state, result.solution.evaluation),
    )
    own = ladder_cost(result, bands, freedom)
    earned = trial.state.star_flux[:, -1].max() > 0
    if not steep:
        earned = earned and _solution_cost(plain, trial, freedom) < own
    if not earned:
        return result
    known = trial.state, trial.evaluation
    other = run_ladder(plain, trial.state, freedom, options, bounds, base, known)
    return other if ladder_cost(other, bands, freedom) < own else result


def _listed(bands, state):
    """Whether a star is on the centre already."""
    x_0, y_0 = state.shapes[0, :2]
    near = ON_CENTRE_FWHM * min(band.fwhm_in_scene for band in bands)
    return bool(np.any(np.hypot(state.x - x_0, state.y - y_0) < near))


def _anew(bands, state):
    """An ordinary galaxy in the same place, and the stars outside its core."""
    shape = state.shapes[0].copy()
    shape[2] += np.log(START_SIZE)
    shape[5] = np.log(START_N)
    outside = np.hypot(state.x - shape[0], state.y - shape[1]) > 2 * np.exp(shape[2])
    start = SceneState.start(
        bands,
        [shape, *state.shapes[1:]],
        np.c_[np.zeros(len(bands)), state.galaxy_flux[:, 1:]],
        sky=state.sky,
        shift=state.shift,
        galaxy_id=state.galaxy_id,
    )
    kept = state.select_stars(outside)
    start = start.with_stars(kept.x, kept.y, kept.star_flux, kept.star_id)
    return replace(start, x_prior=kept.x_prior, y_prior=kept.y_prior)


def scene_cost(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom,
    reuse: tuple[SceneState, Evaluation] | None = None,
) -> float:
    """chi2 in the weights of these bands, and what stars and structure must be worth.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    freedom : `galstep.core.engine.freedom.Freedom`
        Its priors count.
    reuse : (SceneState, Evaluation), optional
        See `galstep.core.engine.normal.evaluate`.

    Returns
    -------
    float
    """
    half_sizes = [wing_half_sizes(b, f) for b, f in zip(bands, state.star_flux, strict=True)]
    structure = sum(b.structure.n_determined for b in bands if b.structure is not None)
    bands, _ = without_far_wings(bands, state, half_sizes)
    return (
        evaluate(bands, state, half_sizes, freedom, reuse).chi2
        + PER_STAR * state.n_stars
        + PER_COEFFICIENT * structure
    )


def ladder_cost(result: LadderResult, weights: Sequence[SceneBand], freedom: Freedom) -> float:
    """`scene_cost` of a ladder's end in the weights of given bands.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
        With its own structure.
    weights : sequence of `galstep.core.engine.scene.SceneBand`
    freedom : `galstep.core.engine.freedom.Freedom`

    Returns
    -------
    float
    """
    pairs = zip(result.bands, weights, strict=True)
    bands = [replace(own, weight=other.weight) for own, other in pairs]
    return _solution_cost(bands, result.solution, freedom)


def _solution_cost(bands, solution, freedom):
    return scene_cost(bands, solution.state, freedom, (solution.state, solution.evaluation))
