"""The error that the unknown wings of a galaxy have: where it is small, large, and true."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import PINNED, gaussian_psf

from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging.sersic import elliptical_radius
from galstep.core.measurement.wing_error import BREAKS, SLOPE, wing_covariance
from galstep.records import SersicParams

SHAPE = (161, 161)
PSF = gaussian_psf(1.1, 9)


def galaxy(n, r_eff=9.0):
    return SersicParams(80.2, 79.7, r_eff, n, 0.2, 0.4)


def share(n, flux=1000.0, noise=0.1, factors=(1.0,), r_eff=9.0, mask=None, tilt=None):
    """Wing errors over the flux, (n_bands,), their correlation, and the fit's flux."""
    bands, mask = [], np.zeros(SHAPE, bool) if mask is None else mask
    for i, factor in enumerate(factors):
        band = make_band(str(i), np.zeros(SHAPE), mask, PSF, np.full(SHAPE, noise))
        light = factor * flux * band.galaxy_renderer.image(galaxy(n, r_eff).to_vector())
        if tilt:
            radius = elliptical_radius(SHAPE, galaxy(n, r_eff).to_vector()) / r_eff
            light = light * (1 + tilt * np.log(np.maximum(radius / BREAKS[0], 1.0)))
        rng = np.random.default_rng(i)
        data = light + noise * rng.normal(size=SHAPE)
        bands.append(make_band(str(i), data, mask, PSF, np.full(SHAPE, noise)))
    start = SceneState.start(bands, [galaxy(n, r_eff).to_vector()], [[f * flux] for f in factors])
    fit = fit_scene(bands, start, Freedom(positions=False))
    covariance = wing_covariance(bands, fit, [1.0] * len(bands))
    error = np.sqrt(np.diag(covariance))
    return error / (flux * np.array(factors)), covariance, fit.state.galaxy_flux[:, 0]


def test_an_exponential_ends_and_a_de_vaucouleurs_does_not():
    disc, spheroid = share(1.0)[0][0], share(4.0)[0][0]
    assert disc < 0.01
    assert spheroid > 3 * disc


def test_better_data_know_more():
    errors = [share(3.0, noise=noise)[0][0] for noise in (1.0, 0.1, 0.01)]
    assert errors[0] > errors[1] > errors[2] > 0


def test_without_any_data_there_the_prior_is_left():
    # nothing beyond the first break: the response to a slope, times its width
    vector = galaxy(3.0).to_vector()
    radius = elliptical_radius(SHAPE, vector) / 9.0
    found = share(3.0, mask=radius > BREAKS[0])[0][0]
    light = make_band("a", np.zeros(SHAPE), np.zeros(SHAPE, bool), PSF, np.ones(SHAPE))
    image = light.galaxy_renderer.image(vector)
    outside = 1 - image.sum()
    edge = np.sqrt(radius.size / np.pi) / 9.0
    response = [
        (image * np.log(np.maximum(radius / own, 1))).sum()
        + outside * np.log(max(edge / own, 1)) for own in BREAKS
    ]  # fmt: skip
    assert found == pytest.approx(SLOPE * np.linalg.norm(response), rel=0.1)


def test_colours_do_not_know_it():
    errors, covariance, _ = share(3.0, factors=(1.0, 1.0))
    colour = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert colour == pytest.approx(0, abs=1e-5 * covariance[0, 0])
    assert errors[0] == pytest.approx(errors[1], rel=1e-2)


@pytest.mark.parametrize("factor", [1e-20, 1e6])
def test_units(factor):
    one = share(2.0)[0][0]
    assert share(2.0, 1000.0 * factor, 0.1 * factor)[0][0] == pytest.approx(one, rel=1e-6)


@pytest.mark.parametrize("tilt", [-SLOPE, SLOPE])
def test_it_covers_wings_that_are_others(tilt):
    # a galaxy whose outer slope is one sigma off: the fitted total is within three errors
    error, _, flux = share(2.5, flux=300.0, tilt=tilt, r_eff=6.0)
    vector = galaxy(2.5, 6.0).to_vector()
    band = make_band("a", np.zeros(SHAPE), np.zeros(SHAPE, bool), PSF, np.ones(SHAPE))
    image = band.galaxy_renderer.image(vector)
    radius = elliptical_radius(SHAPE, vector) / 6.0
    true = 300.0 * (1 + tilt * (image * np.log(np.maximum(radius / BREAKS[0], 1))).sum())
    formal = 0.01 * 300  # of flux and sky in this noise
    assert abs(flux[0] - true) < 3 * np.hypot(300 * error[0], formal)


def test_a_shape_that_is_held_has_an_error_too():
    band = make_band("a", np.zeros(SHAPE), np.zeros(SHAPE, bool), PSF, np.full(SHAPE, 0.1))
    start = SceneState.start([band], [galaxy(3.0).to_vector()], [[500.0]])
    fit = fit_scene([band], start, PINNED)
    assert wing_covariance([band], fit, [1.0])[0, 0] >= 0


def test_a_shape_that_changes_has_wings_of_its_own_in_each_filter():
    bands, light = [], galaxy(3.0).to_vector()
    for i in range(2):
        band = make_band(str(i), np.zeros(SHAPE), np.zeros(SHAPE, bool), PSF, np.full(SHAPE, 0.1),
                         log_wavelength=0.3 * i)  # fmt: skip
        image = 500 * band.galaxy_renderer.image(light)
        data = image + 0.1 * np.random.default_rng(i).normal(size=SHAPE)
        bands.append(make_band(str(i), data, np.zeros(SHAPE, bool), PSF, np.full(SHAPE, 0.1),
                               log_wavelength=0.3 * i))  # fmt: skip
    start = SceneState.start(bands, [light], [[500.0], [500.0]])
    fit = fit_scene(bands, start, Freedom(positions=False))
    one = wing_covariance(bands, fit, [1.0, 1.0])
    gradients = np.zeros((1, 1, 6))
    gradients[0, 0, 2] = 1e-3
    changing = replace(fit, state=replace(fit.state, gradients=gradients))
    each = wing_covariance(bands, changing, [1.0, 1.0])
    assert one[0, 1] == pytest.approx(one[0, 0], rel=0.05)
    assert each[0, 1] == 0
    # and each knows less than both together
    assert (np.diag(each) > np.diag(one)).all()


def test_noise_of_twice_the_error_is_noise_of_four_times_the_variance():
    band = make_band("a", np.zeros(SHAPE), np.zeros(SHAPE, bool), PSF, np.full(SHAPE, 0.1))
    data = 1000.0 * band.galaxy_renderer.image(galaxy(2.0).to_vector())
    band = replace(band, data=data)
    start = SceneState.start([band], [galaxy(2.0).to_vector()], [[1000.0]])
    fit = fit_scene([band], start, Freedom(positions=False))
    noisier = replace(band, weight=band.weight / 4)
    expected = wing_covariance([noisier], fit, [1.0])
    np.testing.assert_allclose(wing_covariance([band], fit, [2.0]), expected, rtol=1e-10)
