"""The noise model: each of its terms recovered from residuals made with it."""

import numpy as np
import pytest
from engine_scenes import bands_of, true_state
from scipy.ndimage import gaussian_filter

from galstep.core.detection.residual_noise import update_noise, variance_model
from galstep.core.engine.normal import evaluate, wing_half_sizes
from galstep.core.engine.scene import Freedom
from galstep.testing import make_scene

SHAPE = (121, 121)
NOWHERE = np.zeros(SHAPE, dtype=bool)


@pytest.fixture(name="light", scope="module")
def _light():
    """(galaxy + stars, stars) of a crowded frame; the brightest pixel is 100."""
    synthetic = make_scene(5, SHAPE, 60, ("F150W",), noise="none", star_snr=(50, 1000))
    stars, galaxy = synthetic.stars["F150W"], synthetic.galaxy["F150W"]
    scale = 100 / stars.max()
    return scale * (stars + galaxy), scale * stars


def draw(seed=0):
    return np.random.default_rng(seed).normal(size=SHAPE)


class TestVarianceModel:
    @pytest.mark.parametrize("sigma", [1e-8, 1.0, 1e8])
    def test_constant_noise(self, light, sigma):
        both, stars = light
        variance = variance_model(sigma * draw(), both, stars, NOWHERE, NOWHERE)
        assert np.median(variance) == pytest.approx(sigma**2, rel=0.05)
        assert np.all(variance > 0)

    def test_without_light_it_is_the_scatter(self):
        nothing = np.zeros(SHAPE)
        variance = variance_model(3.0 * draw(), nothing, nothing, NOWHERE, NOWHERE)
        assert np.ptp(variance) == 0
        assert variance[0, 0] == pytest.approx(9.0, rel=0.05)

    def test_photon_noise(self, light):
        both, stars = light
        truth = 1.0 + 0.5 * both
        variance = variance_model(np.sqrt(truth) * draw(), both, 0 * stars, NOWHERE, NOWHERE)
        for low, high in [(0.0, 0.5), (2.0, 10.0), (10.0, 40.0)]:
            inside = (both >= low) & (both < high)
            assert variance[inside].mean() == pytest.approx(truth[inside].mean(), rel=0.15)

    def test_errors_of_the_psf(self, light):
        _, stars = light
        eps = 0.05
        truth = 1e-2 + (eps * stars) ** 2
        variance = variance_model(np.sqrt(truth) * draw(), stars, stars, NOWHERE, NOWHERE)
        bright = stars > 10
        assert variance[bright].mean() == pytest.approx(truth[bright].mean(), rel=0.3)
        assert np.median(variance[stars < 0.1]) == pytest.approx(1e-2, rel=0.15)

    def test_no_psf_is_worse_than_a_tenth(self, light):
        _, stars = light
        residual = np.hypot(0.1, 0.5 * stars) * draw()
        base = np.full(SHAPE, 0.01)
        variance = variance_model(residual, stars, stars, NOWHERE, NOWHERE, base)
        np.testing.assert_allclose(variance, base + (0.1 * stars) ** 2, rtol=1e-9)

    def test_an_error_plane_is_kept(self, light):
        both, stars = light
        base = np.where(np.indices(SHAPE)[0] > 60, 4.0, 1.0)
        variance = variance_model(np.sqrt(base) * draw(), both, stars, NOWHERE, NOWHERE, base)
        assert np.all(variance >= base)
        dark = stars < 1
        np.testing.assert_allclose(variance[dark], base[dark], rtol=1e-2)
        alone = variance_model(np.sqrt(base) * draw(), both, 0 * stars, NOWHERE, NOWHERE, base)
        np.testing.assert_array_equal(alone, base)

    def test_an_error_plane_that_is_wrong_is_kept(self, light):
        both, stars = light
        base = np.full(SHAPE, 4.0)
        variance = variance_model(draw(), both, stars, NOWHERE, NOWHERE, base)
        np.testing.assert_allclose(variance[stars < 0.1], 4.0, rtol=1e-3)

    def test_errors_of_the_psf_are_added_to_an_error_plane(self, light):
        _, stars = light
        base = np.full(SHAPE, 0.04)
        truth = base + (0.03 * stars) ** 2
        variance = variance_model(np.sqrt(truth) * draw(1), stars, stars, NOWHERE, NOWHERE, base)
        bright = stars > 20
        assert variance[bright].mean() == pytest.approx(truth[bright].mean(), rel=0.3)

    @pytest.mark.parametrize("known", [True, False])
    def test_a_perfect_psf_has_no_errors(self, known):
        scene = make_scene(0, SHAPE, 20, ("F150W",), noise="none", star_snr=(20, 300))
        sigma, stars = scene.truth.noise_sigma["F150W"], scene.stars["F150W"]
        light = stars + scene.galaxy["F150W"]
        base = np.full(SHAPE, sigma**2) if known else None
        ratio = [
            variance_model(sigma * draw(k), light, stars, NOWHERE, NOWHERE, base).max() / sigma**2
            for k in range(20)
        ]
        # the noise of faint pixels is not to be extrapolated to the cores of bright stars
        assert np.sqrt(np.median(ratio)) < 1.2
        assert np.count_nonzero(np.sqrt(ratio) > 2) <= 2

    def test_the_core_takes_no_part(self, light):
        both, stars = light
        yy, xx = np.indices(SHAPE)
        core = np.hypot(xx - 60, yy - 60) < 15
        clean = draw()
        spoilt = np.where(core, 100.0, clean)
        one, two = (variance_model(r, both, stars, NOWHERE, core) for r in (clean, spoilt))
        np.testing.assert_array_equal(one, two)

    def test_masked_pixels_take_no_part(self, light):
        both, stars = light
        mask = np.random.default_rng(3).random(SHAPE) < 0.3
        spoilt = np.where(mask, 1e9, draw())
        variance = variance_model(spoilt, both, stars, mask, NOWHERE)
        assert np.median(variance[~mask]) == pytest.approx(1.0, rel=0.07)
        base = np.where(mask, np.nan, 2.0)
        kept = variance_model(np.where(mask, 0, draw()), both, 0 * stars, mask, NOWHERE, base)
        assert np.all(kept[~mask] == 2.0) and np.isfinite(kept).all()

    def test_a_frame_that_is_all_core(self, light):
        both, stars = light
        variance = variance_model(draw(), both, stars, NOWHERE, ~NOWHERE)
        assert np.median(variance) == pytest.approx(1.0, rel=0.07)

    def test_outliers_are_clipped(self, light):
        both, stars = light
        residual = draw()
        residual.ravel()[::200] = 50.0
        variance = variance_model(residual, both, stars, NOWHERE, NOWHERE)
        assert np.median(variance) == pytest.approx(1.0, rel=0.1)

    def test_a_perfect_fit_has_a_positive_variance(self):
        nothing = np.zeros(SHAPE)
        assert np.all(variance_model(nothing, nothing, nothing, NOWHERE, NOWHERE) > 0)


