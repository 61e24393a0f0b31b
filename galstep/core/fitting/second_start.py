"""A second attempt for a fit that looks degenerate.

A fit that stopped at a bound of its shape, or before it converged, may be in the
wrong basin because its start was poor. It is then made again from other starts,
with the stars that are known by then, and the best of all is taken: a fit that is
at a bound for a reason (a galaxy that fills the frame) stays there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.freedom import Freedom
from galstep.core.engine.search import solve_linear
from galstep.core.engine.solve import fit_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution
    from galstep.records import SersicParams

__all__ = ["from_other_starts", "looks_degenerate"]

# Factors of r_eff, and Sersic indices, of the other starts; all are round.
_STARTS = ((0.5, 1.0), (1.0, 1.0), (1.0, 4.0), (2.0, 2.5))
# Of each attempt; the one that is taken is fitted further by the caller.
_ITERATIONS, _TOLERANCE = 30, 0.1


def looks_degenerate(solution: Solution, bounds: ShapeBounds) -> bool:
    """Whether a fit did not converge, or ended with a shape at a bound.

    Parameters
    ----------
    solution : `galstep.core.engine.solve.Solution`
    bounds : `galstep.core.engine.bounds.ShapeBounds`

    Returns
    -------
    bool
    """
    state = solution.state
    at_bound = any(bounds.at_bound(shape) for shape in state.shapes[state.target])
    return bool(at_bound or not solution.converged)


def from_other_starts(
    bands: Sequence[SceneBand],
    state: SceneState,
    first: SersicParams,
    bounds: ShapeBounds,
    freedom: Freedom = Freedom(),
) -> Solution:
    """The best of fits that begin elsewhere.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
        Whose stars all attempts begin with; of its galaxies the first is begun anew.
    first : `galstep.records.SersicParams`
        Centre and radius about which the starts lie.
    bounds : `galstep.core.engine.bounds.ShapeBounds`
    freedom : `galstep.core.engine.freedom.Freedom`, optional

    Returns
    -------
    `galstep.core.engine.solve.Solution`
        The one of the lowest chi2.
    """
    found = []
    for factor, n in _STARTS:
        start = replace(first, r_eff=factor * first.r_eff, n=n, ellip=0.0)
        shapes = np.array(state.shapes, dtype=float)
        shapes[0] = bounds.clip(start.to_vector())
        begun = solve_linear(bands, replace(state, shapes=shapes))
        found.append(
            fit_scene(
                bands,
                begun,
                freedom,
                bounds=bounds,
                max_iterations=_ITERATIONS,
                tolerance=_TOLERANCE,
            )
        )
    return min(found, key=lambda solution: solution.chi2)
