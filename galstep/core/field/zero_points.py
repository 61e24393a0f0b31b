"""The zero point of a band from stars of known magnitude.

For each star z_i = m_i + 2.5 log10 F_i. Outliers are clipped about the median by their distance in
units of the scatter; what is left gives the mean with weights w_i = 1 / (sigma_i^2 + s^2), s being
the scatter that the stars' own errors do not explain:

    z = sum w_i z_i / sum w_i,    sigma_z = 1 / sqrt(sum w_i).

s is the value for which sum w_i (z_i - z)^2 = N - 1, or 0 (Mandel & Paule 1970, Anal. Chem. 42,
1194). So a handful of bright stars does not carry the zero point where the references themselves
scatter more than the photon noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from galstep.units import MAG_PER_LN

__all__ = ["ZeroPoint", "calibrated", "zero_point"]

# fewer stars than this cannot say which of them is the outlier
LEAST_TO_CLIP = 3


@dataclass(frozen=True, eq=False)
class ZeroPoint:
    """The zero point of a band.

    Attributes
    ----------
    value : float
        AB magnitude of a flux of 1; NaN without stars.
    error : float
        1 sigma, of the mean.
    scatter : float
        Standard deviation of the stars kept about it, mag; NaN of a single one.
    intrinsic : float
        The part of the scatter that errors do not explain, mag.
    chi2 : float
        Reduced, with the stars' own errors alone; NaN of a single one.
    kept : (N,) bool array
        Stars that were used.
    zero_points, errors : (N,) arrays
        Of each star; NaN where the flux is not positive.
    """

    value: float
    error: float
    scatter: float
    intrinsic: float
    chi2: float
    kept: np.ndarray
    zero_points: np.ndarray
    errors: np.ndarray


def zero_point(
    flux: np.ndarray,
    flux_err: np.ndarray,
    magnitude: np.ndarray,
    magnitude_err: np.ndarray | None = None,
    usable: np.ndarray | None = None,
    snr_min: float = 0.0,
    clip_sigma: float = 3.0,
    clip_iterations: int = 10,
) -> ZeroPoint:
    """The zero point from fluxes and known magnitudes.

    Parameters
    ----------
    flux, flux_err : (N,) arrays
    magnitude : (N,) array
        NaN where not known.
    magnitude_err : (N,) array, optional
        NaN or None: exact.
    usable : (N,) bool array, optional
    snr_min : float, optional
        Stars below have no part.
    clip_sigma : float, optional
    clip_iterations : int, optional
        0: nothing is clipped.

    Returns
    -------
    ZeroPoint
    """
    from astropy.stats import mad_std, sigma_clip

    flux, flux_err = np.asarray(flux, float), np.asarray(flux_err, float)
    positive = np.where(flux > 0, flux, np.nan)
    values = np.asarray(magnitude, float) + 2.5 * np.log10(positive)
    own = np.zeros(len(flux)) if magnitude_err is None else np.nan_to_num(magnitude_err)
    errors = np.hypot(MAG_PER_LN * flux_err / positive, own)
    good = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    good &= flux > snr_min * flux_err
    if usable is not None:
        good &= usable
    kept = good.copy()
    if np.count_nonzero(good) >= LEAST_TO_CLIP and clip_iterations:
        clipped = sigma_clip(
            values[good], sigma=clip_sigma, maxiters=clip_iterations, cenfunc="median",
            stdfunc=mad_std, masked=True,
        )  # fmt: skip
        kept[good] = ~np.ma.getmaskarray(clipped)
    if not kept.any():
        return ZeroPoint(np.nan, np.nan, np.nan, np.nan, np.nan, kept, values, errors)
    z, e = values[kept], errors[kept]
    intrinsic = _intrinsic(z, e)
    weight = 1 / (e**2 + intrinsic**2)
    value = float(np.sum(weight * z) / np.sum(weight))
    several = len(z) > 1
    plain = np.average(z, weights=1 / e**2)
    return ZeroPoint(
        value=value,
        error=float(1 / np.sqrt(np.sum(weight))),
        scatter=float(np.std(z, ddof=1)) if several else np.nan,
        intrinsic=intrinsic,
        chi2=float(np.sum(((z - plain) / e) ** 2) / (len(z) - 1)) if several else np.nan,
        kept=kept,
        zero_points=values,
        errors=errors,
    )


def _intrinsic(values, errors):
    """The scatter that makes the reduced chi2 one; 0 if it is less without."""
    if len(values) < 2:
        return 0.0

    def excess(variance):
        weight = 1 / (errors**2 + variance)
        mean = np.sum(weight * values) / np.sum(weight)
        return np.sum(weight * (values - mean) ** 2) - (len(values) - 1)

    if excess(0.0) <= 0:
        return 0.0
    high = np.var(values, ddof=1)
    while excess(high) > 0:
        high *= 2
    return float(np.sqrt(brentq(excess, 0.0, high)))


def calibrated(
    flux: np.ndarray, flux_err: np.ndarray, zero: float, zero_err: float = 0.0, n_sigma: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Magnitudes, their errors, and limits.

    Parameters
    ----------
    flux, flux_err : (N,) arrays
    zero : float
    zero_err : float, optional
        Added in quadrature to every error.
    n_sigma : float, optional
        Of the limits.

    Returns
    -------
    magnitude, error : (N,) arrays
        NaN where the flux is not positive.
    limit : (N,) array
        Of max(flux, 0) + n_sigma errors where flux < n_sigma errors, else NaN.
    """
    flux, flux_err = np.asarray(flux, float), np.asarray(flux_err, float)
    positive = np.where(flux > 0, flux, np.nan)
    magnitude = zero - 2.5 * np.log10(positive)
    error = np.hypot(MAG_PER_LN * flux_err / positive, zero_err)
    faint = flux < n_sigma * flux_err
    bound = np.where(faint, np.maximum(flux, 0.0) + n_sigma * flux_err, np.nan)
    return magnitude, error, zero - 2.5 * np.log10(bound)
