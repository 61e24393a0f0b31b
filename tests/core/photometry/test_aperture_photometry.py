"""Aperture photometry of scenes whose parts are known."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.photometry.aperture_noise import empty_apertures
from galstep.core.photometry.aperture_photometry import (
    ApertureImages,
    ApertureSettings,
    BandPhotometer,
    mask_outliers,
)
from galstep.core.psf.effective import EffectivePSF
from galstep.flags import BandFlag
from galstep.records import Aperture
from galstep.testing.models import fitted_model
from galstep.testing.scenes import make_scene

FILTERS = ("F150W", "F277W")


class Scene:
    """A synthetic galaxy with the truth as its fit."""

    def __init__(self, shape=(121, 121), **options):
        self.synthetic = make_scene(shape=shape, filters=FILTERS, **options)
        self.band = fitted_model(self.synthetic).bands["F150W"]
        self.psfs = {
            name: EffectivePSF.from_array(array, self.synthetic.truth.oversample)
            for name, array in self.synthetic.psf_arrays.items()
        }
        shape = self.synthetic.truth.sersic
        self.aperture = Aperture(shape.x_0, shape.y_0, 18.0, 13.0, shape.theta)

    def images(self, **changes):
        band = self.band
        data = band.data - band.sky - band.stars
        images = ApertureImages(data, band.mask, band.residual, band.mask, band.err)
        return replace(images, **changes)

    def measure(self, aperture=None, fit=None, images=None, correction=None, **settings):
        photometer = BandPhotometer(
            images or self.images(),
            fit or self.band.fit,
            self.psfs["F150W"],
            self.psfs["F277W"],
            [aperture or self.aperture],
            ApertureSettings(**settings),
        )
        return photometer.measure(aperture or self.aperture, correction=correction).flux

    def true_flux(self, result):
        return result.frac_enclosed * self.synthetic.truth.fluxes["F150W"]


@pytest.fixture(scope="module")
def scene():
    return Scene(seed=11, n_stars=20)


@pytest.fixture(scope="module")
def clean():
    return Scene(seed=11, n_stars=20, noise="none")


def with_gap(scene, columns=slice(60, 66)):
    mask = scene.band.mask.copy()
    mask[:, columns] = True
    return scene.images(mask=mask, data=np.where(mask, np.nan, scene.images().data))


def test_without_noise_the_sum_is_the_light_that_the_model_says(clean):
    result = clean.measure()
    assert result.flux == pytest.approx(clean.true_flux(result), rel=1e-3)
    assert result.flags == 0


@pytest.mark.slow
def test_the_true_flux_lies_within_the_error():
    pulls = []
    for seed in range(25):
        scene = Scene((91, 91), seed=seed, n_stars=8, noise="correlated")
        truth = scene.synthetic.truth.sersic
        result = scene.measure(Aperture(truth.x_0, truth.y_0, 9.0, 7.0, truth.theta))
        pulls.append((result.flux - scene.true_flux(result)) / result.flux_err)
    # 25 draws: 14 % of a standard deviation, 0.2 of a mean
    assert 0.6 < np.std(pulls) < 1.4
    assert abs(np.mean(pulls)) < 0.6


def test_what_is_left_of_the_sky_is_taken_away(scene):
    shifted = scene.images(data=scene.images().data + 0.5, residual=scene.images().residual + 0.5)
    result, before = scene.measure(images=shifted), scene.measure()
    assert result.flux == pytest.approx(before.flux)
    assert result.extra["sky_level"] == pytest.approx(before.extra["sky_level"] + 0.5)


@pytest.mark.parametrize("filling", ["median", "sersic_modelimg"])
def test_a_gap_is_filled_flagged_and_paid_for(scene, filling):
    images = with_gap(scene)
    result, whole = scene.measure(images=images, fill_replace_with=filling), scene.measure()
    assert result.flags == BandFlag.APERTURE_FILLED
    assert result.extra["masked_fraction"] > 0.15
    assert result.flux == pytest.approx(whole.flux, abs=3 * result.flux_err)
    assert result.fill_err > 0
    assert whole.fill_err == 0


def test_too_large_a_gap_is_not_measured(scene):
    result = scene.measure(images=with_gap(scene, slice(50, 75)), fill_max_nan_frac=0.3)
    assert np.isnan(result.flux)
    assert np.isnan(result.flux_err)
    assert result.flags & BandFlag.NO_APERTURE
    assert "% of the aperture is masked or off the frame" in result.reason
    assert 0 < result.frac_enclosed < 1


@pytest.mark.parametrize("radius", [75.0, 150.0, 5000.0])
def test_no_aperture_is_too_large_to_be_asked_for(scene, radius):
    result = scene.measure(Aperture(60.0, 60.0, radius, radius, 0.0))
    if radius < 100:
        assert result.flags & BandFlag.APERTURE_TRUNCATED
        assert result.flux == pytest.approx(scene.true_flux(result), rel=0.3)
    else:
        assert result.flags & BandFlag.NO_APERTURE


def test_where_no_empty_aperture_fits_the_fit_tells_the_noise(scene):
    nowhere = scene.band.mask.copy()
    nowhere[:, ::3] = True  # no ellipse has four fifths of its pixels
    images = scene.images(residual_mask=nowhere)
    known = scene.measure(images=images, fit=replace(scene.band.fit, noise_corr=3.0))
    white = scene.synthetic.truth.noise_sigma["F150W"] * np.sqrt(np.pi * 18 * 13)
    assert known.extra["n_sky_apertures"] == 0
    assert known.noise_err == pytest.approx(3 * white, rel=0.03)
    assert not known.flags & BandFlag.ERRORS_UNCERTAIN
    guessed = scene.measure(images=images, fit=replace(scene.band.fit, noise_corr=np.nan))
    assert guessed.flags & BandFlag.ERRORS_UNCERTAIN


def test_past_the_last_place_that_fits_the_noise_goes_on_as_it_was(scene):
    """White: as the root of the area, whatever the fit says of its own."""
    huge = Aperture(60.0, 60.0, 58.0, 58.0, 0.0)
    found = scene.measure(huge, fit=replace(scene.band.fit, noise_corr=3.0))
    white = scene.synthetic.truth.noise_sigma["F150W"] * np.sqrt(np.pi) * 58
    assert found.extra["n_sky_apertures"] == 0
    assert found.noise_err == pytest.approx(white, rel=0.35)


def test_the_error_plane_can_be_the_noise(scene):
    plane = scene.measure(empirical_noise=False)
    white = scene.synthetic.truth.noise_sigma["F150W"] * np.sqrt(np.pi * 18 * 13)
    # pixels at the rim count with the square of their overlap
    assert plane.noise_err == pytest.approx(white, rel=0.03)
    assert plane.noise_err == pytest.approx(scene.measure().noise_err, rel=0.4)


def test_the_parts_add_up_to_the_error(scene):
    for images in (scene.images(), with_gap(scene)):
        found = scene.measure(images=images)
        parts = [found.noise_err, found.sky_err, found.star_err, found.model_err, found.fill_err]
        assert found.flux_err == pytest.approx(np.linalg.norm(parts))


def correlated(fit, scene, flux_err=0.2, share=1.0):
    """The fit with a covariance of flux and ln r_eff."""
    covariance = np.zeros((7, 7))
    covariance[6, 6], covariance[2, 2] = flux_err**2, 0.01**2
    covariance[2, 6] = covariance[6, 2] = share * flux_err * 0.01
    return replace(fit, sersic=(replace(fit.sersic[0], covariance=covariance),))


def test_the_model_has_the_error_of_its_light_less_sky_and_stars(scene):
    fit = correlated(scene.band.fit, scene, flux_err=5.0, share=0.0)
    found = scene.measure(fit=fit)
    step = scene.measure(fit=grown(fit, 0.01)).frac_enclosed - found.frac_enclosed
    light = np.hypot(5.0 * found.frac_enclosed, step * fit.sersic[0].flux)
    level = np.pi * 18 * 13 * found.extra["sky_level_err"]
    parts = found.sky_err**2 - level**2 + found.star_err**2 + found.model_err**2
    assert np.sqrt(parts) == pytest.approx(light, rel=0.02)


def grown(fit, step):
    params = fit.sersic[0].params
    params = replace(params, r_eff=params.r_eff * np.exp(step))
    return replace(fit, sersic=(replace(fit.sersic[0], params=params),))


def test_an_unknown_error_of_the_galaxy_is_flagged(scene):
    sersic = replace(scene.band.fit.sersic[0], flux_err=np.nan)
    found = scene.measure(fit=replace(scene.band.fit, sersic=(sersic,)))
    assert found.flags == BandFlag.ERRORS_UNCERTAIN
    assert found.model_err == 0
    assert np.isfinite(found.flux_err)


def test_with_its_stars_left_in_a_sum_depends_on_no_model(scene):
    found = scene.measure(stars_subtracted=False)
    assert found.star_err == found.model_err == 0
    assert np.isfinite(found.flux_corr_err)


def test_the_corrected_flux_is_what_the_other_psf_shows(scene):
    found = scene.measure()
    assert found.psf_correction > 0.003  # F277W has the wider PSF
    assert found.flux_corr == pytest.approx(found.flux * 10 ** (-0.4 * found.psf_correction))
    given = scene.measure(correction=0.25)
    assert given.psf_correction == 0.25
    assert given.flux_corr == pytest.approx(found.flux * 10**-0.1)


def test_the_corrected_flux_knows_how_flux_and_correction_hang_together(scene):
    """A galaxy with more light but larger, too: the share changes against the flux."""
    growing = scene.measure(fit=correlated(scene.band.fit, scene, 2.0, share=0.99))
    shrinking = scene.measure(fit=correlated(scene.band.fit, scene, 2.0, share=-0.99))
    assert growing.flux_corr_err < shrinking.flux_corr_err
    assert growing.psf_correction_err == pytest.approx(shrinking.psf_correction_err)


def test_stars_that_may_pass_for_the_galaxy_add_their_scatter(scene):
    small = replace(scene.aperture, a=6.0, b=5.0)
    usual = scene.measure(small)
    crowded = scene.measure(small, images=scene.images(crowding=scene.band.stars))
    scatter = empty_apertures(scene.band.stars, scene.band.mask, small).scatter
    assert crowded.star_err == pytest.approx(np.hypot(usual.star_err, scatter))
    assert crowded.flux == usual.flux
    assert crowded.flux_err > usual.flux_err


def test_a_sky_that_is_not_known_is_flagged(scene):
    sky = replace(scene.band.fit.sky, level_err=0.2 * scene.measure().flux / (np.pi * 234))
    result = scene.measure(fit=replace(scene.band.fit, sky=sky))
    assert result.flags == BandFlag.SKY_UNCERTAIN
    assert result.flux_err > 0.2 * result.flux


def test_outliers_are_masked_and_nothing_else():
    residual = np.random.default_rng(0).normal(size=(50, 50))
    residual[3, 4], residual[7, 8], residual[0, 0] = 40.0, -40.0, np.nan
    bad = mask_outliers(residual, np.zeros((50, 50), bool))
    assert sorted(zip(*np.nonzero(bad), strict=True)) == [(0, 0), (3, 4), (7, 8)]
    assert mask_outliers(residual, np.ones((50, 50), bool)).all()
