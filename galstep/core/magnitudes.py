"""Colours with their covariance, and upper limits, in AB magnitudes.

Units and zero point are those of `galstep.units`.
"""

import numpy as np

from galstep.exceptions import ParameterError
from galstep.units import MAG_PER_LN, ab_magnitude

__all__ = ["colour", "upper_limit"]


def colour(flux, reference, covariance):
    """The magnitude of one flux minus that of another, and its error.

    c = -2.5 log10(flux / reference). To first order var(c) = (2.5 / ln 10)^2
    (V_11 / flux^2 + V_22 / reference^2 - 2 V_12 / (flux reference)).

    Parameters
    ----------
    flux, reference : float
        In one unit (Jy, or image unit x pixel of the same pixels).
    covariance : array_like, shape (2, 2)
        Of (flux, reference).

    Returns
    -------
    colour, error : float
        Magnitudes; NaN unless both fluxes are positive.
    """
    if not (flux > 0 and reference > 0):
        return np.nan, np.nan
    gradient = np.array([1 / flux, -1 / reference])
    variance = gradient @ np.asarray(covariance, dtype=float) @ gradient
    error = np.nan if np.isnan(variance) else MAG_PER_LN * np.sqrt(max(variance, 0.0))
    return float(2.5 * np.log10(reference / flux)), float(error)


def upper_limit(flux, flux_err, unit, pixel_area_sr, n_sigma=3.0):
    """The AB magnitude than which a source that is hardly seen is not brighter.

    Of max(flux, 0) + n_sigma flux_err: a measured flux counts, a negative one
    does not make the limit deeper than the noise allows.

    Parameters
    ----------
    flux, flux_err : float
        Image unit x pixel.
    unit : str
        Image unit.
    pixel_area_sr : float
        Solid angle of a pixel (sr).
    n_sigma : float, optional
        How many errors.

    Returns
    -------
    float
        NaN if the error is not known or the unit has no magnitudes.

    Raises
    ------
    ParameterError
        If ``n_sigma`` is not positive.
    """
    if not n_sigma > 0:
        raise ParameterError(f"n_sigma must be > 0, got {n_sigma}")
    limit = max(flux, 0.0) + n_sigma * flux_err
    return float(ab_magnitude(limit, np.nan, unit, pixel_area_sr)[0])
