"""The galaxy before its stars: within a few per cent on a raw image."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import effective_psf

from galstep.core.fitting.galaxy_first import guess_galaxy, robust_galaxy_fit, scale_galaxy
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams
from galstep.testing import make_scene

NAME = "F150W"
SHAPE = (101, 101)
GALAXY = SersicParams(51.3, 48.9, 8.0, 1.4, 0.35, 0.7)


def scene(seed=3, n_stars=30, **options):
    options = dict(snr=250, sersic=GALAXY) | options
    return make_scene(seed, SHAPE, n_stars, (NAME,), **options)


def fitted(synthetic, **options):
    data = synthetic.data[NAME]
    sigma = synthetic.truth.noise_sigma[NAME]
    return robust_galaxy_fit(
        data, ~np.isfinite(data), sigma, effective_psf(synthetic, NAME), **options
    )


class TestRobustFit:
    @pytest.mark.parametrize("seed", range(3))
    def test_among_stars(self, seed):
        synthetic = scene(seed)
        first = fitted(synthetic)
        assert first.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.05)
        assert first.params.x_0 == pytest.approx(GALAXY.x_0, abs=0.15)
        assert first.params.y_0 == pytest.approx(GALAXY.y_0, abs=0.15)
        assert first.params.r_eff == pytest.approx(GALAXY.r_eff, rel=0.07)
        assert first.params.n == pytest.approx(GALAXY.n, rel=0.12)
        assert first.params.ellip == pytest.approx(GALAXY.ellip, abs=0.04)
        assert first.params.theta == pytest.approx(GALAXY.theta, abs=0.08)

    def test_without_stars_and_noise(self):
        synthetic = scene(n_stars=0, noise="none")
        first = fitted(synthetic)
        assert first.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=3e-3)
        assert first.params.r_eff == pytest.approx(GALAXY.r_eff, rel=3e-3)
        np.testing.assert_allclose(
            first.galaxy, synthetic.galaxy[NAME], atol=0.01 * synthetic.galaxy[NAME].max()
        )
        sigma = synthetic.truth.noise_sigma[NAME]
        np.testing.assert_allclose(first.sky, synthetic.sky[NAME], atol=0.1 * sigma)

    def test_an_edge_without_data(self):
        synthetic = scene(nan_edge=True)
        first = fitted(synthetic)
        assert first.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.05)
        lost = ~np.isfinite(synthetic.data[NAME])
        assert lost.sum() > 500 and not first.star_mask[lost].any()
        assert np.isfinite(first.galaxy).all() and np.isfinite(first.sky).all()

    def test_bright_stars_are_masked_and_the_galaxy_is_not(self):
        synthetic = scene(star_snr=(30, 300), star_separation=8)
        first = fitted(synthetic)
        table = synthetic.truth.stars
        bright = table[f"snr_{NAME}"] > 60
        iy, ix = np.rint(table["y"][bright]).astype(int), np.rint(table["x"][bright]).astype(int)
        assert first.star_mask[iy, ix].all()
        yy, xx = np.indices(SHAPE)
        assert not first.star_mask[np.hypot(xx - 51.3, yy - 48.9) < 2].any()
        assert first.star_mask.mean() < 0.3

    def test_a_poor_psf_is_good_enough(self):
        synthetic = scene(psf_blur=0.5)
        assert fitted(synthetic).flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.05)

    def test_a_start_can_be_given(self):
        synthetic = scene()
        start = SersicParams(49.0, 51.0, 5.0, 1.0, 0.0, 0.0)
        first = fitted(synthetic, start=start)
        assert first.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.05)

    @pytest.mark.parametrize("factor", [1e-9, 1e9])
    def test_units_do_not_matter(self, factor):
        synthetic = scene()
        data, psf = synthetic.data[NAME], effective_psf(synthetic, NAME)
        mask, sigma = np.zeros(SHAPE, dtype=bool), synthetic.truth.noise_sigma[NAME]
        one = robust_galaxy_fit(data, mask, sigma, psf)
        two = robust_galaxy_fit(data * factor, mask, sigma * factor, psf)
        assert two.flux / factor == pytest.approx(one.flux, rel=1e-5)
        assert two.params.n == pytest.approx(one.params.n, rel=1e-5)
        np.testing.assert_array_equal(two.star_mask, one.star_mask)

    def test_images_are_those_of_the_parameters(self):
        synthetic = scene()
        first = fitted(synthetic)
        again = replace(synthetic.truth.sersic, **vars(first.params))
        other = make_scene(3, SHAPE, 0, (NAME,), sersic=again, fluxes={NAME: first.flux})
        np.testing.assert_allclose(
            first.galaxy, other.galaxy[NAME], atol=2e-3 * other.galaxy[NAME].max()
        )
        u = (np.arange(101) - 50) / 50.5
        c_0, c_u, c_v = first.sky_coefficients
        np.testing.assert_allclose(first.sky, c_0 + c_u * u + c_v * u[:, None], rtol=1e-9)


class TestScale:
    def test_flux_at_a_known_shape(self):
        synthetic = scene(n_stars=30)
        data = synthetic.data[NAME]
        scaled = scale_galaxy(
            data, np.zeros(SHAPE, dtype=bool), synthetic.truth.noise_sigma[NAME],
            effective_psf(synthetic, NAME), GALAXY,
        )  # fmt: skip
        assert scaled.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.05)
        np.testing.assert_allclose(scaled.params.to_vector(), GALAXY.to_vector(), rtol=1e-12)

    def test_a_band_without_the_galaxy(self):
        synthetic = scene()
        data = synthetic.data[NAME] - synthetic.galaxy[NAME]
        scaled = scale_galaxy(
            data, np.zeros(SHAPE, dtype=bool), synthetic.truth.noise_sigma[NAME],
            effective_psf(synthetic, NAME), GALAXY,
        )  # fmt: skip
        assert abs(scaled.flux) < 0.05 * synthetic.truth.fluxes[NAME]


class TestGuess:
    @pytest.mark.parametrize("n_stars", [0, 30])
    def test_centre_and_size(self, n_stars):
        synthetic = scene(n_stars=n_stars)
        guess = guess_galaxy(synthetic.data[NAME], np.zeros(SHAPE, dtype=bool))
        assert np.hypot(guess.x_0 - GALAXY.x_0, guess.y_0 - GALAXY.y_0) < 1.5
        assert 0.5 * GALAXY.r_eff < guess.r_eff < 1.5 * GALAXY.r_eff
        assert (guess.n, guess.ellip, guess.theta) == (1.5, 0.0, 0.0)

    def test_a_known_centre(self):
        galaxy = replace(GALAXY, x_0=30.2, y_0=66.7)
        synthetic = scene(n_stars=0, sersic=galaxy)
        mask = np.zeros(SHAPE, dtype=bool)
        guess = guess_galaxy(synthetic.data[NAME], mask, centre=(29.0, 68.0))
        assert np.hypot(guess.x_0 - 30.2, guess.y_0 - 66.7) < 1.0
        wide = guess_galaxy(synthetic.data[NAME], mask, search=60.0)
        assert np.hypot(wide.x_0 - 30.2, wide.y_0 - 66.7) < 1.0

    def test_masked_pixels_may_be_anything(self):
        synthetic = scene(n_stars=0)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:, 80:] = True
        data = np.where(mask, np.nan, synthetic.data[NAME])
        guess = guess_galaxy(data, mask)
        assert np.hypot(guess.x_0 - GALAXY.x_0, guess.y_0 - GALAXY.y_0) < 1.5

    def test_size_stays_within_its_limits(self):
        empty = np.random.default_rng(0).normal(size=SHAPE)
        guess = guess_galaxy(empty, np.zeros(SHAPE, dtype=bool))
        assert 2.0 <= guess.r_eff <= 30.0
        flat = guess_galaxy(np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool))
        assert 2.0 <= flat.r_eff <= 30.0 and np.isfinite([flat.x_0, flat.y_0]).all()

    def test_the_sky_does_not_matter(self):
        synthetic = scene(n_stars=0)
        mask = np.zeros(SHAPE, dtype=bool)
        one = guess_galaxy(synthetic.data[NAME], mask)
        two = guess_galaxy(synthetic.data[NAME] + 1000.0, mask)
        np.testing.assert_allclose(two.to_vector(), one.to_vector(), rtol=1e-6)


def test_an_undersampled_psf_does_no_harm():
    synthetic = scene(n_stars=10)
    array = np.zeros((9, 9))
    array[4, 4] = 1.0
    data = synthetic.data[NAME]
    first = robust_galaxy_fit(
        data, np.zeros(SHAPE, dtype=bool), synthetic.truth.noise_sigma[NAME],
        EffectivePSF.from_array(array, 1),
    )  # fmt: skip
    assert first.flux == pytest.approx(synthetic.truth.fluxes[NAME], rel=0.1)


class TestAStarNearTheMiddle:
    """As bright as the galaxy, and sharper: the fit is not to be drawn to it."""

    @pytest.mark.parametrize(("ellip", "share"), [(0.75, 1.0), (0.35, 1.0), (0.35, 2.0)])
    def test_the_galaxy_is_found(self, ellip, share):
        synthetic = scene(n_stars=0, sersic=replace(GALAXY, ellip=ellip))
        x, y, flux = GALAXY.x_0 + 4.5, GALAXY.y_0 + 2.0, synthetic.truth.fluxes[NAME]
        yy, xx = np.indices(SHAPE)
        sigma = effective_psf(synthetic, NAME).fwhm / 2.355
        star = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * sigma**2))
        synthetic.data[NAME] += share * flux * star / star.sum()
        first = fitted(synthetic)
        assert first.params.r_eff == pytest.approx(GALAXY.r_eff, rel=0.2)
        assert first.params.x_0 == pytest.approx(GALAXY.x_0, abs=1.0)
        assert first.star_mask[round(y), round(x)]

    def test_a_small_galaxy_stays_one(self):
        small = replace(GALAXY, r_eff=1.2, n=2.0, ellip=0.1)
        first = fitted(scene(n_stars=10, sersic=small))
        assert first.params.r_eff == pytest.approx(1.2, rel=0.3)
        assert first.params.x_0 == pytest.approx(GALAXY.x_0, abs=0.2)
