"""From the unit of an image to MJy/sr, where unit and keywords tell how.

One image unit of a surface brightness or flux density per pixel follows from
the unit and the pixel's solid angle Omega alone. Counts need a calibration:

==================  =====================================================
``PHOTMJSR``        MJy/sr of one DN/s
``PHOTFNU``         Jy of one count per second
``PHOTFLAM``        f_lambda of one count per second; f_nu follows with the
                    pivot wavelength ``PHOTPLAM``: f_nu = f_lambda lambda^2 / c
AB zero point Z     10^(-0.4 Z) x 3631 Jy of one image unit
==================  =====================================================

Counts that are no rate are divided by ``EXPTIME`` first, but for a zero point,
which holds for the image as it is. A flux density per pixel is divided by Omega.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

from galstep.units import jansky_per_flux

if TYPE_CHECKING:
    from astropy.units import UnitBase

    from galstep.datamodels.images.image_source import Calibration

__all__ = ["SURFACE_BRIGHTNESS", "surface_brightness_factor"]

#: The unit that images are converted to.
SURFACE_BRIGHTNESS = "MJy/sr"

_COUNTS = (u.electron, u.count, u.DN, u.adu, u.photon)


def surface_brightness_factor(
    unit: UnitBase, pixel_area_sr: float, calibration: Calibration
) -> tuple[float | None, str]:
    """MJy/sr of one image unit, or why that is not known.

    Parameters
    ----------
    unit : `astropy.units.UnitBase`
    pixel_area_sr : float
        Solid angle of a pixel, sr.
    calibration : `galstep.datamodels.images.image_source.Calibration`

    Returns
    -------
    factor : float or None
    reason : str
        Why there is no factor; "" if there is one.
    """
    to_brightness = 1e-6 / pixel_area_sr  # Jy per pixel -> MJy/sr
    jansky = jansky_per_flux(unit, pixel_area_sr)
    if np.isfinite(jansky):
        # jansky is proportional to the area for a brightness, which then drops out
        brightness = u.Unit(SURFACE_BRIGHTNESS)
        if unit.is_equivalent(brightness):
            return float(unit.to(brightness)), ""
        return jansky * to_brightness, ""
    if calibration.ab_zero_point is not None:
        one = 10.0 ** (-0.4 * calibration.ab_zero_point) * (1.0 * u.ABflux).to_value(u.Jy)
        return one * to_brightness, ""
    rate, reason = _counts_per_second(unit, calibration.exposure_time)
    if reason:
        return None, reason
    if calibration.megajansky_per_sr is not None:
        return rate * calibration.megajansky_per_sr, ""
    if calibration.fnu is not None:
        return rate * calibration.fnu * to_brightness, ""
    if calibration.flam is not None and calibration.pivot is not None:
        flam = calibration.flam * u.erg / u.s / u.cm**2 / u.AA
        wavelength = calibration.pivot * u.AA
        fnu = flam.to_value(u.Jy, u.spectral_density(wavelength))
        return rate * fnu * to_brightness, ""
    return None, (
        f"unit {unit} kept: no PHOTMJSR, PHOTFNU, PHOTFLAM with PHOTPLAM, or AB zero point"
    )


def _counts_per_second(unit, exposure_time):
    """How many counts per second one image unit is, or why that is not known."""
    for count in _COUNTS:
        if unit.is_equivalent(count / u.s):
            return float(unit.to(count / u.s)), ""
        if unit.is_equivalent(count):
            if exposure_time is None:
                return None, f"unit {unit} kept: no EXPTIME to make it a rate"
            return float(unit.to(count)) / exposure_time, ""
    return None, f"unit {unit} kept: it is neither a brightness nor counts"
