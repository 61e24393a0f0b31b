"""Noise that bands on different pixel grids share."""

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, true_state
from grid_scenes import SHAPE, grid_bands, grid_state, two_grids

from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.solve import fit_scene
from galstep.core.noise.errors import pixel_sigma, quantity_covariance
from galstep.core.noise.noise_power import measure_noise_power
from galstep.core.noise.projection import restored_power
from galstep.core.noise.scene_noise import (
    SceneNoise,
    grid_groups,
    measure_scene_noise,
    with_cross_terms,
)
from galstep.testing import GaussianMixturePSF, make_scene
from galstep.testing.real_space import star_image


class TestGroups:
    def test_bands_with_the_same_pixels_are_together(self):
        synthetic = two_grids(n_stars=0)
        first, second = grid_bands(synthetic)
        assert grid_groups([first, second, first]) == [(0, 2), (1,)]

    def test_one_grid_is_measured_as_ever(self):
        synthetic = make_scene(3, (81, 81), 5, ("F150W", "F277W"))
        bands = bands_of(synthetic)
        frames = [synthetic.data[b.name] - np.median(synthetic.data[b.name]) for b in bands]
        good = [~b.mask for b in bands]
        noise = measure_scene_noise(bands, frames, good, np.zeros((2, 2)))
        expected = measure_noise_power(frames, good)
        assert noise.between is None
        ((members, own),) = noise.groups
        assert members == (0, 1)
        for a in range(2):
            for b in range(2):
                np.testing.assert_array_equal(own.power[a][b], expected.power[a][b])

    def test_place_and_power_of_a_band(self):
        one, two = (measure_noise_power([f], [np.ones(f.shape, bool)]) for f in _frames())
        noise = SceneNoise((((0, 2), one), ((1,), two)))
        assert noise.place(2) == (0, 1)
        assert noise.own_power(1)[0] is two.power[0][0]
        with pytest.raises(IndexError, match="one of the 3 measured, got 3"):
            noise.place(3)


def _frames():
    rng = np.random.default_rng(0)
    return rng.normal(size=(50, 60)), rng.normal(size=(40, 40))


class TestCrossTerms:
    OWN = np.diag([4.0, 9.0])

    def test_what_is_possible_is_added_as_it_is(self):
        cross = np.array([[0, 5.0], [5.0, 0]])
        np.testing.assert_allclose(with_cross_terms(self.OWN, cross), self.OWN + cross)

    def test_what_is_impossible_is_scaled_down(self):
        cross = np.array([[0, -60.0], [-60.0, 0]])
        matrix = with_cross_terms(self.OWN, cross)
        assert np.linalg.eigvalsh(matrix).min() > 0
        assert -1 < matrix[0, 1] / 6 < -0.95

    def test_of_many_quantities(self):
        rng = np.random.default_rng(4)
        root = rng.normal(size=(6, 6))
        cross = 3 * rng.normal(size=(6, 6))
        matrix = with_cross_terms(root @ root.T, cross + cross.T)
        assert np.linalg.eigvalsh(matrix).min() > 0


def _blobs(rng, synthetic):
    """The same faint smooth sources in all bands, of one colour, in units of the pixel noise."""
    truth, psf = synthetic.truth, GaussianMixturePSF.gaussian(4.0)
    x, y = rng.uniform(-15, SHAPE[0] + 15, (2, 500))
    flux = rng.normal(0, 60, 500)
    images = {}
    for name in truth.filters:
        scale = truth.grid(name).scale_from(truth.scene_grid)
        own = GaussianMixturePSF.gaussian(4.0 * scale)
        # surface brightness is the same on any grid
        place = truth.grid(name).place(truth.scene_grid, x, y)
        sigma = truth.noise_sigma[name]
        images[name] = sigma * star_image(
            truth.grid(name).shape, own, *place, flux * scale**2 * psf.noise_area / 400
        )
    return images


def _measured(synthetic, data):
    """Fluxes, their quoted covariance, and that of white noise."""
    bands = grid_bands(synthetic, data)
    fit = fit_scene(bands, grid_state(synthetic, bands), PINNED)
    covariance = scene_covariance(bands, fit, PINNED)
    layout = covariance.layout
    rows = np.eye(layout.n_border)[[layout.galaxy_flux(i) for i in range(len(bands))]]
    good = [~b.mask & ~b.core(fit.state, s) for b, s in zip(bands, fit.state.shift, strict=True)]
    sigmas = [pixel_sigma(band) for band in bands]
    scaled = [r / s for r, s in zip(fit.evaluation.residuals, sigmas, strict=True)]
    noise = measure_scene_noise(bands, scaled, good, fit.state.shift)
    noise = restored_power(noise, bands, sigmas, good, fit, covariance)
    matrix, white = quantity_covariance(bands, fit, covariance, rows, noise)
    return fit.state.galaxy_flux[:, 0], matrix, white


@pytest.mark.slow
def test_errors_of_fluxes_and_colours_in_noise_that_two_grids_share():
    synthetic = two_grids(n_stars=0, noise="none")
    truth, rng = synthetic.truth, np.random.default_rng(8)
    fluxes, quoted = [], []
    for _ in range(30):
        blobs = _blobs(rng, synthetic)
        data = {
            name: synthetic.data[name]
            + blobs[name]
            + truth.noise_sigma[name] * rng.normal(size=blobs[name].shape)
            for name in truth.filters
        }
        flux, matrix, white = _measured(synthetic, data)
        fluxes.append(flux), quoted.append(matrix)
        assert (np.diag(matrix) > 2 * white).all()
    true = np.array([truth.fluxes[name] for name in truth.filters])
    relative = np.array(fluxes) / true - 1
    covariance = np.mean(quoted, axis=0) / np.outer(true, true)
    for direction in ([1, 0], [0, 1], [1, -1]):  # two fluxes and their ratio
        scatter = np.std(relative @ direction)
        # the scatter of 30 is known to 13 percent
        assert np.sqrt(direction @ covariance @ direction) == pytest.approx(scatter, rel=0.4)
    correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert correlation == pytest.approx(np.corrcoef(relative.T)[0, 1], abs=0.2)
    assert correlation > 0.6


def test_independent_noise_has_no_cross_term():
    synthetic = two_grids(seed=2, n_stars=4)
    bands = grid_bands(synthetic)
    _, matrix, white = _measured(synthetic, synthetic.data)
    assert len(grid_groups(bands)) == 2
    assert abs(matrix[0, 1]) < 0.3 * np.sqrt(matrix[0, 0] * matrix[1, 1])
    np.testing.assert_allclose(np.diag(matrix), white, rtol=0.5)


def test_one_grid_gives_one_answer_however_it_is_told():
    synthetic = make_scene(5, (81, 81), 3, ("F150W", "F277W"), snr=100)
    bands = bands_of(synthetic)
    fit = fit_scene(bands, true_state(synthetic, bands), PINNED)
    covariance = scene_covariance(bands, fit, PINNED)
    rows = np.eye(covariance.layout.n_border)[:2]
    scaled = [r / b.sigma for r, b in zip(fit.evaluation.residuals, bands, strict=True)]
    good = [~b.mask for b in bands]
    plain = measure_noise_power(scaled, good)
    scene = measure_scene_noise(bands, scaled, good, fit.state.shift)
    one, two = (quantity_covariance(bands, fit, covariance, rows, n)[0] for n in (plain, scene))
    np.testing.assert_array_equal(one, two)
