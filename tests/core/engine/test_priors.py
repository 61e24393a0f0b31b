"""Priors on the shape: their pulls, their gradients, and what they do to a fit."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of, true_state

from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.priors import PRIOR_NAMES, ShapePrior, prior_chi2, prior_equations
from galstep.core.engine.scene import Freedom
from galstep.core.engine.solve import fit_scene
from galstep.exceptions import ParameterError
from galstep.records import SersicParams
from galstep.testing import make_scene

PARAMS = SersicParams(31.2, 28.7, 6.0, 2.1, 0.3, 0.8)


@pytest.mark.parametrize("name", PRIOR_NAMES)
def test_a_pull_counts_sigmas(name):
    prior = ShapePrior(name, getattr(PARAMS, name) - 0.3, 0.1)
    assert prior.pull(PARAMS.to_vector())[0] == pytest.approx(3.0)


@pytest.mark.parametrize("name", PRIOR_NAMES)
def test_the_gradient_is_that_of_the_pull(name):
    prior, z = ShapePrior(name, 1.0, 0.2), PARAMS.to_vector()
    for k, step in enumerate(1e-6 * np.eye(6)):
        expected = (prior.pull(z + step)[0] - prior.pull(z - step)[0]) / 2e-6
        assert prior.pull(z)[1][k] == pytest.approx(expected, abs=1e-5)


def test_an_angle_is_compared_modulo_pi():
    vector = replace(PARAMS, theta=np.pi - 0.02).to_vector()
    assert ShapePrior("theta", 0.02, 0.01).pull(vector)[0] == pytest.approx(-4.0)
    vector = replace(PARAMS, theta=0.02).to_vector()
    assert ShapePrior("theta", np.pi - 0.02, 0.01).pull(vector)[0] == pytest.approx(4.0)


def test_a_round_galaxy_has_no_direction():
    vector = replace(PARAMS, ellip=0.0).to_vector()
    value, gradient = ShapePrior("ellip", 0.1, 0.1).pull(vector)
    assert value == pytest.approx(-1.0) and not gradient.any()


def test_equations_are_those_of_chi2():
    priors = (ShapePrior("r_eff", 5.0, 1.0), ShapePrior("ellip", 0.5, 0.1))
    z = PARAMS.to_vector()
    matrix, gradient = prior_equations(priors, z)
    steps = 1e-5 * np.eye(6)
    slope = [(prior_chi2(priors, z + s) - prior_chi2(priors, z - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, -0.5 * np.array(slope), atol=1e-5)
    assert np.linalg.matrix_rank(matrix) == 2


def test_no_priors():
    matrix, gradient = prior_equations((), PARAMS.to_vector())
    assert not matrix.any() and not gradient.any() and prior_chi2((), PARAMS.to_vector()) == 0


def test_unknown_name():
    with pytest.raises(ParameterError, match="prior must be on one of x_0, .* got 'radius'"):
        ShapePrior("radius", 1.0, 1.0)


@pytest.mark.parametrize(("mean", "sigma"), [(1.0, 0.0), (np.nan, 1.0), (1.0, np.inf)])
def test_values_that_are_no_prior(mean, sigma):
    with pytest.raises(ParameterError, match="prior on n must have a finite mean and a positive"):
        ShapePrior("n", mean, sigma)


def test_a_fit_is_the_mean_of_data_and_prior_weighted_by_their_errors():
    synthetic = make_scene(4, (61, 61), 0, ("F150W",), snr=2000)
    bands = bands_of(synthetic)
    state = true_state(synthetic, bands)
    plain = fit_scene(bands, state, Freedom(), tolerance=1e-6)
    variance = scene_covariance(bands, plain, Freedom()).factor.border_inverse()[5, 5]
    ln_n = plain.state.shapes[0, 5]
    # as wide as the data, three of its sigmas away; small against curvature
    sigma = np.sqrt(variance)
    prior = ShapePrior("n", np.exp(ln_n + 3 * sigma), sigma * np.exp(ln_n))
    freedom = Freedom(shape_priors=(prior,))
    held = fit_scene(bands, plain.state, freedom, tolerance=1e-6)
    assert held.state.shapes[0, 5] - ln_n == pytest.approx(1.5 * sigma, rel=0.1)
    after = scene_covariance(bands, held, freedom).factor.border_inverse()[5, 5]
    assert after / variance == pytest.approx(0.5, rel=0.1)
