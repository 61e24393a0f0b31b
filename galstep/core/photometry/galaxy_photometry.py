"""Aperture photometry of a galaxy in all its filters, in ellipses that are the same on the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.photometry.aperture_covariance import flux_covariances
from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.core.photometry.aperture_photometry import ApertureImages, BandPhotometer
from galstep.core.photometry.psf_matching import blurred_correction
from galstep.core.photometry.unmodelled_light import with_unmodelled_light
from galstep.exceptions import GalstepError
from galstep.mapped_records import mapped_aperture
from galstep.pixel_map import PixelMap
from galstep.records import BandFit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galstep.core.photometry.aperture_photometry import ApertureSettings
    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture, ApertureFlux, JointSummary

__all__ = ["PhotometryBand", "measure_galaxy", "placed"]


@dataclass(frozen=True, eq=False)
class PhotometryBand:
    """One filter as `measure_galaxy` sees it.

    Parameters
    ----------
    images : ApertureImages
    fit : galstep.records.BandFit
        In this filter's pixels; its ``sersic`` are those of the galaxy that is measured.
    psf : galstep.core.psf.effective.EffectivePSF
    pixel_map : PixelMap
        From the pixels in which the ellipses are given to this filter's.
    """

    images: ApertureImages
    fit: BandFit
    psf: EffectivePSF
    pixel_map: PixelMap = PixelMap()


def placed(ellipse: Aperture, band: PhotometryBand) -> Aperture:
    """An ellipse of the base filter about the galaxy's centre in another one.

    The affine map carries its shape; the centre is the one fitted there, so
    that an error of registration moves no light out of it.

    Parameters
    ----------
    ellipse : galstep.records.Aperture
    band : PhotometryBand

    Returns
    -------
    galstep.records.Aperture
    """
    centre = band.fit.sersic[0].params
    return replace(mapped_aperture(band.pixel_map, ellipse), x=centre.x_0, y=centre.y_0)


def measure_galaxy(
    bands: Mapping[str, PhotometryBand],
    ellipses: Sequence[tuple[str, Aperture]],
    reference: str,
    settings: ApertureSettings,
    joint: JointSummary | None = None,
    by_kernel: bool = False,
) -> dict[str, list[ApertureFlux]]:
    """Fluxes of a galaxy in every filter and aperture.

    Parameters
    ----------
    bands : dict of str to PhotometryBand
    ellipses : sequence of (str, galstep.records.Aperture)
        What they are called, and where they are in the base filter.
    reference : str
        The filter to whose PSF magnitudes are corrected.
    settings : galstep.core.photometry.aperture_photometry.ApertureSettings
    joint : galstep.records.JointSummary, optional
        For the covariances between filters.
    by_kernel : bool, optional
        Whether the correction is measured on the reference filter's image
        (`galstep.core.photometry.psf_matching`) instead of on each filter's model.

    Returns
    -------
    dict of str to list of galstep.records.ApertureFlux
        In the order of ``ellipses``; ``petrosian_radius`` is left to the caller.
        Of nested apertures none has a smaller error than one that lies inside it.
    """
    measured = {}
    for name, band in bands.items():
        apertures = [placed(ellipse, band) for _, ellipse in ellipses]
        photometer = BandPhotometer(
            band.images,
            band.fit,
            band.psf,
            bands[reference].psf,
            apertures,
            settings,
            bands[reference].pixel_map.after(band.pixel_map.inverse()),
        )
        measured[name] = []
        for (kind, ellipse), aperture in zip(ellipses, apertures, strict=True):
            correction, reason = None, ""
            if by_kernel and name != reference:
                correction, reason = _by_kernel(bands[reference], band, ellipse, settings)
            found = photometer.measure(aperture, kind, correction)
            measured[name].append(_with_reason(found, reason))
        measured[name] = [
            replace(found, flux=with_unmodelled_light(found.flux, band.images))
            for found in _never_falling(measured[name])
        ]
    components = {name: band.fit.sersic for name, band in bands.items()}
    maps = {name: band.pixel_map for name, band in bands.items()}
    result = {name: [] for name in bands}
    for index in range(len(ellipses)):
        one = {name: measurements[index] for name, measurements in measured.items()}
        for name, flux in flux_covariances(one, components, joint, maps).items():
            result[name].append(flux)
    return result


def _never_falling(measurements):
    """With errors that do not fall from an aperture to a larger one of its family.

    The galaxy's model may know the light of a larger aperture better than that of a
    smaller one, for it takes the profile for true, and the fillings of gaps may
    happen to agree. What is missing is added to the model's part.
    """
    result = list(measurements)
    for circles in (False, True):
        family = [
            i
            for i, each in enumerate(measurements)
            if (each.flux.kind == "circle") == circles and np.isfinite(each.flux.flux_err)
        ]
        least = least_corr = 0.0
        for i in sorted(family, key=lambda i: measurements[i].flux.aperture.a):
            flux = measurements[i].flux
            least = max(least, flux.flux_err)
            least_corr = np.fmax(least_corr, flux.flux_corr_err)
            added = least**2 - flux.flux_err**2
            result[i] = replace(
                measurements[i],
                flux=replace(
                    flux,
                    flux_err=float(least),
                    model_err=float(np.sqrt(flux.model_err**2 + added)),
                    flux_corr_err=float(max(flux.flux_corr_err, least_corr)),
                ),
            )
    return result


def _by_kernel(reference, band, ellipse, settings):
    """The correction from the reference filter's image, or None and why not."""
    if band.pixel_map.matrix != reference.pixel_map.matrix:
        return None, "PSF correction is the model's: the filters have other pixels"

    def galaxy(where):
        shape = reference.images.mask.shape
        light = GalaxyLight(
            reference.fit.sersic, reference.psf, shape, [where], knots=reference.fit.knots
        )
        return light.total * light.stamp(where)

    try:
        correction = blurred_correction(
            reference.images.data,
            reference.images.mask,
            placed(ellipse, reference),
            galaxy,
            reference.psf,
            band.psf,
            settings.fill_replace_with,
        )
    except GalstepError as error:
        return None, f"PSF correction is the model's: {error}"
    return correction, ""


def _with_reason(measurement, reason):
    if not reason:
        return measurement
    text = "; ".join(filter(None, [measurement.flux.reason, reason]))
    return replace(measurement, flux=replace(measurement.flux, reason=text))
