"""Image units, fluxes and AB magnitudes.

A flux is a sum over pixels: image unit x pixel. For a surface brightness
(``MJy/sr``) the pixel's solid angle makes it a flux density; for a unit that is
a flux density per pixel already (``Jy``, ``Jy/pix``) nothing is missing. Other
units (counts) have no magnitude without a calibration.

AB magnitudes (Oke & Gunn 1983, ApJ 266, 713): m = -2.5 log10 f - 48.60, f in
erg/s/cm2/Hz. `astropy.units.ABflux` holds the zero point.
"""

import numpy as np
from astropy import units as u

from galstep.exceptions import InputError

__all__ = ["MAG_PER_LN", "ab_magnitude", "check_unit", "flux_unit", "jansky_per_flux"]

#: Magnitudes per unit of natural logarithm of the flux: 2.5 / ln 10.
MAG_PER_LN = 2.5 / np.log(10.0)


def check_unit(unit, what):
    """The unit as a string, if astropy knows it.

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
    try:
        u.Unit(text)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what}: unit must be one that astropy knows, got {text!r}") from error
    return text


def flux_unit(unit):
    """Unit of a sum over pixels: image unit x pixel."""
    return u.Unit(unit) * u.pix


def jansky_per_flux(unit, pixel_area_sr):
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
        if brightness.is_equivalent(u.Jy):
            return float(brightness.to(u.Jy)) * factor
    return np.nan


def ab_magnitude(flux, flux_err, unit, pixel_area_sr):
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
