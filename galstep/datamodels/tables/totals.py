"""The total flux of a galaxy in one filter: the one door for tables, colours and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.datamodels import BandData

__all__ = ["total_flux"]


def total_flux(band: BandData) -> tuple[float, float]:
    """Flux of the target, Sersic components and knots, and its error.

    Parameters
    ----------
    band : galstep.datamodels.BandData

    Returns
    -------
    flux, error : float
        Image unit x pixel; NaN without a fit. A fit of an earlier version, or of
        a step of the user's own, that has no ``total_flux`` has no knots either:
        its total is ``flux``, or the sum of its components.
    """
    fit = band.fit
    if fit is None:
        return np.nan, np.nan
    if np.isfinite(fit.total_flux):
        return fit.total_flux, fit.total_flux_err
    if np.isfinite(fit.flux) or not fit.target:
        return fit.flux, fit.flux_err
    error = np.linalg.norm([component.flux_err for component in fit.target])
    return sum(component.flux for component in fit.target), float(error)
