"""AperPhot: aperture photometry of every filter in one Petrosian ellipse, and others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from galstep.core.imaging.background import pixel_noise
from galstep.core.photometry.aperture_photometry import (
    ApertureImages,
    ApertureSettings,
    mask_outliers,
)
from galstep.core.photometry.companion_light import with_companion_error
from galstep.core.photometry.division_error import with_division_error
from galstep.core.photometry.galaxy_aperture import define_aperture, growth_radii
from galstep.core.photometry.galaxy_photometry import PhotometryBand, measure_galaxy
from galstep.core.photometry.resolved import unresolved_reason
from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError, ParameterError, PrerequisiteError
from galstep.flags import BandFlag
from galstep.records import Aperture
from galstep.steps.framework.base import GalStep
from galstep.steps.framework.option_spec import OptionSet
from galstep.steps.galaxy.base_filter import choose_base_filter
from galstep.steps.galaxy.products import TABLE_SPEC, write_beside
from galstep.steps.galaxy.scenes import effective_psf

__all__ = ["AperPhot"]

NOT_MEASURED = "no aperture photometry: "
UNRESOLVED = "unresolved: "
SMALL_SHARE = 0.5  # of the galaxy's light: below it the user is told

SETTINGS = OptionSet(ApertureSettings())


class AperPhot(GalStep):
    """Measure every filter inside the Petrosian ellipse of the base filter.

    ``galstep params aperphot --all`` lists every parameter.
    """

    class_alias = "gal_aperphot"

    spec = (
        f"""
    petro = float(min=0.01, max=0.99, default=0.2)  # Petrosian ratio at the aperture's edge: brightness there over the mean inside; 0.2 holds 0.88 of the light for n = 1 and 0.67 for n = 4, and 0.5, sphot's, half and an eighth of it
    plot = boolean(default=True)                    # Draw the picture with the apertures: <name>_qa.png, written where the model is saved
    isophot_base_filter = string(default='F150W')   # Filter whose isophotes shape the aperture; if it has no fit, the base filter of the fit
    isophot_frac_min = float(min=0.001, max=0.999, default=0.05)  # Fraction of the galaxy's light inside the innermost isophote
    isophot_frac_max = float(min=0.001, max=0.999, default=0.95)  # Fraction of the galaxy's light inside the outermost isophote
    fit_isophot_to = option('sersic_modelimg', 'psf_sub_data', default='sersic_modelimg')  # Image of the isophotes and of the Petrosian ratio: the model galaxy as seen through the PSF, or the data without stars, companions and sky
{SETTINGS.spec}    measure_sky_on = option('residual_masked', 'residual', 'psf_sub_data', default='residual_masked')  # Image of the empty apertures: the residual without pixels beyond 15 sigma, the whole residual, or the data without stars, companions and sky
    PSF_corr_base_filter = string(default='F090W')  # Filter to whose PSF the corrected magnitudes are brought; if it is not in the data, the base filter
    PSF_corr_method = option('model', 'kernel', default='model')  # What the correction is measured on: each filter's own model galaxy seen through both PSFs, or the image of PSF_corr_base_filter blurred to the other PSF by a matching kernel
    radii = float_list(default=None)                # Semi-major axes of further ellipses, shaped as the isophotes (pixels of the base filter)
    circles = float_list(default=None)              # Radii of further apertures that are circles (arcsec)
    kron = boolean(default=True)                    # Measure in the Kron ellipse as well, 2.5 times the mean radius of the light: it holds 0.96 of it for n = 1 and 0.90 for n = 4
    growth = integer(min=0, max=200, default=0)     # Number of further ellipses from the innermost isophote to the edge of the frame, in equal ratios: the curve of growth
    """
        + TABLE_SPEC
    )

    def process(self, input: Any) -> GalaxyModel:
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
        for band in fitted.values():
            _note_unresolved(band)
        try:
            chosen = self._chosen(base)
        except GalstepError as error:
            for band in fitted.values():
                _no_aperture(band, f"no aperture could be defined in {base.name}: {error}")
            self.skipped(model, str(error))
            return model
        self._measure(model, fitted, base, chosen)
        self._report(model, base)
        return model

    def _check_parameters(self):
        if not self.isophot_frac_min < self.isophot_frac_max:
            raise ParameterError(
                "isophot_frac_min must be below isophot_frac_max, got "
                f"{self.isophot_frac_min} and {self.isophot_frac_max}"
            )
        for name in ("radii", "circles"):
            values = getattr(self, name)
            if values is not None and not all(0 < r < np.inf for r in values):
                raise ParameterError(f"{name} must be positive, got {values}")

    def _fitted(self, model):
        """The filters that can be measured; the others are flagged."""
        fitted = {}
        for name, band in model.bands.items():
            band.aperture = None
            band.flags &= ~int(BandFlag.NO_APERTURE)
            band.reasons = [r for r in band.reasons if not r.startswith(NOT_MEASURED)]
            if band.fitted and band.fit.target and band.usable:
                fitted[name] = band
            else:
                _no_aperture(band, "this filter has no fit")
        return fitted

    def _base(self, model, fitted):
        wanted = self.isophot_base_filter
        if wanted not in fitted:
            wanted = model.meta.base_filter
        return fitted[choose_base_filter(fitted, wanted)]

    def _reference(self, fitted, base):
        if self.PSF_corr_base_filter in fitted:
            return self.PSF_corr_base_filter
        self._logger.info(
            "PSF_corr_base_filter %s has no fit: magnitudes are corrected to the PSF of %s",
            self.PSF_corr_base_filter, base.name,
        )  # fmt: skip
        return base.name

    def _chosen(self, base):
        """Isophotes and aperture in the base filter."""
        data = None
        if self.fit_isophot_to == "psf_sub_data":
            data = np.where(base.mask, base.target_image, base.target_data)
        chosen = define_aperture(
            base.fit.target,
            effective_psf(base),
            base.shape,
            self.petro,
            self.isophot_frac_min,
            self.isophot_frac_max,
            data=data,
            knots=base.fit.knots,
        )
        if chosen.reason:
            self._logger.warning("%s: %s", base.name, chosen.reason)
        return chosen

    def _ellipses(self, chosen, base):
        """(kind, aperture) of all that is to be measured, in the base filter's pixels."""
        ellipses = [("petrosian", chosen.aperture)]
        if self.kron and np.isfinite(chosen.kron_radius):
            ellipses.append(("kron", chosen.isophotes.at(chosen.kron_radius)))
        ellipses += [("ellipse", chosen.isophotes.at(a)) for a in self.radii or ()]
        centre = chosen.aperture
        for radius in self.circles or ():
            r = radius / base.pixel_scale
            ellipses.append(("circle", Aperture(centre.x, centre.y, r, r, 0.0)))
        for a in growth_radii(chosen.isophotes, base.shape, self.growth):
            ellipses.append(("growth", chosen.isophotes.at(a)))
        return ellipses

    def _measure(self, model, fitted, base, chosen):
        to_scene = base.fit.pixel_map.inverse()
        crowded = bool(base.fit.flags & BandFlag.CORE_CROWDED)
        bands = {
            name: PhotometryBand(
                self._images(band, crowded),
                replace(band.fit, sersic=band.fit.target),
                effective_psf(band),
                band.fit.pixel_map.after(to_scene),
            )
            for name, band in fitted.items()
        }
        measured = measure_galaxy(
            bands,
            self._ellipses(chosen, base),
            self._reference(fitted, base),
            SETTINGS.record_of(self),
            model.joint,
            by_kernel=self.PSF_corr_method == "kernel",
        )
        if self.measure_on == "psf_sub_data":
            measured = _with_errors_of_parts(measured, fitted, bands)
        for name, (first, *others) in measured.items():
            fitted[name].aperture = replace(
                first,
                petrosian_radius=bands[name].pixel_map.scale * chosen.petrosian_radius,
                reason="; ".join(filter(None, [first.reason, chosen.reason])),
                others=tuple(others),
            )

    def _images(self, band, crowded):
        without_stars = band.target_data
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
            without_stars if self.measure_on == "psf_sub_data" else band.data - band.sky,
            band.mask,
            empty,
            empty_mask,
            error,
            band.stars if crowded else None,
        )

    def _report(self, model, base):
        found = base.aperture
        self.complete(
            model,
            base=base.name,
            a=found.aperture.a,
            b=found.aperture.b,
            apertures=1 + len(found.others),
            **{
                name: f"{band.aperture.flux:.5g}+-{band.aperture.flux_err:.2g}"
                for name, band in model.bands.items()
                if band.aperture is not None
            },
        )
        if found.frac_enclosed < SMALL_SHARE:
            self._logger.info(
                "%s: the aperture holds %.0f %% of the galaxy's light; a lower petro makes it larger",
                base.name, 100 * found.frac_enclosed,
            )  # fmt: skip

    def save_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Save the model; run on its own also tables, regions and picture beside it."""
        path = super().save_model(model, *args, **kwargs)
        if path is not None and self.parent is None and isinstance(model, GalaxyModel):
            pictures = ["qa"] if self.plot else []
            write_beside(model, path, pictures=pictures, table_format=self.table_format)
        return path


def _with_errors_of_parts(measured, fitted, bands):
    """What companions and the division of stars and knots add to the errors."""
    psfs = {name: band.psf for name, band in bands.items()}
    for name, fluxes in measured.items():
        band = fitted[name]
        measured[name] = with_companion_error(
            name, fluxes, band.fit.companions, psfs[name], band.shape
        )
    return with_division_error(measured, {n: fitted[n].fit for n in measured}, psfs)


def _note_unresolved(band):
    """Flag a galaxy that is no wider than a star in this filter."""
    band.flags &= ~int(BandFlag.UNRESOLVED)
    band.reasons = [r for r in band.reasons if not r.startswith(UNRESOLVED)]
    if reason := unresolved_reason(band.fit.sersic, effective_psf(band)):
        band.flags |= int(BandFlag.UNRESOLVED)
        band.reasons.append(UNRESOLVED + reason)


def _no_aperture(band, reason):
    band.flags |= int(BandFlag.NO_APERTURE)
    band.reasons.append(NOT_MEASURED + reason)
