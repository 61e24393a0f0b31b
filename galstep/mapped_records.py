"""Records of one pixel grid as they are on another: shapes, apertures, stars, fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.pixel_map import PixelMap
    from galstep.records import Aperture, BandFit, SersicFit, SersicParams, StarList

__all__ = ["mapped_aperture", "mapped_fit", "mapped_params", "mapped_sersic", "mapped_stars"]


def mapped_params(pixel_map: PixelMap, params: SersicParams) -> SersicParams:
    """`galstep.records.SersicParams` on the second grid."""
    if pixel_map.is_translation:
        return params.moved(*pixel_map.origin)
    return type(params).from_vector(pixel_map.vector(params.to_vector()))


def mapped_aperture(pixel_map: PixelMap, aperture: Aperture) -> Aperture:
    """`galstep.records.Aperture` on the second grid."""
    x, y = (float(v) for v in pixel_map.points(aperture.x, aperture.y))
    if pixel_map.is_translation:
        return replace(aperture, x=x, y=y)
    e = (aperture.a - aperture.b) / (aperture.a + aperture.b)
    e1, e2 = e * np.cos(2 * aperture.theta), e * np.sin(2 * aperture.theta)
    _, _, ln_a, e1, e2, _ = pixel_map.vector([0.0, 0.0, np.log(aperture.a), e1, e2, 0.0])
    e, theta = np.hypot(e1, e2), 0.5 * np.arctan2(e2, e1) % np.pi
    a = float(np.exp(ln_a))
    return replace(aperture, x=x, y=y, a=a, b=float(a * (1 - e) / (1 + e)), theta=float(theta))


def mapped_sersic(pixel_map: PixelMap, fit: SersicFit) -> SersicFit:
    """`galstep.records.SersicFit` on the second grid; flux and its error stay.

    The errors of the shape keep their share of it: that is exact where the
    map turns, mirrors and scales, as one between two images of the sky does
    to a percent or better.
    """
    if pixel_map.is_translation:
        return replace(fit, params=mapped_params(pixel_map, fit.params))
    params, covariance = mapped_params(pixel_map, fit.params), fit.covariance
    x_err, y_err = (float(v) for v in pixel_map.position_errors(fit.x_0_err, fit.y_0_err))
    if covariance is not None:
        covariance = _covariance(pixel_map, fit.params.to_vector(), np.asarray(covariance))
        errors = np.sqrt(np.diag(covariance)[:2])
        x_err, y_err = np.where(np.isfinite(errors), errors, (x_err, y_err)).tolist()
    return replace(
        fit,
        params=params,
        x_0_err=x_err,
        y_0_err=y_err,
        r_eff_err=fit.r_eff_err * params.r_eff / fit.params.r_eff,
        covariance=covariance,
    )


def _covariance(pixel_map, vector, covariance):
    """J C J^T; what depends on a parameter without an error (NaN) has none."""
    jacobian = np.eye(len(covariance))
    jacobian[:6, :6] = pixel_map.jacobian(vector)
    jacobian[np.abs(jacobian) < 1e-9] = 0.0
    known = np.isfinite(np.diag(covariance))
    mapped = jacobian @ np.where(known & known[:, None], covariance, 0.0) @ jacobian.T
    lost = (jacobian[:, ~known] != 0).any(axis=1)
    mapped[lost] = mapped[:, lost] = np.nan
    return mapped


def mapped_stars(pixel_map: PixelMap, stars: StarList) -> StarList:
    """`galstep.records.StarList` on the second grid; fluxes stay."""
    x, y = pixel_map.points(stars.x, stars.y)
    x_err, y_err = pixel_map.position_errors(stars.x_err, stars.y_err)
    return replace(stars, x=x, y=y, x_err=x_err, y_err=y_err)


def mapped_fit(pixel_map: PixelMap, fit: BandFit) -> BandFit:
    """`galstep.records.BandFit` with positions and shapes on the second grid."""
    sersic = tuple(mapped_sersic(pixel_map, component) for component in fit.sersic)
    return replace(
        fit,
        sersic=sersic,
        stars=mapped_stars(pixel_map, fit.stars),
        knots=mapped_stars(pixel_map, fit.knots),
    )
