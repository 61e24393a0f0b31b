"""Formal errors against the dense inverse and against repeated draws of the noise."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, bands_of, dense, true_state, truth_without_stars

from galstep.core.engine.covariance import covariance_of, scene_covariance
from galstep.core.engine.normal import normal_equations
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.testing import make_scene

FREEDOMS = {
    "linear": PINNED,
    "all": Freedom(registration=(1,)),
    "no shape": Freedom(shape=(False,) * 6),
    "one band registered": Freedom(positions=False, registration=(0,)),
}


@pytest.fixture(name="scene", scope="module")
def _scene():
    return make_scene(8, (61, 61), 55, ("F150W", "F277W"), snr=100)


@pytest.mark.parametrize("freedom", FREEDOMS.values(), ids=FREEDOMS)
def test_dense_inverse(scene, freedom):
    bands = bands_of(scene)
    fit = fit_scene(bands, true_state(scene, bands), freedom)
    covariance = scene_covariance(bands, fit, freedom)
    equations = normal_equations(
        bands, fit.state, fit.evaluation, fit.half_sizes, freedom, half_size=12
    )
    layout = equations.layout
    inverse = np.linalg.inv(dense(equations.matrix))
    border, stars = np.split(np.diag(inverse), [layout.n_border])
    found = np.diag(covariance.factor.border_inverse())
    np.testing.assert_allclose(found, border, rtol=1e-6)
    stars = np.sqrt(stars.reshape(layout.n_stars, layout.block).T)
    np.testing.assert_allclose(covariance.star_flux_errors(), stars[:2], rtol=0.01)
    if freedom.positions:
        np.testing.assert_allclose(covariance.position_errors(), stars[2:], rtol=0.01)
    else:
        assert np.isnan(covariance.position_errors()).all()
    for band in (0, 1):
        expected = (np.nan, np.nan)
        if band in freedom.registration:
            expected = np.sqrt(border[layout.registration[band]])
        np.testing.assert_allclose(covariance.registration_error(band), expected, rtol=1e-6)


def test_an_isolated_star_has_the_error_of_the_matched_filter():
    synthetic = make_scene(2, (61, 61), 3, ("F150W",), star_separation=18)
    bands = bands_of(synthetic)
    fit = fit_scene(bands, true_state(synthetic, bands), PINNED)
    errors = scene_covariance(bands, fit, PINNED).star_flux_errors()[0]
    area = bands[0].star_renderer.psf.noise_area
    np.testing.assert_allclose(errors, bands[0].sigma * np.sqrt(area), rtol=0.1)


def test_stars_in_a_blend_have_larger_errors():
    synthetic = make_scene(2, (61, 61), 0, ("F150W",))
    bands = bands_of(synthetic)
    alone = truth_without_stars(synthetic, bands).with_stars([15.2], [44.1], [[2.0]])
    pair = alone.with_stars([16.4], [44.1], [[2.0]])
    single, double = (
        scene_covariance(bands, fit_scene(bands, state, PINNED), PINNED).star_flux_errors()
        for state in (alone, pair)
    )
    stamp = bands[0].star_renderer.stamps([15.2, 16.4], [44.1, 44.1], 12)[0][:, 0]
    # two stars of correlation rho: 1 / sqrt(1 - rho^2) for each; stamps share their middle pixel
    one, other = stamp[0], np.roll(stamp[1], 1, axis=1)
    rho = np.sum(one * other) / np.sqrt(np.sum(one**2) * np.sum(other**2))
    assert rho > 0.5
    assert double[0, 0] / single[0, 0] == pytest.approx(1 / np.sqrt(1 - rho**2), rel=0.02)


def test_one_star_and_none(scene):
    bands = bands_of(scene)
    for keep in ([], [3]):
        state = true_state(scene, bands).select_stars(np.array(keep, dtype=int))
        fit = fit_scene(bands, state, Freedom())
        covariance = scene_covariance(bands, fit, Freedom())
        assert covariance.star_flux_errors().shape == (2, len(keep))
        assert covariance.position_errors().shape == (2, len(keep))
        assert np.all(covariance.star_variance > 0)


def test_errors_of_the_last_step_are_nearly_those_of_the_end(scene):
    bands = bands_of(scene)
    fit = fit_scene(bands, true_state(scene, bands), Freedom())
    quick = covariance_of(fit.equations, fit.state).star_flux_errors()
    full = scene_covariance(bands, fit, Freedom()).star_flux_errors()
    np.testing.assert_allclose(quick, full, rtol=0.1)


def test_errors_grow_with_the_noise(scene):
    bands = bands_of(scene)
    fit = fit_scene(bands, true_state(scene, bands), PINNED)
    one = scene_covariance(bands, fit, PINNED)
    loud = [replace(band, weight=band.weight / 9) for band in bands]
    three = scene_covariance(loud, fit, PINNED)
    np.testing.assert_allclose(three.star_flux_errors(), 3 * one.star_flux_errors(), rtol=1e-9)
    np.testing.assert_allclose(
        three.factor.border_inverse(), 9 * one.factor.border_inverse(), rtol=1e-5
    )


def test_scatter_of_repeated_draws():
    synthetic = make_scene(8, (61, 61), 15, ("F150W",), snr=100, noise="none")
    bands = bands_of(synthetic)
    truth = true_state(synthetic, bands)
    rng = np.random.default_rng(17)
    n_draws, pulls = 40, []
    for _ in range(n_draws):
        noise = bands[0].sigma * rng.normal(size=bands[0].shape)
        drawn = [replace(bands[0], data=bands[0].data + noise)]
        fit = fit_scene(drawn, truth, PINNED)
        covariance = scene_covariance(drawn, fit, PINNED)
        error = np.sqrt(np.diag(covariance.factor.border_inverse()))
        border = np.concatenate([fit.state.galaxy_flux[0], fit.state.sky[0]])
        expected = np.concatenate([truth.galaxy_flux[0], truth.sky[0]])
        stars = (fit.state.star_flux - truth.star_flux)[0] / covariance.star_flux_errors()[0]
        pulls.append(np.concatenate([(border - expected) / error, stars]))
    pulls = np.array(pulls)
    # chi2 of n independent draws has a relative scatter of sqrt(2 / n); 4 sigma each
    np.testing.assert_allclose(np.mean(pulls**2, axis=0), 1, atol=4 * np.sqrt(2 / n_draws))
    assert np.mean(pulls**2) == pytest.approx(1, abs=4 * np.sqrt(2 / pulls.size))
    np.testing.assert_allclose(pulls.mean(axis=0), 0, atol=4 / np.sqrt(n_draws))
