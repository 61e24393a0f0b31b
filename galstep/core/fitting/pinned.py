"""Fits with the shape of another band: what its errors do to the fluxes.

A pinned shape is not known exactly. If it moved by dz, the fluxes that fit best
would move by R dz, and their errors have the share R Cov(z) R^T on top of what
they would have with the shape given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.covariance import COVARIANCE_HALF_SIZE
from galstep.core.engine.freedom import N_SHAPE
from galstep.core.engine.normal import evaluate, normal_equations
from galstep.core.measurement.matched import fraction_and_gradient, half_light_ellipse

if TYPE_CHECKING:
    from galstep.core.detection.ladder_options import LadderResult
    from galstep.core.engine.freedom import Freedom
    from galstep.records import BandFit

__all__ = ["with_shape_errors", "with_shape_share"]

_SHAPE_ERRORS = ("r_eff_err", "n_err", "ellip_err", "theta_err", "x_0_err", "y_0_err")


def with_shape_errors(fit: BandFit, source: BandFit) -> BandFit:
    """A pinned fit with the shape errors of the fit its shape came from."""
    pairs = zip(fit.sersic, source.sersic, strict=True)
    components = tuple(
        replace(own, **{name: getattr(other, name) for name in _SHAPE_ERRORS})
        for own, other in pairs
    )
    return replace(fit, sersic=components)


def _flux_response(result, freedom):
    """How a pinned fit's galaxy fluxes follow the shapes, (ng, ng, 6).

    With K the normal matrix of the parameters that were free and C their
    coupling to the shape, the minimum moves by -K^-1 C per unit of the shape.
    """
    solution, bands = result.solution, result.bands
    n_galaxies = len(solution.state.shapes)
    n_shape = N_SHAPE * n_galaxies
    wide = replace(freedom, shape=(True,) * N_SHAPE)
    # a centre for each profile, also where components share one
    state = replace(solution.state, galaxy_id=np.arange(n_galaxies))
    evaluation = evaluate(bands, state, solution.half_sizes, wide)
    matrix = normal_equations(
        bands, state, evaluation, solution.half_sizes, wide, COVARIANCE_HALF_SIZE
    ).matrix
    moves = [
        result.covariance.factor.solve(matrix.border[n_shape:, k], matrix.coupling[k])[0]
        for k in range(n_shape)
    ]
    first = result.covariance.layout.galaxy_flux(0)
    response = -np.array(moves)[:, first : first + n_galaxies].T
    return response.reshape(n_galaxies, n_galaxies, N_SHAPE)


def with_shape_share(
    fit: BandFit, result: LadderResult, freedom: Freedom, base_fit: BandFit
) -> BandFit:
    """A pinned fit whose flux errors include those of the base's shape.

    The shapes of two components count as independent of one another here; the
    joint fit knows better.

    Parameters
    ----------
    fit : `galstep.records.BandFit`
        Of one band.
    result : `galstep.core.detection.ladder.LadderResult`
        The fit it was made from.
    freedom : `galstep.core.engine.scene.Freedom`
        What was free in it.
    base_fit : `galstep.records.BandFit`
        Where the shape came from.

    Returns
    -------
    BandFit
        Unchanged if the base's shape has no errors.
    """
    shapes = [component.covariance for component in base_fit.sersic]
    if any(c is None or not np.isfinite(c[:6, :6]).all() for c in shapes):
        return fit
    response = _flux_response(result, freedom)
    state = result.solution.state
    total, matched = _extra_variance(response, shapes, state)
    components = []
    for own, slopes in zip(fit.sersic, response, strict=True):
        covariance = own.covariance.copy()
        covariance[6, 6] += sum(s @ c[:6, :6] @ s for s, c in zip(slopes, shapes, strict=True))
        flux_err = float(np.sqrt(covariance[6, 6]))
        components.append(replace(own, flux_err=flux_err, covariance=covariance))
    return replace(
        fit,
        sersic=tuple(components),
        flux_err=float(np.hypot(fit.flux_err, np.sqrt(total))),
        total_flux_err=float(np.hypot(fit.total_flux_err, np.sqrt(total))),
        matched_flux_err=float(np.hypot(fit.matched_flux_err, np.sqrt(matched))),
    )


def _extra_variance(response, shapes, state):
    """Variance from the shapes' errors: of the total, and inside the half-light ellipse."""
    flux = state.galaxy_flux[0]
    ellipse = half_light_ellipse(state.shapes, flux)
    total, matched = response.sum(axis=0), np.full(response.shape[1:], np.nan)
    if ellipse is not None:
        known = [fraction_and_gradient(shape, ellipse) for shape in state.shapes]
        fractions = np.array([fraction for fraction, _ in known])
        matched = np.tensordot(fractions, response, axes=1)
        matched += flux[:, None] * np.array([gradient for _, gradient in known])
    return tuple(
        float(sum(s @ c[:6, :6] @ s for s, c in zip(slopes, shapes, strict=True)))
        for slopes in (total, matched)
    )
