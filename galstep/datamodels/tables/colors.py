"""Colours of the galaxy: filter minus base filter, with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables.totals import total_flux
from galstep.units import MAG_PER_LN, ab_magnitude

if TYPE_CHECKING:
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["matched_color", "total_color"]


def total_color(model: GalaxyModel, band: BandData) -> tuple[float, float]:
    """Total magnitude minus that of the base filter, and its error.

    The totals are those of `galstep.datamodels.tables.totals.total_flux`, knots included.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    band : `galstep.datamodels.BandData`
        One of its filters.

    Returns
    -------
    color, error : float
        In mag. NaN if a flux is not positive or not measured; 0, 0 for the base
        filter itself.
    """
    covariance = None if model.joint is None else model.joint.flux_covariance
    return _color(model, band, total_flux, covariance)


def matched_color(model: GalaxyModel, band: BandData) -> tuple[float, float]:
    """`total_color` of the flux inside the half-light ellipse of the base filter."""
    covariance = None if model.joint is None else model.joint.matched_covariance
    return _color(model, band, _matched_flux, covariance)


def _matched_flux(band):
    return band.fit.matched_flux, band.fit.matched_flux_err


def _color(model, band, flux_of, covariance):
    """A colour; to first order its variance is that of ln(F / F_base).

    The covariance of the two fluxes comes from the joint fit; without one they
    count as independent.
    """
    base = model.bands.get(model.meta.base_filter)
    if base is None or not (base.fitted and band.fitted):
        return np.nan, np.nan
    flux, error = flux_of(band)
    base_flux, base_error = flux_of(base)
    mag, _ = ab_magnitude(flux, 0.0, band.unit, band.pixel_area_sr)
    base_mag, _ = ab_magnitude(base_flux, 0.0, base.unit, base.pixel_area_sr)
    if not np.isfinite(mag - base_mag):
        return np.nan, np.nan
    if band is base:
        return 0.0, 0.0
    cross, variance, base_variance = 0.0, error**2, base_error**2
    if covariance is not None and {band.name, base.name} <= set(model.joint.filters):
        i, j = model.joint.filters.index(band.name), model.joint.filters.index(base.name)
        variance, base_variance, cross = covariance[i, i], covariance[j, j], covariance[i, j]
    log_variance = (
        variance / flux**2 + base_variance / base_flux**2 - 2 * cross / (flux * base_flux)
    )
    return mag - base_mag, MAG_PER_LN * np.sqrt(max(log_variance, 0.0))
