"""What the galaxy can explain, tried before the stars have taken it.

Stars found beside one smooth Sersic profile take the bulge of a galaxy that has one, its
arms and its ring, and no residual shows it. So the galaxy's model is made in a scene that is
closed to faint stars within the galaxy: there a share of its light counts as noise of
detection. A second component and, where the galaxy asks for it, the structure's modes are
fitted in that scene; from there the whole ladder runs, and the answers are compared as
models: chi2, and what each star and component must be worth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.core_star import ladder_cost
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.fitting.companions import (
    target_first,
    with_companions,
    with_lasting,
    with_wide_peaks,
)
from galstep.core.fitting.model_choice import (
    PENALTY,
    is_no_part,
    ordered,
    with_second_component,
)
from galstep.core.fitting.wide_peaks import wide_peaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions, LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["galaxy_then_stars"]

# The share that closes a galaxy to faint stars. A bulge and disc fitted by one profile
# leave some percent of the light under a star; at a tenth none of it is taken for one.
CLOSED = 0.1
# Nothing so near to the centre (FWHM) is taken for a star in that scene: a bulge of one
# FWHM that a disc's profile leaves is as sharp as a star.
CORE_IN_FWHM = 1.5
# Passes of the ladders that go on from there.
RESUMED = 4
# r_eff, ellipticity (two) and n of a second component, and its flux in the one band.
N_COMPONENT = 5


def galaxy_then_stars(
    bands: Sequence[SceneBand],
    start: SceneState,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
    two: str,
    sought: Sequence[float],
    find_companions: bool = True,
) -> LadderResult:
    """Galaxy, stars and sky of one band, the galaxy with as many components as it has.

    Parameters
    ----------
    bands : sequence of one `galstep.core.engine.scene.SceneBand`
    start : `galstep.core.engine.scene.SceneState`
        Without stars.
    freedom, options, bounds, base
        See `galstep.core.detection.run_ladder.run_ladder`.
    two : {"false", "true", "auto"}
        Whether a second component is tried: only with ``"auto"`` here.
    sought : (x, y)
        Where the target was looked for.
    find_companions : bool, optional
        Whether other galaxies are looked for, in the closed scene and before a second
        component: the light of one nearby drives the target's fit.

    Returns
    -------
    LadderResult
        Components from the smallest r_eff to the largest.
    """
    mask = max(options.centre_mask, CORE_IN_FWHM)
    closed_options = replace(options, structure=CLOSED, modes=False, centre_mask=mask, final=False)
    closed = run_ladder(bands, start, freedom, closed_options, bounds, base)
    if find_companions:
        peaks = wide_peaks(bands[0], start, sought)
        how = freedom, closed_options, bounds, base
        closed = with_companions(with_wide_peaks(closed, start, peaks, *how), *how)
        state = closed.solution.state
        renamed = target_first(state, sought, len(start.shapes))
        if renamed is not state:
            known = state, closed.solution.evaluation
            closed = run_ladder(closed.bands, renamed, freedom, closed_options, bounds, base, known)
    # what is bright outside is known by now
    options = replace(options, thresholds=options.thresholds[-RESUMED:])
    given = freedom, options, bounds, base
    known = closed.solution.state, closed.solution.evaluation
    one = run_ladder(closed.bands, closed.solution.state, *given, known)
    best = one if two != "auto" else _as_many_components(one, closed, start, *given)
    return with_lasting(best, np.unique(start.galaxy_id), *given)


def _as_many_components(one, closed, start, freedom, options, bounds, base):
    """The fit with one component, or that with two if it is worth its parameters."""
    if start.target.sum() != 1:
        return one
    fit = with_second_component(closed.bands, closed.solution, freedom, bounds)
    if is_no_part(fit.state, bounds):
        return one
    state = ordered(fit.state)
    known = fit.state, fit.evaluation
    other = run_ladder(closed.bands, state, freedom, options, bounds, base, known)
    if is_no_part(other.solution.state, bounds):
        return one
    price = ladder_cost(other, one.bands, freedom) + PENALTY * N_COMPONENT
    return other if price < ladder_cost(one, one.bands, freedom) else one
