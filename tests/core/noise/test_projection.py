"""Power that a fit takes out of the noise is put back."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.core.noise.errors import pixel_sigma, quantity_covariance
from galstep.core.noise.noise_power import measure_noise_power
from galstep.core.noise.projection import _BandColumns, restored_power, without_fit
from galstep.testing import make_scene


@pytest.fixture(scope="module", name="fitted")
def _fitted():
    synthetic = make_scene(2, (121, 121), 12, ("F150W",), snr=150, noise="none")
    band = bands_of(synthetic)[0]
    truth = true_state(synthetic, [band])
    rng = np.random.default_rng(7)
    band = replace(band, data=band.data + band.sigma * rng.normal(size=band.shape))
    fit = fit_scene([band], truth, Freedom())
    return band, truth, fit, scene_covariance([band], fit, Freedom())


def test_a_projection_leaves_nothing_to_fit(fitted):
    band, _, fit, covariance = fitted
    columns = [_BandColumns(band, 0, fit, covariance.layout)]
    noise = band.sigma * np.random.default_rng(3).normal(size=band.shape)
    left = without_fit(columns, covariance, [noise])
    before, after = columns[0].gradient(noise), columns[0].gradient(left[0])
    # the position prior keeps a part of what would move the stars
    assert np.abs(after[0]).max() < 0.02 * np.abs(before[0]).max()
    again = without_fit(columns, covariance, left)
    taken = np.std(noise - left[0])
    assert np.std(left[0] - again[0]) < 0.1 * taken
    assert 0 < taken < 0.2 * np.std(noise)


@pytest.mark.slow
def test_white_noise_is_not_biased(fitted):
    band, truth, _, _ = fitted
    core = truth.core(band.shape)
    rng = np.random.default_rng(7)
    clean = make_scene(2, (121, 121), 12, ("F150W",), snr=150, noise="none").data["F150W"]
    raw, restored = [], []
    for _ in range(12):
        drawn = [replace(band, data=clean + band.sigma * rng.normal(size=band.shape))]
        fit = fit_scene(drawn, truth, Freedom())
        covariance = scene_covariance(drawn, fit, Freedom())
        rows = np.eye(covariance.layout.n_border)[[covariance.layout.galaxy_flux(0)]]
        formal = (rows @ covariance.factor.border_inverse() @ rows.T)[0, 0]
        sigmas = [pixel_sigma(drawn[0])]
        noise = measure_noise_power([fit.evaluation.residuals[0] / band.sigma], [~core])
        more = restored_power(noise, drawn, sigmas, [~core], fit, covariance)
        for power, ratios in ((noise, raw), (more, restored)):
            matrix, _ = quantity_covariance(drawn, fit, covariance, rows, power)
            ratios.append(np.sqrt(matrix[0, 0] / formal))
    assert np.mean(restored) == pytest.approx(1, abs=0.1)
    assert np.mean(raw) < np.mean(restored)


def test_the_same_fit_gives_the_same_power(fitted):
    band, truth, fit, covariance = fitted
    good = [~truth.core(band.shape)]
    noise = measure_noise_power([fit.evaluation.residuals[0] / band.sigma], good)
    one, two = (
        restored_power(noise, [band], [pixel_sigma(band)], good, fit, covariance).own_power(0)[0]
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    assert (one >= noise.power[0][0]).all()
