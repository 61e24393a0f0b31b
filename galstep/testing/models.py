"""A `GalaxyModel` that holds the truth of a synthetic galaxy as if it were fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels import BandData, GalaxyModel, Meta
from galstep.records import (
    Aperture,
    ApertureFlux,
    BandFit,
    PsfKernel,
    SersicFit,
    SersicParams,
    SkyModel,
    StarList,
)
from galstep.testing.real_space import star_image

if TYPE_CHECKING:
    from astropy.table import Table

    from galstep.testing.scenes import SyntheticGalaxy
    from galstep.testing.structured import StructuredGalaxy

__all__ = ["fitted_model", "true_model", "unfitted_model"]


def unfitted_model(
    synthetic: SyntheticGalaxy | StructuredGalaxy, name: str = "synthetic"
) -> GalaxyModel:
    """The images and library PSFs of a synthetic galaxy, nothing measured yet.

    Parameters
    ----------
    synthetic : SyntheticGalaxy or StructuredGalaxy
    name : str, optional
        Name of the galaxy.

    Returns
    -------
    GalaxyModel
    """
    truth = synthetic.truth
    bands = {
        f: BandData(
            f,
            synthetic.data[f],
            synthetic.psf_arrays[f],
            truth.oversample,
            err=synthetic.err[f],
            unit=truth.unit,
            pixel_scale=truth.grid(f).pixel_scale,
            wcs=synthetic.wcs().get(f),
        )
        for f in truth.filters
    }
    meta = Meta(name=name, filename=f"{name}.h5", input_shape=truth.shape)
    return GalaxyModel(meta, bands)


def fitted_model(synthetic: SyntheticGalaxy, name: str = "synthetic") -> GalaxyModel:
    """The same with the truth in place of the results.

    Errors are those of a fit of the one quantity alone in white noise: the
    right order, and no more, so that figures and tables have something to show.

    Parameters
    ----------
    synthetic : SyntheticGalaxy
    name : str, optional
        Name of the galaxy.

    Returns
    -------
    GalaxyModel
        Every filter with kernel, model images, fit and aperture.
    """
    truth, model = synthetic.truth, unfitted_model(synthetic, name)
    for f, band in model.bands.items():
        band.galaxy, band.stars, band.sky = (
            image[f].copy() for image in (synthetic.galaxy, synthetic.stars, synthetic.sky)
        )
        band.knots, band.companions = np.zeros((2, *band.shape))
        band.psf_kernel = PsfKernel(
            "gaussian", (truth.psf_blur[f] ** 2,), (0.01,), truth.psfs[f].fwhm, n_anchors=10
        )
        band.fit = _band_fit(truth, f, band)
        band.aperture = _aperture(truth, f, band)
    model.meta.base_filter = "F150W" if "F150W" in truth.filters else truth.filters[0]
    model.meta.fit_step = "jointfit"
    return model


def true_model(
    synthetic: StructuredGalaxy,
    name: str = "synthetic",
    *,
    stars: Table | None = None,
    flux: float = 1.0,
    flux_err: float = 0.01,
    flags: int = 0,
) -> GalaxyModel:
    """A structured galaxy with the truth in place of the results, or something near it.

    One round exponential of the half-light radius stands for the galaxy's shape.

    Parameters
    ----------
    synthetic : StructuredGalaxy
    name : str, optional
        Name of the galaxy.
    stars : Table, optional
        Instead of the true stars: ``x``, ``y`` and ``flux_<filter>``.
    flux, flux_err : float, optional
        The measured total flux and its error over the true flux.
    flags : int, optional
        Of every filter.

    Returns
    -------
    GalaxyModel
        Every filter with model images and fit.
    """
    truth, model = synthetic.truth, unfitted_model(synthetic, name)
    table = truth.stars if stars is None else stars
    for f, band in model.bands.items():
        listed = _listed(truth, f, table)
        psf = truth.psfs[f]
        band.stars = star_image(truth.shape, psf, listed.x, listed.y, listed.flux)
        band.galaxy = synthetic.galaxy[f] + synthetic.companions[f]
        band.sky = synthetic.sky[f].copy()
        total, error = flux * truth.fluxes[f], flux_err * truth.fluxes[f]
        shape = SersicParams(truth.ellipse.x, truth.ellipse.y, truth.r_half, 1.0, 0.0, 0.0)
        band.fit = BandFit(
            "jointfit",
            (SersicFit(shape, total, error),),
            truth.sky[f],
            listed,
            noise_sigma=truth.noise_sigma[f],
            flux=total,
            flux_err=error,
            flags=flags,
        )
    model.meta.base_filter, model.meta.fit_step = truth.base, "jointfit"
    return model


def _listed(truth, name, table):
    """Stars with the error of one alone in the noise of the sky."""
    flux = np.asarray(table[f"flux_{name}"], float)
    flux_err = np.full(len(table), truth.noise_sigma[name] * np.sqrt(truth.psfs[name].noise_area))
    place_err = truth.psfs[name].fwhm / 2 * flux_err / np.abs(flux)
    x, y = (np.asarray(table[key], float) for key in ("x", "y"))
    number = np.arange(1, len(table) + 1)
    ones = np.ones(len(table))
    return StarList(number, x, y, flux, place_err, place_err, flux_err, ones, 0 * number)


def _band_fit(truth, name, band):
    sigma, flux = truth.noise_sigma[name], truth.fluxes[name]
    significance = np.sqrt(np.sum(band.galaxy**2)) / sigma
    shape = truth.galaxy(name)
    sersic = SersicFit(
        shape,
        flux,
        flux / significance,
        x_0_err=shape.r_eff / significance,
        y_0_err=shape.r_eff / significance,
        r_eff_err=shape.r_eff / significance,
        n_err=2 * shape.n / significance,
        ellip_err=1 / significance,
        theta_err=1 / (max(shape.ellip, 0.05) * significance),
    )
    good = ~band.mask
    residual = (band.data - band.scene_image)[good]
    return BandFit(
        "jointfit",
        (sersic,),
        _sky(truth.sky[name], sigma, good.sum()),
        _stars(truth, name),
        chi2_reduced=float(np.mean(residual**2) / sigma**2) if residual.size else np.nan,
        noise_corr=1.0,
        noise_sigma=sigma,
        offset=truth.offsets[name],
        pixel_map=truth.pixel_map(name),
        flux=flux,
        flux_err=flux / significance,
        matched_flux=0.5 * flux,
        matched_flux_err=0.5 * flux / significance,
        matched_radius=truth.sersic.r_eff,
        total_flux=flux,
        total_flux_err=flux / significance,
    )


def _sky(sky, sigma, n_pixels):
    error = sigma / np.sqrt(max(n_pixels, 1))
    return SkyModel(sky.coefficients, sky.order, sky.x_ref, sky.y_ref, sky.scale, sky.level, error)


def _stars(truth, name):
    table = truth.stars
    x, y = truth.place(name, table["x"], table["y"])
    flux = np.array(table[f"flux_{name}"])
    flux_err = np.full(len(table), truth.noise_sigma[name] * np.sqrt(truth.psfs[name].noise_area))
    position_err = truth.psfs[name].fwhm / 2 * flux_err / np.abs(flux)
    return StarList(
        np.array(table["star_id"]),
        np.array(x),
        np.array(y),
        flux,
        position_err,
        position_err,
        flux_err,
        np.ones(len(table)),
        np.zeros(len(table), int),
    )


def _aperture(truth, name, band):
    shape = truth.galaxy(name)
    a, b = 3 * shape.r_eff, 3 * shape.r_eff * (1 - shape.ellip)
    y, x = np.indices(band.shape)
    cos, sin = np.cos(shape.theta), np.sin(shape.theta)
    dx, dy = x - shape.x_0, y - shape.y_0
    inside = np.hypot((dx * cos + dy * sin) / a, (dy * cos - dx * sin) / b) < 1
    flux = float(np.nansum((band.data - band.stars - band.sky)[inside]))
    return ApertureFlux(
        Aperture(shape.x_0, shape.y_0, a, b, shape.theta),
        flux,
        truth.noise_sigma[name] * np.sqrt(inside.sum()),
        psf_correction=0.0,
        psf_correction_err=0.0,
        frac_enclosed=float(band.galaxy[inside].sum() / truth.fluxes[name]),
        petrosian_radius=2 * shape.r_eff,
    )
