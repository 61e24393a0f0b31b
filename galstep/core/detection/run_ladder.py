"""A ladder from its start to its end: `run_ladder`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galstep.core.detection.final_refit import refit_stars
from galstep.core.detection.ladder import Ladder, known_variance
from galstep.core.detection.ladder_options import LadderOptions, LadderResult
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import ShapeBounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["run_ladder"]


def run_ladder(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom = Freedom(),
    options: LadderOptions = LadderOptions(),
    bounds: ShapeBounds = ShapeBounds(),
    base: Sequence[np.ndarray | None] | None = None,
    reuse: tuple[SceneState, Evaluation] | None = None,
) -> LadderResult:
    """Find and fit all stars of a scene, together with galaxy and sky.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
        The start; stars in it are kept while they are significant.
    freedom : `galstep.core.engine.scene.Freedom`, optional
    options : `LadderOptions`, optional
    bounds : `galstep.core.engine.solve.ShapeBounds`, optional
    base : sequence of (ny, nx) arrays or None, optional
        Per band the variance of its error plane, None where there is none; by
        default `known_variance` of the bands.
    reuse : (SceneState, Evaluation), optional
        Of the same bands, see `galstep.core.engine.normal.evaluate`: what is known of the start.

    Returns
    -------
    LadderResult

    Raises
    ------
    GalstepError
        If a fit of the stars fails and ``options.raise_error`` is set.
    """
    base = known_variance(bands) if base is None else base
    ladder = Ladder(bands, base, state, freedom, options, bounds)
    ladder.look(reuse)
    ladder.fit(structure=True)
    ladder.prune(min((options.keep, *options.thresholds[:1])))
    ladder.descend()
    ladder.settle()
    ladder.finish(refit_stars)
    if not ladder.solution.converged and options.raise_error:
        ladder.failed("chi2 still fell when the steps ran out")
    return LadderResult(
        bands=ladder.bands,
        solution=ladder.solution,
        late_covariance=ladder.late_covariance(),
        significance=ladder.significance,
        limited=ladder.search.limited,
        history=ladder.history,
        n_iterations=ladder.n_iterations,
        failures=tuple(ladder.failures),
        notes=tuple(ladder.notes),
    )
