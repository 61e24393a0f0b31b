"""The magnitudes of a galaxy that a person looks at first: the one door for all who show them.

Log, pictures, tables and the summary of a batch take them from here, so that one galaxy
has one number, and is an upper limit everywhere or nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from galstep.datamodels.tables.totals import total_flux
from galstep.flags import BandFlag
from galstep.units import ab_magnitude, upper_limit

if TYPE_CHECKING:
    from galstep.datamodels import BandData
    from galstep.records import ApertureFlux

__all__ = [
    "LIMIT_SIGMA",
    "MainMagnitude",
    "galaxy_limit",
    "kron_aperture",
    "main_fluxes",
    "main_magnitudes",
]

#: A flux of fewer errors has an upper limit, which stands so many errors above it.
LIMIT_SIGMA = 3.0
# errors of the total above which nothing about a galaxy is a limit, as the flag ``faint`` has it
_SEEN = 5.0


class MainMagnitude(NamedTuple):
    """An AB magnitude and its error, or the upper limit of what is not detected."""

    value: float
    error: float
    limit: float


def main_fluxes(band: BandData) -> dict[str, tuple[float, float]]:
    """The fluxes of a galaxy and their errors (image unit x pixel).

    Parameters
    ----------
    band : galstep.datamodels.BandData

    Returns
    -------
    dict of str to (float, float)
        ``total``: the model's, to infinity, knots included; ``half``: of the model
        inside the base filter's half-light ellipse; ``kron``, ``aperture``: summed in the
        Kron ellipse and in the main aperture. NaN where not measured.
    """
    unknown = (np.nan, np.nan)
    fit, measured, kron = band.fit, band.aperture, kron_aperture(band)
    return {
        "total": total_flux(band),
        "half": unknown if fit is None else (fit.matched_flux, fit.matched_flux_err),
        "kron": unknown if kron is None else (kron.flux, kron.flux_err),
        "aperture": unknown if measured is None else (measured.flux, measured.flux_err),
    }


def main_magnitudes(band: BandData) -> dict[str, MainMagnitude]:
    """The magnitudes of `main_fluxes`.

    Only a galaxy with the flag ``faint`` has upper limits: one whose wings run into the
    sky has an uncertain total, and is seen all the same.

    Parameters
    ----------
    band : galstep.datamodels.BandData

    Returns
    -------
    dict of str to MainMagnitude
        NaN for what is not known.
    """
    found = {}
    for kind, (flux, error) in main_fluxes(band).items():
        limit = galaxy_limit(flux, error, band)
        if np.isfinite(limit):
            found[kind] = MainMagnitude(np.nan, np.nan, limit)
        else:
            value, err = ab_magnitude(flux, error, band.unit, band.pixel_area_sr)
            found[kind] = MainMagnitude(float(value), float(err), np.nan)
    return found


def galaxy_limit(flux: float, flux_err: float, band: BandData) -> float:
    """`galstep.units.upper_limit` of a galaxy that has the flag ``faint``.

    Parameters
    ----------
    flux, flux_err : float
        Image unit x pixel.
    band : galstep.datamodels.BandData

    Returns
    -------
    float
        AB; NaN for a galaxy that is seen, a flux of `LIMIT_SIGMA` errors or more, and
        where the error or the calibration is not known.
    """
    total, total_err = total_flux(band)
    # the flag is that of the profiles: a galaxy seen by its knots is no limit
    is_faint = band.all_flags & BandFlag.FAINT and not total > _SEEN * total_err
    if not (is_faint and flux < LIMIT_SIGMA * flux_err):
        return np.nan
    return upper_limit(flux, flux_err, band.unit, band.pixel_area_sr, LIMIT_SIGMA)


def kron_aperture(band: BandData) -> ApertureFlux | None:
    """What was measured in the Kron ellipse, None if nothing was."""
    if band.aperture is None:
        return None
    return next((other for other in band.aperture.others if other.kind == "kron"), None)
