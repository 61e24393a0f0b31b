"""Aperture photometry of one filter, with every term of its error."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import mad_std

from galstep.core.aperture_noise import empty_apertures
from galstep.core.apertures import (
    aperture_sum,
    fill_stamp,
    model_stamp,
    overlap,
    psf_correction,
)
from galstep.core.stars import StarRenderer
from galstep.flags import BandFlag
from galstep.records import ApertureFlux

__all__ = ["ApertureImages", "ApertureSettings", "mask_outliers", "measure_aperture"]

OUTLIER_SIGMA = 15.0
UNCERTAIN_SKY = 0.1  # of the flux


@dataclass(frozen=True, eq=False)
class ApertureImages:
    """What is measured on; all (ny, nx), in image units.

    Parameters
    ----------
    data : array
        The image to sum, the sky already subtracted.
    mask : bool array
        True = bad.
    residual, residual_mask : array, bool array
        The image in which empty apertures are laid out, and its bad pixels.
    error : array
        1-sigma error of single pixels, as if they were independent.
    """

    data: np.ndarray
    mask: np.ndarray
    residual: np.ndarray
    residual_mask: np.ndarray
    error: np.ndarray


@dataclass(frozen=True)
class ApertureSettings:
    """Choices of the measurement.

    Parameters
    ----------
    center_mask : float
        No empty aperture has its centre within so many semi-axes.
    fill_max_nan_frac : float
        An aperture of which more than this share is bad is not measured;
        below 1, so that something is left.
    fill_replace_with : {"median", "sersic_modelimg"}
        What stands in for bad pixels, see `galstep.core.apertures.fill_stamp`.
    empirical_noise : bool
        Whether the noise is the scatter of the empty apertures; otherwise it
        is that of ``error``.
    """

    center_mask: float = 4.0
    fill_max_nan_frac: float = 0.7
    fill_replace_with: str = "median"
    empirical_noise: bool = True


def mask_outliers(residual, mask, n_sigma=OUTLIER_SIGMA):
    """The mask with pixels beyond ``n_sigma`` robust sigma of the residual added.

    Parameters
    ----------
    residual : ndarray, shape (ny, nx)
        NaN allowed where masked.
    mask : ndarray of bool, shape (ny, nx)
        True = bad.
    n_sigma : float, optional

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    bad = mask | ~np.isfinite(residual)
    if bad.all():
        return bad
    values = np.where(bad, 0.0, residual)
    return bad | (np.abs(values) > n_sigma * mad_std(residual[~bad]))


def measure_aperture(images, fit, psf, reference_psf, aperture, settings):
    """Flux of a galaxy inside an ellipse.

    flux = sum(share x data) - area x level, with ``level`` what the empty
    apertures say is left of the sky. Its variance is the sum of

    - the noise of the sum: the scatter of the empty apertures; or, if that is
      not wanted or none fits, sum(share^2 error^2) times ``fit.noise_corr^2``
      (white noise made as large as it is for the fit's own flux);
    - the sky: area^2 times the variance of the fitted level, plus that of
      ``level``;
    - the stars that were subtracted: sum_i (f_i sigma_i)^2, f_i being the share
      of star i that falls into the ellipse, sigma_i the error of its flux;
    - the pixels that were filled in: the square of the difference between
      filling them from the rings and from the model.

    Parameters
    ----------
    images : ApertureImages
    fit : galstep.records.BandFit
    psf, reference_psf : galstep.core.psf.EffectivePSF
        This filter's, and the one to which the magnitude is corrected.
    aperture : galstep.records.Aperture
        In this filter's pixels.
    settings : ApertureSettings

    Returns
    -------
    galstep.records.ApertureFlux
        ``petrosian_radius`` is left to the caller; the terms of the error are
        in ``extra``. If too few pixels are good the flux is NaN, with
        `BandFlag.NO_APERTURE` and the reason.
    """
    # before anything of the aperture's size is made: so much at least is off the frame
    outside = 1 - images.mask.size / (np.pi * aperture.a * aperture.b)
    if outside > settings.fill_max_nan_frac:
        return _not_measured(ApertureFlux(aperture, np.nan), outside)
    unit_model = model_stamp(fit.sersic, psf, aperture)
    model = unit_model * sum(c.flux for c in fit.sersic)
    filled = fill_stamp(images.data, images.mask, aperture, model, settings.fill_replace_with)
    correction, correction_err = psf_correction(fit.sersic, psf, reference_psf, aperture)
    result = ApertureFlux(
        aperture,
        np.nan,
        psf_correction=correction,
        psf_correction_err=correction_err,
        frac_enclosed=float((filled.share * unit_model).sum()),
        flags=_gap_flags(filled),
        extra={"masked_fraction": filled.masked, "off_frame_fraction": filled.off_frame},
    )
    bad = filled.masked + filled.off_frame
    if bad > settings.fill_max_nan_frac:
        return _not_measured(result, bad)
    empty = empty_apertures(images.residual, images.residual_mask, aperture, settings.center_mask)
    noise_err, uncertain = _noise_error(images, fit, aperture, empty, settings)
    terms = {
        "noise_err": noise_err,
        "star_err": _star_error(fit, psf, aperture, images.error),
        "fill_err": _fill_error(images, aperture, model, filled, settings),
    }
    if uncertain:
        result = replace(result, flags=int(result.flags | BandFlag.ERRORS_UNCERTAIN))
    return _combined(result, fit, filled, empty, terms)


