"""Amplitude of a fitted Sersic component and its error.

Fits have the total flux as their linear parameter; tables give both. The core
has the profile for rendering; here only the one number and its derivatives are
needed, and the data models stay independent of the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv, gammaln

if TYPE_CHECKING:
    from galstep.records import SersicFit

__all__ = ["amplitude_and_error"]


def amplitude_and_error(fit: SersicFit) -> tuple[float, float]:
    """Surface brightness at ``r_eff`` and its 1-sigma error.

    The profile I(r) = A exp(-b [(r/r_eff)^(1/n) - 1]) has the total flux
    (Graham & Driver 2005, PASA 22, 118, eq. 2 for an infinite radius; b is b_n there)::

        F = 2 pi A r_eff^2 (1 - ellip) n exp(b) b^(-2n) Gamma(2n)

    so ln A = ln F - 2 ln r_eff - ln(1 - ellip) - g(ln n), and the error follows
    to first order from the covariance of the fit.

    Parameters
    ----------
    fit : `galstep.records.SersicFit`

    Returns
    -------
    amplitude, error : float
        In image units. Parameters without an error of their own (NaN in the
        covariance: they were pinned) count as exact. Without a covariance the
        error is that of the flux alone.
    """
    params = fit.params
    q = 1.0 - params.ellip
    log_area = 2 * np.log(params.r_eff) + np.log(q) + _log_shape_integral(np.log(params.n))
    per_flux = np.exp(-log_area)
    amplitude = per_flux * fit.flux
    if fit.covariance is None:
        return float(amplitude), float(per_flux * fit.flux_err)
    slope = np.append(amplitude * _log_gradient(params), per_flux)
    covariance = np.asarray(fit.covariance, dtype=float)
    if not np.isfinite(covariance[-1, -1]):
        return float(amplitude), np.nan
    variance = slope @ np.nan_to_num(covariance, nan=0.0) @ slope
    return float(amplitude), float(np.sqrt(max(variance, 0.0)))


def _log_gradient(params):
    """d ln A / d (x_0, y_0, ln r_eff, e1, e2, ln n)."""
    _, _, _, e1, e2, ln_n = params.to_vector()
    e_squared = e1**2 + e2**2
    # q = (1 - e)/(1 + e), so d(-ln q)/de = 2/(1 - e^2), and it is linear in e at e = 0 where
    # the direction is not defined: there e1/e counts as 1 for e1
    e = np.sqrt(e_squared)
    direction = (e1 / e, e2 / e) if e > 0 else (1.0, 0.0)
    along_e = [2.0 / (1.0 - e_squared) * c for c in direction]
    step = 1e-4
    along_n = _log_shape_integral(ln_n + step) - _log_shape_integral(ln_n - step)
    return np.array([0.0, 0.0, -2.0, *along_e, -along_n / (2 * step)])


def _log_shape_integral(ln_n):
    """ln of 2 pi n exp(b) b^(-2n) Gamma(2n): the flux for A = r_eff = q = 1."""
    n = np.exp(ln_n)
    b = gammaincinv(2 * n, 0.5)
    return np.log(2 * np.pi * n) + b - 2 * n * np.log(b) + gammaln(2 * n)
