"""Aperture photometry of one filter, with every term of its error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.stats import mad_std

from galstep.core.photometry.aperture_errors import (
    ErrorTerms,
    light_variance,
    model_terms,
    pixel_noise_error,
    star_error,
)
from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.core.photometry.aperture_noise import EmptyApertures, empty_apertures
from galstep.core.photometry.apertures import fill_stamp, overlap
from galstep.core.photometry.noise_curve import noise_curve
from galstep.flags import BandFlag
from galstep.options import option, options
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, ApertureFlux
from galstep.units import MAG_PER_LN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import BandFit

__all__ = [
    "ApertureImages",
    "ApertureSettings",
    "BandPhotometer",
    "Measurement",
    "mask_outliers",
]

# Beyond this a pixel of the residual is a star that was left or an artefact; of noise no frame
# has one.
OUTLIER_SIGMA = 15.0
UNCERTAIN_SKY = 0.1  # of the flux
FARTHEST = 16.0  # times the area of the largest empty aperture: so far its scatter is extrapolated


@dataclass(frozen=True, eq=False)
class ApertureImages:
    """What is measured on; all (ny, nx), in image units.

    Parameters
    ----------
    data : array
        The image to sum, sky and companions already subtracted.
    mask : bool array
        True = bad.
    residual, residual_mask : array, bool array
        The image in which empty apertures are laid out, and its bad pixels.
    error : array
        1-sigma error of single pixels, as if they were independent.
    crowding : array, optional
        The model of the stars, where these hold so much of the light in the
        galaxy's core that the fit may take one for the other. Then what apertures
        laid over the stars elsewhere scatter is added to the error.
    """

    data: np.ndarray
    mask: np.ndarray
    residual: np.ndarray
    residual_mask: np.ndarray
    error: np.ndarray
    crowding: np.ndarray | None = None


def _subtracted(image):
    # a sum over the stars too depends on no model but the sky: stars and model add no error
    return image == "psf_sub_data"


def _empirical(noise):
    return noise == "psf_sub_data_error"


@options
class ApertureSettings:
    """Choices of the measurement."""

    center_mask: float = option(
        default=4.0,
        help="Empty apertures, which give noise and sky, have their centres at least so many semi-"
        "axes of the aperture from the galaxy",
        least=0,
    )
    stars_subtracted: bool = option(
        default="psf_sub_data",
        help="Image that is summed, its sky subtracted: the data without stars and companions, or "
        "with them",
        name="measure_on",
        choices=("psf_sub_data", "data"),
        read=_subtracted,
    )
    empirical_noise: bool = option(
        default="psf_sub_data_error",
        help="Noise: scatter of empty apertures on the residual, or the error plane (the noise of "
        "single pixels if there is none)",
        name="error_on",
        choices=("psf_sub_data_error", "data_error"),
        read=_empirical,
    )
    fill_max_nan_frac: float = option(
        default=0.7,
        help="Largest fraction of the aperture that may be without data",
        least=0,
        most=0.95,
    )
    fill_replace_with: str = option(
        default="median",
        help="What stands in for pixels without data: median of their elliptical ring, or the "
        "model galaxy",
        choices=("median", "sersic_modelimg"),
    )


@dataclass(frozen=True, eq=False)
class Measurement:
    """A flux, and what ties it to those of other filters.

    Parameters
    ----------
    flux : galstep.records.ApertureFlux
    slopes : (n, 7) array
        Derivatives of the model's light in the aperture, seen through the
        reference PSF, by the parameters of each component
        (`galstep.core.photometry.aperture_light.GalaxyLight.slopes`).
    empty : EmptyApertures or None
    """

    flux: ApertureFlux
    slopes: np.ndarray
    empty: EmptyApertures | None = None


def mask_outliers(
    residual: np.ndarray, mask: np.ndarray, n_sigma: float = OUTLIER_SIGMA
) -> np.ndarray:
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


class BandPhotometer:
    """Measures a galaxy in one filter, in any number of apertures.

    Parameters
    ----------
    images : ApertureImages
    fit : galstep.records.BandFit
    psf, reference_psf : galstep.core.psf.effective.EffectivePSF
        This filter's, and the one to which magnitudes are corrected.
    apertures : sequence of galstep.records.Aperture
        All that will be asked for, in this filter's pixels.
    settings : ApertureSettings
    reference_map : galstep.pixel_map.PixelMap, optional
        From this filter's pixels to those of ``reference_psf``.
    """

    def __init__(
        self,
        images: ApertureImages,
        fit: BandFit,
        psf: EffectivePSF,
        reference_psf: EffectivePSF,
        apertures: Sequence[Aperture],
        settings: ApertureSettings,
        reference_map: PixelMap = PixelMap(),
    ) -> None:
        self.images, self.fit, self.psf, self.settings = images, fit, psf, settings
        # what is mostly off the frame is refused, and need not be rendered
        wanted = [a for a in apertures if self._outside(a) <= settings.fill_max_nan_frac]
        shape = images.mask.shape
        self._light = GalaxyLight(fit.sersic, psf, shape, wanted, knots=fit.knots)
        self._reference = self._light
        if reference_psf is not psf:
            # where the pixels are the same, so is the frame
            same = reference_map.is_translation
            where: dict[str, Any] = {"knots": fit.knots}
            if not same:
                where["pixel_map"] = PixelMap(reference_map.matrix)
            self._reference = GalaxyLight(
                fit.sersic, reference_psf, shape if same else (1, 1), wanted, **where
            )
        first = fit.sersic[0].params
        self._announced = wanted or [
            Aperture(first.x_0, first.y_0, first.r_eff, first.r_eff, first.theta)
        ]
        self._total = self._light.total
        self._pixel_sigma = float(np.nanmedian(np.where(images.mask, np.nan, images.error)))

    def _outside(self, aperture):
        """The least share of an aperture that is off the frame, whatever its place."""
        return 1 - self.images.mask.size / (np.pi * aperture.a * aperture.b)

    def measure(
        self, aperture: Aperture, kind: str = "petrosian", correction: float | None = None
    ) -> Measurement:
        """Flux of the galaxy inside an ellipse.

        flux = sum(share x data) - area x level, with ``level`` what the empty
        apertures say is left of the sky. Its error is the quadratic sum of

        - the noise of the sum: the scatter of empty apertures of its size, see
          `galstep.core.photometry.noise_curve`; or, if that
          is not wanted or none fits, that of the pixels times ``fit.noise_corr``
          (white noise made as large as it is for the fit's own flux);
        - sky, stars and model, see `galstep.core.photometry.aperture_errors`; the sky has
          the error of the empty apertures' level added, the stars that of ``images.crowding``;
        - the pixels that were filled in: the difference between filling them
          from their rings and from the model.

        Parameters
        ----------
        aperture : galstep.records.Aperture
            In this filter's pixels; one of those announced, or inside the frame.
        kind : str, optional
            What to call it.
        correction : float, optional
            To the reference PSF (mag), if it is not to be the model's.

        Returns
        -------
        Measurement
            ``petrosian_radius`` and ``covariance`` are left to the caller. If
            too few pixels are good the flux is NaN, with `BandFlag.NO_APERTURE`
            and the reason.
        """
        outside = self._outside(aperture)
        if outside > self.settings.fill_max_nan_frac:
            return _not_measured(ApertureFlux(aperture, np.nan, kind=kind), outside)
        model = self._total * self._light.stamp(aperture)
        filled = self._filled(aperture, model, self.settings.fill_replace_with)
        slopes = self._reference.slopes(aperture)
        result = self._corrected_by(
            ApertureFlux(
                aperture,
                np.nan,
                frac_enclosed=self._light.share(aperture),
                kind=kind,
                flags=_gap_flags(filled),
                extra={"masked_fraction": filled.masked, "off_frame_fraction": filled.off_frame},
            ),
            correction,
        )
        bad = filled.masked + filled.off_frame
        if bad > self.settings.fill_max_nan_frac:
            return _not_measured(result, bad)
        empty = empty_apertures(
            self.images.residual, self.images.residual_mask, aperture, self.settings.center_mask
        )
        level_err = 0.0 if empty is None else empty.level_err
        if self._curve is not None:
            level_err = self._curve.level_error(filled.share.sum()) / filled.share.sum()
        terms, flags = self._errors(aperture, model, filled, level_err)
        result = _with_sky(result, filled, empty, level_err, terms)
        result = self._with_corrected_flux(replace(result, flags=result.flags | flags), slopes)
        return Measurement(result, slopes, empty)

    @cached_property
    def _curve(self):
        """`NoiseCurve` of the empty apertures, or None."""
        return noise_curve(
            self.images.residual,
            self.images.residual_mask,
            self._announced,
            self.settings.center_mask,
        )

    def _filled(self, aperture, model, replace_with):
        return fill_stamp(self.images.data, self.images.mask, aperture, model, replace_with)

    def _corrected_by(self, result, correction):
        """With the correction to the reference PSF.

        dm = -2.5 log10(E_ref / E), E and E_ref the light of the *same* galaxy
        that the aperture holds through this and through the reference PSF. The
        galaxy is this filter's own model, so a colour gradient does not enter.
        """
        aperture = result.aperture
        here, there = self._light.share(aperture), self._reference.share(aperture)
        if not (here > 0 and there > 0):
            return result
        gradient = self._reference.log_share_slopes(aperture)
        gradient -= self._light.log_share_slopes(aperture)
        error = MAG_PER_LN * np.sqrt(light_variance(self.fit.sersic, gradient))
        if correction is None:
            correction = -2.5 * np.log10(there / here)
        return replace(
            result,
            psf_correction=float(correction),
            psf_correction_err=float(error),
        )

    def _errors(self, aperture, model, filled, level_err):
        """`ErrorTerms`, and flags."""
        noise, uncertain = self._noise(aperture)
        area = filled.share.sum()
        # a level that no fit has an error for counts through the empty apertures alone
        sky, star, rest = area * np.nan_to_num(self.fit.sky.level_err), 0.0, 0.0
        if self.settings.stars_subtracted:
            star = star_error(self.fit.stars, self.psf, aperture, self._pixel_sigma)
            variance = light_variance(self.fit.sersic, self._light.slopes(aperture))
            uncertain |= not np.isfinite(variance)
            sky, star, rest = model_terms(variance, sky, star)
            star = np.hypot(star, self._crowding(aperture))
        terms = ErrorTerms(
            noise=float(noise),
            sky=float(np.hypot(sky, area * level_err)),
            star=float(star),
            model=float(rest),
            fill=self._fill_error(aperture, model, filled),
        )
        return terms, int(BandFlag.ERRORS_UNCERTAIN) if uncertain else 0

    def _crowding(self, aperture):
        """Scatter of the stars' light in the aperture, if they may pass for the galaxy."""
        if self.images.crowding is None:
            return 0.0
        over_stars = empty_apertures(
            self.images.crowding, self.images.mask, aperture, self.settings.center_mask
        )
        return 0.0 if over_stars is None else over_stars.scatter

    def _noise(self, aperture):
        """1 sigma of the sum from the noise of the pixels; whether that is a guess."""
        corr, images = self.fit.noise_corr, self.images
        pixels = pixel_noise_error(images.error, images.mask, aperture, corr)
        if not self.settings.empirical_noise or self._curve is None:
            return pixels, not np.isfinite(corr)
        area = overlap(aperture).data.sum()
        noise = self._curve.noise(area)
        if area <= FARTHEST * self._curve.areas[-1]:
            return noise, False
        # too far beyond what fits: no less than the fit tells
        return max(noise, pixels), not np.isfinite(corr)

    def _fill_error(self, aperture, model, filled):
        """How much the sum depends on what the bad pixels are filled with."""
        if filled.masked + filled.off_frame == 0:
            return 0.0
        (other,) = {"median", "sersic_modelimg"} - {self.settings.fill_replace_with}
        return abs(self._filled(aperture, model, other).total - filled.total)

    def _with_corrected_flux(self, result, slopes):
        """The flux as the reference PSF would have it, and its error.

        The model's part of the error is that of its light through the reference
        PSF; that of the residual grows with the flux.
        """
        if not np.isfinite(result.psf_correction):
            return result
        factor = 10 ** (-0.4 * result.psf_correction)
        variance = factor**2 * result.flux_err**2
        if self.settings.stars_subtracted:
            own = light_variance(self.fit.sersic, self._light.slopes(result.aperture))
            seen = light_variance(self.fit.sersic, slopes)
            if np.isfinite(own):
                variance = factor**2 * (result.flux_err**2 - own) + seen
        return replace(
            result,
            flux_corr=factor * result.flux,
            flux_corr_err=float(np.sqrt(max(variance, 0.0))),
        )


def _not_measured(result, bad):
    reason = f"{100 * bad:.0f} % of the aperture is masked or off the frame"
    flagged = replace(result, flags=int(result.flags | BandFlag.NO_APERTURE), reason=reason)
    return Measurement(flagged, np.zeros((0, 7)))


def _gap_flags(filled):
    flags = BandFlag(0)
    if filled.masked > 0:
        flags |= BandFlag.APERTURE_FILLED
    if filled.off_frame > 0:
        flags |= BandFlag.APERTURE_TRUNCATED
    return int(flags)


def _with_sky(result, filled, empty, level_err, terms):
    """The result with what is left of the sky taken off, its errors and sky flag."""
    level = 0.0 if empty is None else empty.level
    flux = float(filled.total - overlap(result.aperture).data.sum() * level)
    flags = BandFlag(result.flags)
    if terms.sky > UNCERTAIN_SKY * abs(flux):
        flags |= BandFlag.SKY_UNCERTAIN
    extra = result.extra | {
        "sky_level": level,
        "sky_level_err": level_err,
        "n_sky_apertures": 0.0 if empty is None else empty.n_independent,
        "sky_aperture_scale": np.nan if empty is None else empty.scale,
    }
    return replace(
        result,
        flux=flux,
        flux_err=terms.total,
        noise_err=terms.noise,
        sky_err=terms.sky,
        star_err=terms.star,
        model_err=terms.model,
        fill_err=terms.fill,
        flags=int(flags),
        extra=extra,
    )
