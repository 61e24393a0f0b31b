"""Image units, fluxes and AB magnitudes.

A flux is a sum over pixels: image unit x pixel. For a surface brightness
(``MJy/sr``) the pixel's solid angle makes it a flux density; for a unit that is
a flux density per pixel already (``Jy``, ``Jy/pix``, ``nmgy``) nothing is missing.
Other units (counts) have no magnitude without a calibration.

AB magnitudes (Oke & Gunn 1983, ApJ 266, 713): m = -2.5 log10 f - 48.60, f in
erg/s/cm2/Hz. `astropy.units.ABflux` holds the zero point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.exceptions import ParameterError
from galstep.unit_names import parse_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "MAG_PER_LN",
    "ab_magnitude",
    "check_unit",
    "colour",
    "flux_limits",
    "flux_unit",
    "jansky_per_flux",
    "upper_limit",
]

#: Magnitudes per unit of natural logarithm of the flux: 2.5 / ln 10.
MAG_PER_LN = 2.5 / np.log(10.0)
# images of SDSS and the Legacy Surveys: one maggy is the flux density of magnitude 0
_MAGGIES = u.zero_point_flux(1.0 * u.ABflux)


def check_unit(unit: Any, what: str) -> str:
    """The unit as a string that astropy knows; see `galstep.unit_names.parse_unit`.

    Parameters
    ----------
    unit : str, bytes or `astropy.units.Unit`
    what : str
        Where it stands, as messages call it.

    Raises
    ------
    InputError
        If it is not a unit.
    """
    text = unit.decode("ascii", errors="replace") if isinstance(unit, bytes) else str(unit)
    parsed = parse_unit(text, what)
    try:
        return text if u.Unit(text) == parsed else parsed.to_string()
    except (ValueError, TypeError):
        return parsed.to_string()


def flux_unit(unit: Any) -> Any:
    """Unit of a sum over pixels: image unit x pixel."""
    return u.Unit(unit) * u.pix


def jansky_per_flux(unit: str, pixel_area_sr: float) -> float:
    """Jy per flux of one (image unit x pixel), NaN if the unit does not tell.

    Parameters
    ----------
    unit : str
        Image unit.
    pixel_area_sr : float
        Solid angle of a pixel, sr.
    """
    per_pixel = u.Unit(unit)
    for brightness, factor in (
        (per_pixel * u.sr, pixel_area_sr),
        (per_pixel, 1.0),
        (per_pixel * u.pix, 1.0),
    ):
        if brightness.is_equivalent(u.Jy, _MAGGIES):
            return float(brightness.to(u.Jy, equivalencies=_MAGGIES)) * factor
    return np.nan


def ab_magnitude(
    flux: ArrayLike, flux_err: ArrayLike, unit: str, pixel_area_sr: float
) -> tuple[float | np.ndarray, float | np.ndarray]:
    """AB magnitude and its error.

    Parameters
    ----------
    flux, flux_err : float or array
        Image unit x pixel.
    unit : str
        Image unit.
    pixel_area_sr : float
        Solid angle of a pixel, sr.

    Returns
    -------
    magnitude, error : float or array
        NaN where the flux is not positive. The error is first order,
        2.5 / ln 10 x flux_err / flux.
    """
    flux = np.asarray(flux, dtype=float)
    positive = np.where(flux > 0, flux, np.nan)
    zero_point = (1.0 * u.ABflux).to_value(u.Jy)
    jansky = positive * jansky_per_flux(unit, pixel_area_sr)
    magnitude = -2.5 * np.log10(jansky / zero_point)
    error = MAG_PER_LN * np.asarray(flux_err, dtype=float) / positive
    return magnitude[()], error[()]


def colour(flux: float, reference: float, covariance: ArrayLike) -> tuple[float, float]:
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


def flux_limits(flux: ArrayLike, flux_err: ArrayLike, n_sigma: float = 3.0) -> np.ndarray:
    """Upper limits of the fluxes that are not detected.

    Parameters
    ----------
    flux, flux_err : (n,) arrays
    n_sigma : float, optional
        How many errors.

    Returns
    -------
    (n,) array
        max(flux, 0) + n_sigma errors where flux < n_sigma errors, else NaN.
    """
    flux, flux_err = np.asarray(flux, dtype=float), np.asarray(flux_err, dtype=float)
    limit = np.maximum(flux, 0.0) + n_sigma * flux_err
    return np.where(flux < n_sigma * flux_err, limit, np.nan)


def upper_limit(
    flux: float, flux_err: float, unit: str, pixel_area_sr: float, n_sigma: float = 3.0
) -> float:
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
