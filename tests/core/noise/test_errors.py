"""Errors in correlated noise: the measured spectrum, and the sandwich made with it."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, true_state
from scipy.ndimage import gaussian_filter

from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.core.noise.errors import influence_images, quantity_covariance
from galstep.core.noise.noise_power import NoisePower, measure_noise_power
from galstep.testing import make_scene

SMOOTHING = 1.5


def correlated(rng, shape, sigma=SMOOTHING):
    """Gaussian-smoothed white noise of unit variance."""
    return gaussian_filter(rng.normal(size=shape), sigma, mode="wrap") * np.sqrt(4 * np.pi) * sigma


def frequencies(shape):
    fy, fx = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return np.hypot(fy[:, None], fx)


def white_power(n_bands, shape):
    ones, zeros = (np.full((shape[0], shape[1] // 2 + 1), v) for v in (1.0, 0.0))
    return NoisePower([[ones if a == b else zeros for b in range(n_bands)] for a in range(n_bands)],
                      shape)  # fmt: skip


def galaxy_fluxes(layout):
    """The functionals of the galaxy's flux in each band."""
    rows = np.zeros((layout.n_bands, layout.n_border))
    for band in range(layout.n_bands):
        rows[band, layout.galaxy_flux(band)] = 1.0
    return rows


