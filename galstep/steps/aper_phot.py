"""AperPhot: aperture photometry of every filter in one Petrosian ellipse."""

from dataclasses import replace

import numpy as np

from galstep.core.aperture_photometry import (
    ApertureImages,
    ApertureSettings,
    mask_outliers,
    measure_aperture,
)
from galstep.core.background import pixel_noise
from galstep.core.galaxy_aperture import define_aperture
from galstep.core.magnitudes import upper_limit
from galstep.exceptions import GalstepError, ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.records import Aperture, StarList
from galstep.steps.base import GalStep
from galstep.steps.base_filter import choose_base_filter
from galstep.steps.scenes import effective_psf

__all__ = ["AperPhot"]

NOT_MEASURED = "no aperture photometry: "
CURVE_COLUMNS = ("flux", "flux_err", "psf_correction", "frac_enclosed")


class AperPhot(GalStep):
    """Measure every filter inside the Petrosian ellipse of the base filter."""

    class_alias = "gal_aperphot"

    spec = """
    petro = float(min=0.01, max=0.99, default=0.5)  # Petrosian ratio at the aperture's edge: brightness there over the mean inside; 0.5 holds half of the light for n = 1 and a tenth for n = 4, and 0.2 (SDSS) holds 0.87 and 0.65 of it
    center_mask = float(min=0, default=4.0)         # Empty apertures, which give noise and sky, have their centres at least so many semi-axes of the aperture from the galaxy
    isophot_base_filter = string(default=None)      # Filter whose isophotes shape the aperture (default: the base filter of the fit)
    isophot_frac_min = float(min=0.001, max=0.999, default=0.05)  # Fraction of the galaxy's light inside the innermost isophote
    isophot_frac_max = float(min=0.001, max=0.999, default=0.95)  # Fraction of the galaxy's light inside the outermost isophote
    fit_isophot_to = option('sersic_modelimg', 'psf_sub_data', default='sersic_modelimg')  # Image of the isophotes and of the Petrosian ratio: the model galaxy as seen through the PSF, or the data without stars and sky
    measure_on = option('psf_sub_data', 'data', default='psf_sub_data')  # Image that is summed, its sky subtracted: the data without stars, or with them
    error_on = option('psf_sub_data_error', 'data_error', default='psf_sub_data_error')  # Noise: scatter of empty apertures on the residual, or the error plane (the noise of single pixels if there is none)
    measure_sky_on = option('residual_masked', 'residual', 'psf_sub_data', default='residual_masked')  # Image of the empty apertures: the residual without pixels beyond 15 sigma, the whole residual, or the data without stars and sky
    fill_max_nan_frac = float(min=0, max=0.95, default=0.7)  # Largest fraction of the aperture that may be without data
    fill_replace_with = option('median', 'sersic_modelimg', default='median')  # What stands in for pixels without data: median of their elliptical ring, or the model galaxy
    PSF_corr_base_filter = string(default='F090W')  # Filter to whose PSF the corrected magnitudes are brought; if it is not in the data, the base filter
    radii = float_list(default=None)                # Semi-major axes of further ellipses to measure in (pixels of the base filter)
    """

    def process(self, input):
        """Measure every filter that has been fitted.

        Parameters
        ----------
        input : path-like or GalaxyModel
            With the result of a fit step.

        Returns
        -------
        GalaxyModel
            With ``aperture`` in every fitted filter; the others get the flag
            ``NO_APERTURE`` and a reason.

        Raises
        ------
        ParameterError
            If the parameters contradict each other.
        PrerequisiteError
            If no fit step has run.
        """
        self._check_parameters()
        model = self.prepare_output(input)
        if model.meta.fit_step is None:
            raise PrerequisiteError(
                "AperPhot needs a fitted galaxy: run BaseFit first or give a file with its result"
            )
        fitted = self._fitted(model)
        if not fitted:
            self.skipped(model, "no filter has a fit")
            return model
        base = self._base(model, fitted)
        psfs = {name: effective_psf(band) for name, band in fitted.items()}
        try:
            chosen = self._aperture(base, psfs[base.name])
        except GalstepError as error:
            for band in fitted.values():
                _no_aperture(band, f"no aperture could be defined in {base.name}: {error}")
            self.skipped(model, str(error))
            return model
        reference = psfs[self._reference(fitted, base)]
        for name, band in fitted.items():
            self._measure(band, base, chosen, psfs[name], reference)
        self._report(model, base, chosen)
        return model

    def _check_parameters(self):
        if not self.isophot_frac_min < self.isophot_frac_max:
            raise ParameterError(
                "isophot_frac_min must be below isophot_frac_max, got "
                f"{self.isophot_frac_min} and {self.isophot_frac_max}"
            )
        if self.radii is not None and not all(0 < r < np.inf for r in self.radii):
            raise ParameterError(f"radii must be positive, got {self.radii}")

    def _fitted(self, model):
        """The filters that can be measured; the others are flagged."""
        fitted = {}
        for name, band in model.bands.items():
            band.aperture = None
            band.flags &= ~int(BandFlag.NO_APERTURE)
            band.reasons = [r for r in band.reasons if not r.startswith(NOT_MEASURED)]
            if band.fitted and band.fit.sersic and band.usable:
                fitted[name] = band
            else:
                _no_aperture(band, "this filter has no fit")
        return fitted

    def _base(self, model, fitted):
        wanted = self.isophot_base_filter or model.meta.base_filter
        return fitted[choose_base_filter(fitted, wanted)]

    def _reference(self, fitted, base):
        if self.PSF_corr_base_filter in fitted:
            return self.PSF_corr_base_filter
        self._logger.info(
            "PSF_corr_base_filter %s has no fit: magnitudes are corrected to the PSF of %s",
            self.PSF_corr_base_filter, base.name,
        )  # fmt: skip
        return base.name

    def _aperture(self, base, psf):
        """Isophotes and aperture in the base filter."""
        data = None
        if self.fit_isophot_to == "psf_sub_data":
            data = np.where(base.mask, base.galaxy, base.star_subtracted - base.sky)
        chosen = define_aperture(
            base.fit.sersic,
            psf,
            base.shape,
            self.petro,
            self.isophot_frac_min,
            self.isophot_frac_max,
            data=data,
        )
        if chosen.reason:
            self._logger.warning("%s: %s", base.name, chosen.reason)
        return chosen

    def _measure(self, band, base, chosen, psf, reference):
        images, fit = self._images(band), band.fit
        if self.measure_on == "data":
            fit = replace(fit, stars=StarList.empty())
        settings = ApertureSettings(
            self.center_mask,
            self.fill_max_nan_frac,
            self.fill_replace_with,
            empirical_noise=self.error_on == "psf_sub_data_error",
        )

        def measure(ellipse):
            placed = _placed(ellipse, band, base)
            return measure_aperture(images, fit, psf, reference, placed, settings)

        result = measure(chosen.aperture)
        scale = base.pixel_scale / band.pixel_scale
        extra = dict(result.extra)
        extra["mag_ab_limit"] = upper_limit(
            result.flux, result.flux_err, band.unit, band.pixel_area_sr
        )
        if self.radii:
            curve = [measure(chosen.isophotes.at(a)) for a in self.radii]
            extra["radii"] = [scale * a for a in self.radii]
            extra |= {f"radii_{c}": [getattr(r, c) for r in curve] for c in CURVE_COLUMNS}
        band.aperture = replace(
            result,
            petrosian_radius=scale * chosen.petrosian_radius,
            reason="; ".join(filter(None, [result.reason, chosen.reason])),
            extra=extra,
        )

    def _images(self, band):
        sky_subtracted = band.data - band.sky
        without_stars = sky_subtracted - band.stars
        empty = without_stars if self.measure_sky_on == "psf_sub_data" else band.residual
        empty_mask = band.mask
        if self.measure_sky_on == "residual_masked":
            empty_mask = mask_outliers(empty, band.mask)
        error = band.err
        if error is None:
            sigma = band.fit.noise_sigma
            if not np.isfinite(sigma):
                sigma = pixel_noise(band.residual, band.mask)
            error = np.full(band.shape, sigma)
        return ApertureImages(
            without_stars if self.measure_on == "psf_sub_data" else sky_subtracted,
            band.mask,
            empty,
            empty_mask,
            error,
        )

    def _report(self, model, base, chosen):
        self.complete(
            model,
            base=base.name,
            a=chosen.aperture.a,
            b=chosen.aperture.b,
            **{
                name: f"{band.aperture.flux:.5g}+-{band.aperture.flux_err:.2g}"
                for name, band in model.bands.items()
                if band.aperture is not None
            },
        )


def _placed(ellipse, band, base):
    """The ellipse of the base filter about the galaxy's centre in another one."""
    scale = base.pixel_scale / band.pixel_scale
    centre = band.fit.sersic[0].params
    return Aperture(centre.x_0, centre.y_0, scale * ellipse.a, scale * ellipse.b, ellipse.theta)


def _no_aperture(band, reason):
    band.flags |= int(BandFlag.NO_APERTURE)
    band.reasons.append(NOT_MEASURED + reason)
