"""A galaxy with knots and a companion, the truth in place of the fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.flags import BandFlag
from galstep.records import SersicFit, StarList
from galstep.testing.models import fitted_model
from galstep.testing.real_space import SersicImage, star_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels import BandData, GalaxyModel
    from galstep.records import SersicParams
    from galstep.testing.scenes import SyntheticGalaxy

__all__ = ["structured_model"]

FIRST_ID = 1000  # of the knots: above the stars'
RELATIVE_ERROR = 0.05  # of companions and knots


def structured_model(
    synthetic: SyntheticGalaxy,
    companions: Sequence[tuple[SersicParams, float]] = (),
    knots: Sequence[tuple[float, float, float]] = (),
    name: str = "synthetic",
) -> GalaxyModel:
    """`galstep.testing.models.fitted_model` with other galaxies and knots put into the images.

    They are drawn by the renderer of this package, not by that of the fits.

    Parameters
    ----------
    synthetic : SyntheticGalaxy
        All its filters have the scene's pixels.
    companions : sequence of (SersicParams, float), optional
        Shape, and flux as a share of the target's Sersic flux in every filter.
    knots : sequence of (float, float, float), optional
        Place (x, y), and flux as such a share.
    name : str, optional
        Name of the galaxy.

    Returns
    -------
    GalaxyModel
        Data, model images, fits and flags hold them; apertures are those of the
        galaxy without them.
    """
    model = fitted_model(synthetic, name)
    for band in model.bands.values():
        _add_companions(band, synthetic, companions)
        _add_knots(band, synthetic, knots)
    return model


def _add_companions(band, synthetic, companions):
    truth, added, fits = synthetic.truth, np.zeros(band.shape), list(band.fit.sersic)
    psf = truth.psfs[band.name]
    for number, (params, share) in enumerate(companions, 1):
        own, flux = params.moved(*truth.offsets[band.name]), share * truth.fluxes[band.name]
        added += flux * SersicImage(own, band.shape, psf.reach()).seen_through(psf)
        error = RELATIVE_ERROR
        fits.append(
            SersicFit(
                own,
                flux,
                error * flux,
                x_0_err=error * own.r_eff,
                y_0_err=error * own.r_eff,
                r_eff_err=error * own.r_eff,
                n_err=error * own.n,
                ellip_err=error,
                theta_err=error,
                galaxy_id=number,
            )
        )
    band.data, band.companions = band.data + added, band.companions + added
    flags = band.fit.flags | int(BandFlag.COMPANIONS if companions else 0)
    band.fit = replace(band.fit, sersic=tuple(fits), flags=flags)


def _add_knots(band: BandData, synthetic, knots):
    if not knots:
        return
    truth, fit = synthetic.truth, band.fit
    x, y, share = np.array(knots, dtype=float).T
    x, y = truth.place(band.name, x, y)
    flux = share * truth.fluxes[band.name]
    added = star_image(band.shape, truth.psfs[band.name], x, y, flux)
    error = np.full(len(x), RELATIVE_ERROR)
    listed = StarList(
        FIRST_ID + np.arange(len(x)),
        x,
        y,
        flux,
        error,
        error.copy(),
        RELATIVE_ERROR * flux,
        np.ones(len(x)),
        np.zeros(len(x), int),
        star_probability=np.full(len(x), 0.1),
    )
    band.data, band.knots = band.data + added, band.knots + added
    total = fit.flux + flux.sum()
    band.fit = replace(
        fit,
        knots=listed,
        knot_flux=float(flux.sum()),
        total_flux=float(total),
        total_flux_err=float(np.hypot(fit.flux_err, RELATIVE_ERROR * flux.sum())),
        core_star_share=float(flux.sum() / total),
        n_core_found=len(x),
        n_core_expected=0.5,
        flags=fit.flags | int(BandFlag.KNOTS),
    )