class TestPower:
    def test_white_noise(self):
        rng = np.random.default_rng(0)
        frames = [rng.normal(size=(150, 160)) for _ in range(2)]
        good = [np.ones((150, 160), dtype=bool)] * 2
        noise = measure_noise_power(frames, good)
        for a in range(2):
            assert noise.power[a][a].mean() == pytest.approx(1, abs=0.05)
            low = frequencies(noise.shape) < 0.05
            assert noise.power[a][a][low].mean() == pytest.approx(1, abs=0.5)
            assert np.all(noise.power[a][a] > 0)
        assert np.abs(noise.power[0][1]).mean() < 0.2
        assert noise.power[0][1] is noise.power[1][0]

    def test_smoothed_noise(self):
        rng = np.random.default_rng(1)
        shape = (180, 180)
        noise = measure_noise_power([correlated(rng, shape)], [np.ones(shape, dtype=bool)])
        f = frequencies(noise.shape)
        # variance 1 and the spectrum of a Gaussian filter, (2 pi f sigma)^2 in the exponent
        expected = 4 * np.pi * SMOOTHING**2 * np.exp(-((2 * np.pi * f * SMOOTHING) ** 2))
        for low, high in [(0.0, 0.04), (0.04, 0.08), (0.08, 0.12)]:
            ring = (f >= low) & (f < high)
            assert noise.power[0][0][ring].mean() == pytest.approx(expected[ring].mean(), rel=0.25)
        assert noise.power[0][0][f > 0.35].mean() < 0.05 * expected[0, 0]

    def test_common_noise(self):
        rng = np.random.default_rng(2)
        shape, share = (150, 150), 0.6
        common = correlated(rng, shape)
        frames = [
            np.sqrt(share) * common + np.sqrt(1 - share) * correlated(rng, shape) for _ in range(2)
        ]
        noise = measure_noise_power(frames, [np.ones(shape, dtype=bool)] * 2)
        low = frequencies(noise.shape) < 0.08
        auto = np.sqrt(noise.power[0][0][low].mean() * noise.power[1][1][low].mean())
        assert noise.power[0][1][low].mean() / auto == pytest.approx(share, abs=0.1)

    def test_opposite_noise(self):
        rng = np.random.default_rng(3)
        frame = rng.normal(size=(100, 100))
        noise = measure_noise_power([frame, -frame], [np.ones((100, 100), dtype=bool)] * 2)
        assert noise.power[0][1].mean() == pytest.approx(-1, abs=0.05)

    def test_bad_pixels_take_no_part(self):
        rng = np.random.default_rng(4)
        frame = rng.normal(size=(120, 120))
        good = rng.random((120, 120)) > 0.2
        good[40:70, 40:80] = False
        spoilt = np.where(good, frame, 1e6)
        one, two = (measure_noise_power([f], [good]).power[0][0] for f in (frame, spoilt))
        np.testing.assert_array_equal(one, two)
        assert one.mean() == pytest.approx(1, abs=0.06)

    def test_no_good_pixels(self):
        noise = measure_noise_power([np.ones((30, 30))], [np.zeros((30, 30), dtype=bool)])
        assert np.all(noise.power[0][0] == 0)

    def test_frames_that_are_not_square(self):
        rng = np.random.default_rng(5)
        noise = measure_noise_power(
            [rng.normal(size=(60, 200))], [np.ones((60, 200), dtype=bool)], reach=20
        )
        assert noise.shape[0] >= 80 and noise.shape[1] >= 220
        assert noise.power[0][0].shape == (noise.shape[0], noise.shape[1] // 2 + 1)
        assert noise.power[0][0].mean() == pytest.approx(1, abs=0.05)


@pytest.fixture(name="fitted", scope="module")
def _fitted():
    synthetic = make_scene(8, (71, 75), 15, ("F150W", "F277W"), snr=100)
    bands = bands_of(synthetic)
    bands[1].mask[:, :4] = True
    bands[1].weight[:, :4] = 0
    freedom = Freedom(registration=(1,), position_prior=1e3, registration_prior=1e3)
    fit = fit_scene(bands, true_state(synthetic, bands), freedom)
    return bands, fit, scene_covariance(bands, fit, freedom), freedom


class TestSandwich:
    @pytest.mark.parametrize("reach", [(140, 140), (135, 135), (144, 135)])
    def test_white_noise_gives_the_inverse_normal_matrix(self, fitted, reach):
        bands, fit, covariance, _ = fitted
        functionals = np.eye(covariance.layout.n_border)
        matrix, white = quantity_covariance(
            bands, fit, covariance, functionals, white_power(2, reach)
        )
        formal = covariance.factor.border_inverse()
        scale = np.sqrt(np.diag(formal))
        np.testing.assert_allclose((matrix - formal) / np.outer(scale, scale), 0, atol=0.01)
        np.testing.assert_allclose(np.diag(matrix), white, rtol=1e-9)

    def test_noise_scale_is_not_part_of_the_white_noise(self, fitted):
        bands, fit, covariance, _ = fitted
        rows = galaxy_fluxes(covariance.layout)
        raised = [replace(b, weight=b.weight / 4, noise_scale=2.0) for b in bands]
        power = white_power(2, (140, 140))
        one, white = quantity_covariance(bands, fit, covariance, rows, power)
        # the same estimator if every weight, and so the normal matrix, is four times smaller
        wider = scene_covariance(raised, fit, Freedom(registration=(1,), position_prior=1e3,
                                                      registration_prior=1e3))  # fmt: skip
        two, white_raised = quantity_covariance(raised, fit, wider, rows, power)
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-6 * one.max())
        np.testing.assert_allclose(white_raised, white, rtol=1e-3)

    def test_influence_is_the_response_of_the_fit(self, fitted):
        bands, fit, covariance, freedom = fitted
        rows = galaxy_fluxes(covariance.layout)
        images = list(influence_images(bands, fit, covariance, rows))
        sharp = dict(max_iterations=30, tolerance=1e-9)
        best = fit_scene(bands, fit.state, freedom, **sharp).state
        rng = np.random.default_rng(6)
        change = [0.01 * b.sigma * gaussian_filter(rng.normal(size=b.shape), 2) for b in bands]
        changed = [
            replace(b, data=b.data + np.where(b.mask, 0, c))
            for b, c in zip(bands, change, strict=True)
        ]
        moved = fit_scene(changed, best, freedom, **sharp).state
        expected = sum(np.tensordot(v, c, axes=2) for v, c in zip(images, change, strict=True))
        error = np.sqrt(np.diag(covariance.factor.border_inverse()) @ rows.T**2)
        found = (moved.galaxy_flux - best.galaxy_flux)[:, 0]
        np.testing.assert_allclose(
            found / error, expected / error, atol=0.05 * np.abs(found / error).max()
        )

    def test_influence_is_zero_where_masked(self, fitted):
        bands, fit, covariance, _ = fitted
        images = list(influence_images(bands, fit, covariance, galaxy_fluxes(covariance.layout)))
        assert np.all(images[1][:, bands[1].mask] == 0)
        assert np.abs(images[1]).max() > 0

    def test_without_stars(self):
        synthetic = make_scene(8, (61, 61), 0, ("F150W",))
        bands = bands_of(synthetic)
        fit = fit_scene(bands, true_state(synthetic, bands), Freedom())
        covariance = scene_covariance(bands, fit, Freedom())
        matrix, _ = quantity_covariance(
            bands, fit, covariance, np.eye(covariance.layout.n_border), white_power(1, (125, 128))
        )
        formal = covariance.factor.border_inverse()
        np.testing.assert_allclose(np.diag(matrix), np.diag(formal), rtol=1e-3)

    def test_measured_white_noise(self):
        synthetic = make_scene(9, (121, 121), 20, ("F150W",), snr=100)
        bands = bands_of(synthetic)
        fit = fit_scene(bands, true_state(synthetic, bands), Freedom())
        covariance = scene_covariance(bands, fit, Freedom())
        scaled = fit.evaluation.residuals[0] / bands[0].sigma
        core = fit.state.core(bands[0].shape)
        noise = measure_noise_power([scaled], [~core])
        matrix, _ = quantity_covariance(
            bands, fit, covariance, np.eye(covariance.layout.n_border), noise
        )
        formal = np.sqrt(np.diag(covariance.factor.border_inverse()))
        ratio = np.sqrt(np.diag(matrix)) / formal
        # centre, r_eff, ellipticity, n, flux; the sky is at scales that the frame has few of
        np.testing.assert_allclose(ratio[:7], 1, atol=0.12)