class TestUpdate:
    def update(self, noise, known, sigma=2.0, mask=None):
        """The band of a scene without stars whose residual is ``noise``."""
        synthetic = make_scene(1, SHAPE, 0, ("F150W",), noise="none", sky="none")
        band = bands_of(synthetic, error_known=known)[0]
        if mask is not None:
            band.mask[mask] = True
            band.weight[mask] = 0
        residual = np.where(band.mask, 0, noise)
        base = np.full(SHAPE, sigma**2) if known else None
        light = synthetic.galaxy["F150W"]
        return update_noise(band, base, residual, light, 0 * light, NOWHERE)

    @pytest.mark.parametrize("known", [True, False])
    def test_white_noise(self, known):
        band, (snr, _, information) = self.update(2.0 * draw(), known)
        assert 1 <= band.noise_scale < 1.08
        assert band.sigma / band.noise_scale == pytest.approx(2.0, rel=1e-9 if known else 0.03)
        assert snr.std() == pytest.approx(1.0, abs=0.1)
        area = band.star_renderer.psf.noise_area
        assert 1 / np.median(information) == pytest.approx(band.sigma**2 * area, rel=0.03)

    def test_correlated_noise_raises_the_scale(self):
        width = 1.0
        noise = gaussian_filter(draw(4), width, mode="wrap") * np.sqrt(4 * np.pi) * width
        band, (snr, _, _) = self.update(noise, known=True, sigma=1.0)
        # variance of sum(r P) for noise with the autocorrelation exp(-d^2 / 4 w^2)
        star = band.star_renderer.render((41, 41), [20.0], [20.0], [1.0])
        yy, xx = np.indices((41, 41)) - 20
        response = np.exp(-(xx**2 + yy**2) / (4 * width**2))
        transform = np.fft.fft2(star, (128, 128))
        spectrum = np.fft.fft2(np.roll(np.pad(response, (0, 87)), (-20, -20), axis=(0, 1))).real
        expected = np.sum(np.abs(transform) ** 2 * spectrum) / np.sum(np.abs(transform) ** 2)
        assert band.noise_scale == pytest.approx(np.sqrt(expected), rel=0.08)
        assert band.noise_scale > 1.5
        assert band.sigma == pytest.approx(band.noise_scale)
        assert snr.std() == pytest.approx(1.0, abs=0.1)

    def test_masked_pixels_have_no_weight(self):
        mask = np.zeros(SHAPE, dtype=bool)
        mask[:, :30] = True
        band, (snr, flux, _) = self.update(2.0 * draw(), False, mask=mask)
        assert np.all(band.weight[mask] == 0) and np.all(band.weight[~mask] > 0)
        assert np.isfinite(snr).all() and np.isfinite(flux).all()
        assert band.sigma / band.noise_scale == pytest.approx(2.0, rel=0.05)

    def test_the_rest_of_the_band_is_the_same(self):
        synthetic = make_scene(1, SHAPE, 0, ("F150W",))
        band = bands_of(synthetic)[0]
        before = band.weight.copy()
        new, _ = update_noise(band, None, draw(), 0 * draw(), 0 * draw(), NOWHERE)
        assert new.data is band.data and new.mask is band.mask and new.name == band.name
        np.testing.assert_array_equal(band.weight, before)

    def test_residuals_of_a_true_scene_give_its_noise(self):
        synthetic = make_scene(5, SHAPE, 40, ("F150W", "F277W"), snr=80)
        bands = bands_of(synthetic, error_known=False)
        state = true_state(synthetic, bands)
        half_sizes = [wing_half_sizes(b, f) for b, f in zip(bands, state.star_flux, strict=True)]
        evaluation = evaluate(bands, state, half_sizes, Freedom())
        core = state.core(SHAPE)
        for i, band in enumerate(bands):
            sky = np.tensordot(state.sky[i], band.basis, axes=1)
            light = band.data - evaluation.residuals[i] - sky
            new, _ = update_noise(
                band, None, evaluation.residuals[i], light, evaluation.stars[i], core
            )
            sigma = synthetic.truth.noise_sigma[band.name]
            assert new.sigma == pytest.approx(sigma, rel=0.1)