def _not_measured(result, bad):
    reason = f"{100 * bad:.0f} % of the aperture is masked or off the frame"
    return replace(result, flags=int(result.flags | BandFlag.NO_APERTURE), reason=reason)


def _gap_flags(filled):
    flags = BandFlag(0)
    if filled.masked > 0:
        flags |= BandFlag.APERTURE_FILLED
    if filled.off_frame > 0:
        flags |= BandFlag.APERTURE_TRUNCATED
    return int(flags)


def _noise_error(images, fit, aperture, empty, settings):
    """1 sigma of the sum from the noise of the pixels; whether that is a guess."""
    if settings.empirical_noise and empty is not None:
        return empty.scatter, False
    variance, good_area = aperture_sum(images.error**2, aperture, images.mask, power=2)
    area = overlap(aperture).data.sum()
    # filled pixels are as uncertain as their neighbours
    white = np.sqrt(variance * area / good_area)
    known = np.isfinite(fit.noise_corr)
    return white * (fit.noise_corr if known else 1.0), not known


def _star_error(fit, psf, aperture, error):
    """1 sigma of the light of the subtracted stars inside the aperture."""
    weights = overlap(aperture)
    renderer = StarRenderer(psf)
    x, y = fit.stars.x - weights.bbox.ixmin, fit.stars.y - weights.bbox.iymin
    half_size = renderer.matrix_half_size
    ny, nx = weights.shape
    near = (abs(x - (nx - 1) / 2) < nx / 2 + half_size) & (
        abs(y - (ny - 1) / 2) < ny / 2 + half_size
    )
    if not near.any():
        return 0.0
    share = renderer.project(weights.data[None], x[near], y[near], half_size)[:, 0]
    sigma = np.asarray(fit.stars.flux_err, dtype=float)[near]
    white = np.nanmedian(error) * np.sqrt(psf.noise_area)
    return float(np.linalg.norm(share * np.where(np.isfinite(sigma), sigma, white)))


def _fill_error(images, aperture, model, filled, settings):
    """How much the sum depends on what the bad pixels are filled with."""
    if filled.masked + filled.off_frame == 0:
        return 0.0
    (other,) = {"median", "sersic_modelimg"} - {settings.fill_replace_with}
    return abs(fill_stamp(images.data, images.mask, aperture, model, other).total - filled.total)


def _combined(result, fit, filled, empty, terms):
    """The result with sky, flux and error."""
    area = filled.share.sum()
    level, level_err = (0.0, 0.0) if empty is None else (empty.level, empty.level_err)
    # a level that no fit has an error for counts through the empty apertures alone
    terms["sky_err"] = area * np.hypot(np.nan_to_num(fit.sky.level_err), level_err)
    flux = filled.total - area * level
    flags = BandFlag(result.flags)
    if terms["sky_err"] > UNCERTAIN_SKY * abs(flux):
        flags |= BandFlag.SKY_UNCERTAIN
    extra = result.extra | {name: float(value) for name, value in terms.items()}
    extra |= {
        "sky_level": level,
        "sky_level_err": level_err,
        "n_sky_apertures": 0.0 if empty is None else empty.n_independent,
        "sky_aperture_scale": np.nan if empty is None else empty.scale,
    }
    return replace(
        result,
        flux=float(flux),
        flux_err=float(np.linalg.norm(list(terms.values()))),
        flags=int(flags),
        extra=extra,
    )
