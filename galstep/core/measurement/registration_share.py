"""Forced fluxes and the registration: what its error does to them.

Held stars all move with the registration of their band. Alone, a star hardly
notices; two close stars trade light in first order, like the two arms of a
balance. If the registration moved by ds, the fluxes that fit best would move by
R ds, and their errors have the share R Cov(s) R^T on top of what they would have
with the registration given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.engine.covariance import COVARIANCE_HALF_SIZE
from galstep.core.engine.normal import evaluate, normal_equations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.freedom import Freedom
    from galstep.records import BandFit

__all__ = ["with_registration_share"]


def with_registration_share(
    fit: BandFit, result: Any, freedom: Freedom, offset_err: Sequence[float]
) -> BandFit:
    """A fit of held stars whose flux errors include those of the registration.

    Parameters
    ----------
    fit : `galstep.records.BandFit`
        Of one band.
    result : `galstep.core.detection.ladder.LadderResult`
        The fit it was made from.
    freedom : `galstep.core.engine.scene.Freedom`
        What was free in it.
    offset_err : (float, float)
        Errors of dx and dy, taken as independent.

    Returns
    -------
    BandFit
        Unchanged if positions are free, there are no stars, or the errors are not
        known.
    """
    known = np.isfinite(offset_err).all()
    if freedom.positions or not len(fit.stars) or not known:
        return fit
    response = _flux_response(result, freedom)
    share = np.sqrt(np.square(response * np.asarray(offset_err)[:, None]).sum(axis=0))
    return replace(fit, stars=replace(fit.stars, flux_err=np.hypot(fit.stars.flux_err, share)))


def _flux_response(result, freedom):
    """How the stars' fluxes follow the registration, (2, n_stars).

    With K the normal matrix of the parameters that were free and C their
    coupling to the registration, the minimum moves by -K^-1 C per unit of it.
    """
    solution, bands = result.solution, result.bands
    wide = replace(freedom, registration=(0,))
    evaluation = evaluate(bands, solution.state, solution.half_sizes, wide)
    equations = normal_equations(
        bands, solution.state, evaluation, solution.half_sizes, wide, COVARIANCE_HALF_SIZE
    )
    places = equations.layout.registration[0]
    matrix = equations.matrix
    others = np.delete(np.arange(len(matrix.border)), np.arange(places.start, places.stop))
    factor = result.covariance.factor
    moves = [
        factor.solve(matrix.border[others, k], matrix.coupling[k])[1]
        for k in range(places.start, places.stop)
    ]
    return -np.array(moves)