class TestRepeatedDraws:
    """A linear fit of the same scene with many draws of correlated noise."""

    N_DRAWS = 40

    @pytest.fixture(scope="class", name="draws")
    @classmethod
    def _draws(cls):
        synthetic = make_scene(8, (91, 91), 8, ("F150W", "F277W"), snr=60, noise="none")
        bands = bands_of(synthetic)
        truth = true_state(synthetic, bands)
        core = truth.core(bands[0].shape)
        rng = np.random.default_rng(23)
        fluxes, matrices, whites = [], [], []
        for _ in range(cls.N_DRAWS):
            common = correlated(rng, (91, 91))
            noise = [np.sqrt(0.7) * common + np.sqrt(0.3) * correlated(rng, (91, 91))
                     for _ in bands]  # fmt: skip
            drawn = [
                replace(b, data=b.data + b.sigma * n) for b, n in zip(bands, noise, strict=True)
            ]
            fit = fit_scene(drawn, truth, PINNED)
            covariance = scene_covariance(drawn, fit, PINNED)
            scaled = [r / b.sigma for r, b in zip(fit.evaluation.residuals, drawn, strict=True)]
            power = measure_noise_power(scaled, [~core] * 2)
            matrix, white = quantity_covariance(
                drawn, fit, covariance, galaxy_fluxes(covariance.layout), power
            )
            fluxes.append(fit.state.galaxy_flux[:, 0] - truth.galaxy_flux[:, 0])
            matrices.append(matrix)
            whites.append(white)
        return np.array(fluxes), np.array(matrices), np.array(whites)

    def test_scatter_agrees_with_the_quoted_error(self, draws):
        fluxes, matrices, _ = draws
        pulls = fluxes / np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        # a chi2 of 40 draws scatters by 0.22: 3 sigma
        np.testing.assert_allclose(np.mean(pulls**2, axis=0), 1, atol=0.67)

    def test_the_white_error_is_too_small(self, draws):
        fluxes, matrices, whites = draws
        assert np.all(fluxes.std(axis=0) > 2 * np.sqrt(whites.mean(axis=0)))

    def test_correlation_between_the_bands(self, draws):
        fluxes, matrices, _ = draws
        scatter = np.corrcoef(fluxes.T)[0, 1]
        mean = matrices.mean(axis=0)
        quoted = mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1])
        assert 0.5 < quoted < 0.8
        # Fisher: 1 / sqrt(n - 3), 3 sigma
        assert np.arctanh(scatter) == pytest.approx(np.arctanh(quoted), abs=3 / np.sqrt(37))

    def test_a_colour_is_better_known_than_its_two_fluxes(self, draws):
        fluxes, matrices, _ = draws
        relative = fluxes / fluxes.std(axis=0)
        difference = relative[:, 0] - relative[:, 1]
        mean = matrices.mean(axis=0)
        error = np.sqrt(np.diag(mean))
        quoted = 2 - 2 * mean[0, 1] / (error[0] * error[1])
        assert difference.var() == pytest.approx(quoted, rel=0.67)
        assert quoted < 1.2
