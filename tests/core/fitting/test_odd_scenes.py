"""Frames that lack what a frame has: fits end, with numbers or with flags."""

import numpy as np
import pytest
from engine_scenes import bands_of, effective_psf

from galstep.core.engine.scene import make_band
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.joint import fit_joint
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.testing import make_scene

NAME, SHAPE = "F150W", (61, 61)
GALAXY = SersicParams(30.4, 29.7, 5.0, 1.2, 0.3, 0.7)


def fitted(synthetic, mask=None):
    (band,) = bands_of(synthetic, (NAME,))
    if mask is not None:
        data, sigma = synthetic.data[NAME], 1 / np.sqrt(band.weight)
        band = make_band(NAME, data, mask, effective_psf(synthetic, NAME), sigma)
    psf = band.star_renderer.psf
    first = robust_galaxy_fit(band.data, band.mask, band.sigma, psf)
    return band, fit_base(band, first, two="auto")


def check_numbers(measured):
    """Images without NaN, and an error for every value that is given."""
    for images in (measured.galaxy, measured.stars, measured.knots, measured.sky):
        assert all(np.isfinite(image).all() for image in images)
    for fit in measured.fits:
        assert np.isfinite([fit.total_flux, fit.total_flux_err]).all()
        assert len(fit.stars) == 0 or np.isfinite(fit.stars.flux).all()
        probability = fit.stars.star_probability
        assert ((probability >= 0) & (probability <= 1) | np.isnan(probability)).all()


@pytest.mark.parametrize("n_stars", [0, 3])
def test_few_stars_or_none(n_stars):
    synthetic = make_scene(3, SHAPE, n_stars, (NAME,), sersic=GALAXY, snr=150, star_separation=9)
    _, measured = fitted(synthetic)
    check_numbers(measured)
    (fit,) = measured.fits
    assert fit.total_flux == pytest.approx(synthetic.truth.fluxes[NAME], abs=4 * fit.total_flux_err)
    assert len(fit.knots) == 0 and abs(len(fit.stars) - n_stars) <= 1
    again = fit_joint(bands_of(synthetic, (NAME,)), measured.fits, 0)
    check_numbers(again)


def test_no_galaxy():
    synthetic = make_scene(4, SHAPE, 8, (NAME,), sersic=GALAXY, snr=0.01, star_snr=(20, 100))
    _, measured = fitted(synthetic)
    check_numbers(measured)
    (fit,) = measured.fits
    faint = abs(fit.total_flux) < 5 * fit.total_flux_err
    assert faint or fit.flags & (BandFlag.FAINT | BandFlag.AT_BOUND | BandFlag.CORE_CROWDED)


def test_a_galaxy_that_fills_the_frame():
    wide = SersicParams(30.4, 29.7, 22.0, 1.0, 0.2, 0.7)
    synthetic = make_scene(5, SHAPE, 6, (NAME,), sersic=wide, snr=400, star_snr=(30, 100))
    _, measured = fitted(synthetic)
    check_numbers(measured)
    (fit,) = measured.fits
    off = abs(fit.total_flux - synthetic.truth.fluxes[NAME])
    assert off < 4 * fit.total_flux_err or fit.flags


def test_a_masked_core():
    synthetic = make_scene(6, SHAPE, 4, (NAME,), sersic=GALAXY, snr=150, star_separation=9)
    yy, xx = np.indices(SHAPE)
    mask = np.hypot(xx - GALAXY.x_0, yy - GALAXY.y_0) < 4
    band, measured = fitted(synthetic, mask)
    check_numbers(measured)
    (fit,) = measured.fits
    assert fit.flags & BandFlag.GALAXY_MASKED
    assert fit.total_flux == pytest.approx(synthetic.truth.fluxes[NAME], abs=4 * fit.total_flux_err)
