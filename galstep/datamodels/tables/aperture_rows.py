"""Aperture photometry as rows of the tables ``phot`` and ``apertures``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.tables.frames import to_table_frame
from galstep.datamodels.tables.main_magnitudes import LIMIT_SIGMA, kron_aperture
from galstep.mapped_records import mapped_aperture
from galstep.units import MAG_PER_LN, ab_magnitude, colour, upper_limit

if TYPE_CHECKING:
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["aperture_part", "aperture_rows", "magnitude_limit"]

_TERMS = ("noise_err", "sky_err", "star_err", "model_err", "fill_err")


def magnitude_limit(flux: float, flux_err: float, band: BandData) -> float:
    """`galstep.units.upper_limit` of an aperture in which nothing is detected, NaN of others.

    Of this sum alone: whether the galaxy is seen is told by
    `galstep.datamodels.tables.main_magnitudes.galaxy_limit`.

    Parameters
    ----------
    flux, flux_err : float
        Image unit x pixel.
    band : `galstep.datamodels.BandData`

    Returns
    -------
    float
        AB; NaN also where the error or the calibration is not known.
    """
    if not flux < LIMIT_SIGMA * flux_err:
        return np.nan
    return upper_limit(flux, flux_err, band.unit, band.pixel_area_sr, LIMIT_SIGMA)


def aperture_part(model: GalaxyModel, band: BandData) -> dict[str, Any]:
    """The columns of the table ``phot`` that aperture photometry fills."""
    measured, frame = band.aperture, to_table_frame(model, band)
    place = mapped_aperture(frame, measured.aperture)
    color, color_err = _color(model, band, 0)
    return {
        "aper_flux": measured.flux,
        "aper_flux_err": measured.flux_err,
        **{f"aper_{name}": getattr(measured, name) for name in _TERMS},
        **{f"aper_{name}": value for name, value in _magnitudes(measured, band).items()},
        **_corrected(measured, band),
        **_kron(band, frame),
        "aper_a": place.a,
        "aper_b": place.b,
        "aper_theta": place.theta,
        "petrosian_radius": frame.scale * measured.petrosian_radius,
        "frac_enclosed": measured.frac_enclosed,
        "aper_color": color,
        "aper_color_err": color_err,
    }


def _kron(band, frame):
    """What was measured in the Kron ellipse; nothing if it was not."""
    kron = kron_aperture(band)
    if kron is None:
        return {}
    mag, err = ab_magnitude(kron.flux, kron.flux_err, band.unit, band.pixel_area_sr)
    return {
        "kron_flux": kron.flux,
        "kron_flux_err": kron.flux_err,
        "kron_mag_ab": mag,
        "kron_mag_ab_err": err,
        "kron_a": mapped_aperture(frame, kron.aperture).a,
    }


def aperture_rows(model: GalaxyModel) -> list[dict]:
    """One row per filter and aperture, for the table ``apertures``."""
    rows = []
    for band in model.bands.values():
        if band.aperture is None:
            continue
        rows += [
            _aperture_row(model, band, index, measured) for index, measured in enumerate(_all(band))
        ]
    return rows


def _aperture_row(model, band, index, measured):
    own = measured.aperture
    place = mapped_aperture(to_table_frame(model, band), own)
    color, color_err = _color(model, band, index)
    return {
        "filter": band.name,
        "aperture": measured.kind,
        "x": place.x,
        "y": place.y,
        "a": place.a,
        "b": place.b,
        "theta": place.theta,
        "radius": np.sqrt(own.a * own.b) * band.pixel_scale,
        "flux": measured.flux,
        "flux_err": measured.flux_err,
        **{name: getattr(measured, name) for name in _TERMS},
        **_magnitudes(measured, band),
        **_corrected(measured, band),
        "color": color,
        "color_err": color_err,
        "frac_enclosed": measured.frac_enclosed,
        "flags": measured.flags,
    }


def _all(band):
    return (band.aperture, *band.aperture.others)


def _magnitudes(measured, band):
    mag, err = ab_magnitude(measured.flux, measured.flux_err, band.unit, band.pixel_area_sr)
    limit = magnitude_limit(measured.flux, measured.flux_err, band)
    return {"mag_ab": mag, "mag_ab_err": err, "mag_ab_limit": limit}


def _corrected(measured, band):
    """Magnitude as the reference PSF would have it."""
    mag, err = ab_magnitude(measured.flux, measured.flux_err, band.unit, band.pixel_area_sr)
    err = np.hypot(err, measured.psf_correction_err)
    if measured.flux_corr > 0:  # knows how flux and correction hang together
        err = MAG_PER_LN * measured.flux_corr_err / measured.flux_corr
    return {"mag_corr": mag + measured.psf_correction, "mag_corr_err": err}


def _color(model, band, index):
    """mag_corr minus that of the base filter in the same aperture, and its error."""
    base = model.bands.get(model.meta.base_filter)
    if base is None or base.aperture is None or index >= len(_all(base)):
        return np.nan, np.nan
    own, other = _all(band)[index], _all(base)[index]
    color = _corrected(own, band)["mag_corr"] - _corrected(other, base)["mag_corr"]
    if not np.isfinite(color):
        return np.nan, np.nan
    if band is base:
        return 0.0, 0.0
    shared = own.covariance.get(base.name, 0.0)
    covariance = [[own.flux_corr_err**2, shared], [shared, other.flux_corr_err**2]]
    # the magnitudes are those of the units, which may differ; relative errors do not care
    return color, colour(own.flux_corr, other.flux_corr, covariance)[1]
