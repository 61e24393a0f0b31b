"""Robust weights: their formulas, and what they do to a fit with bad pixels."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, truth_without_stars

from galstep.core.detection.run_ladder import run_ladder
from galstep.core.engine.robust import robust_factor, with_robust_weights
from galstep.core.engine.scene import Freedom
from galstep.core.fitting.fits import AS_LISTED
from galstep.core.noise.errors import pixel_sigma
from galstep.exceptions import ParameterError
from galstep.testing import make_scene

RESIDUAL = np.array([-9.0, -3.0, 0.0, 1.0, 6.0])


def test_huber():
    np.testing.assert_allclose(robust_factor(RESIDUAL, "huber", 3.0), [1 / 3, 1, 1, 1, 0.5])


def test_student():
    expected = 5 / (4 + RESIDUAL**2)
    np.testing.assert_allclose(robust_factor(RESIDUAL, "student", 4.0), expected)


def test_none():
    assert np.all(robust_factor(RESIDUAL, "none", 3.0) == 1)


@pytest.mark.parametrize(("loss", "k"), [("huber", 2.5), ("student", 5.0)])
def test_weights_are_the_slope_of_the_loss(loss, k):
    def rho(u):
        if loss == "huber":
            return np.where(np.abs(u) < k, u**2 / 2, k * np.abs(u) - k**2 / 2)
        return 0.5 * (k + 1) * np.log(1 + u**2 / k)

    slope = (rho(RESIDUAL + 1e-6) - rho(RESIDUAL - 1e-6)) / 2e-6
    np.testing.assert_allclose(robust_factor(RESIDUAL, loss, k) * RESIDUAL, slope, atol=1e-6)


def test_the_pixel_sigma_stays():
    band = bands_of(make_scene(1, (31, 31), 0, ("F150W",)))[0]
    residual = np.random.default_rng(0).normal(0, 5 * band.sigma, band.shape)
    discounted = with_robust_weights(band, residual, "huber", 2.0)
    np.testing.assert_allclose(pixel_sigma(discounted), pixel_sigma(band))
    assert (discounted.weight <= band.weight).all() and (discounted.weight < band.weight).any()


def test_unknown_loss():
    with pytest.raises(ParameterError, match="robust must be one of none, huber, student, got 'l"):
        robust_factor(RESIDUAL, "l1", 3.0)


def test_scale_must_be_positive():
    with pytest.raises(ParameterError, match="robust_scale must be positive, got 0"):
        robust_factor(RESIDUAL, "huber", 0.0)


@pytest.mark.parametrize("loss", ["huber", "student"])
def test_bad_pixels_no_longer_decide(loss):
    synthetic = make_scene(8, (61, 61), 0, ("F150W",), snr=200)
    bands = bands_of(synthetic)
    galaxy = synthetic.truth.sersic
    x, y = round(galaxy.x_0) + 4, round(galaxy.y_0) + 1
    data = bands[0].data.copy()
    data[y : y + 2, x : x + 2] += 60 * bands[0].sigma
    bad = [replace(bands[0], data=data)]
    start, truth = truth_without_stars(synthetic, bad), synthetic.truth.fluxes["F150W"]
    errors = {}
    for name in ("none", loss):
        result = run_ladder(bad, start, Freedom(), replace(AS_LISTED, robust=name))
        pull = result.solution.state.shapes[0] - galaxy.to_vector()
        error = np.sqrt(np.diag(result.covariance.factor.border_inverse()))
        errors[name] = np.abs(pull / error[:6]).max()
        flux = result.solution.state.galaxy_flux[0, 0]
        errors[name, "flux"] = abs(flux / truth - 1)
    assert errors["none"] > 10 and errors[loss] < 4.5
    assert errors[loss, "flux"] < 0.6 * errors["none", "flux"]
