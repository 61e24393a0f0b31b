"""What ties the fluxes of two filters together."""

from dataclasses import replace

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY
from scipy.ndimage import gaussian_filter

from galstep.core.photometry.aperture_covariance import flux_covariances, joint_covariance
from galstep.core.photometry.aperture_noise import empty_apertures, noise_shared_by
from galstep.core.photometry.aperture_photometry import Measurement
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, ApertureFlux, JointSummary, SersicFit

ELLIPSE = Aperture(60.0, 60.0, 6.0, 5.0, 0.3)
SHAPE = (121, 121)


def empty(noise):
    return empty_apertures(noise, np.zeros(noise.shape, bool), ELLIPSE)


def noises(rho, seed=0, shape=SHAPE):
    common, own = (
        gaussian_filter(n, 1.0) for n in np.random.default_rng(seed).normal(size=(2, *shape))
    )
    return common, rho * common + np.sqrt(1 - rho**2) * own


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.9])
def test_correlation_of_the_noise_is_found(rho):
    found = [noise_shared_by(*(empty(n) for n in noises(rho, seed))) for seed in range(6)]
    # six frames of about 130 independent apertures
    assert np.mean(found) == pytest.approx(rho, abs=0.12)


def test_the_same_noise_is_fully_correlated_wherever_its_grid_lies():
    noise, _ = noises(0.5)
    assert noise_shared_by(empty(noise), empty(noise)) == pytest.approx(1)
    moved = np.zeros(SHAPE)
    moved[:, 7:] = noise[:, :-7]
    there = empty_apertures(moved, moved == 0, replace(ELLIPSE, x=67.0))
    to_there = PixelMap(origin=(7.0, 0.0)).points
    assert noise_shared_by(empty(noise), there, to_there) > 0.97
    assert abs(noise_shared_by(empty(noise), there)) < 0.5


def test_without_common_apertures_there_is_no_correlation():
    noise, _ = noises(0.5)
    assert noise_shared_by(None, empty(noise)) == 0
    assert noise_shared_by(empty(noise), None) == 0
    beyond = PixelMap(origin=(500.0, 0.0)).points
    assert noise_shared_by(empty(noise), empty(noise), beyond) == 0
    assert noise_shared_by(empty(noise), empty(np.zeros(SHAPE))) == 0


def sersic(flux, shape_variance=1e-4, cross=0.0, flux_err=0.1):
    covariance = np.zeros((7, 7))
    covariance[2, 2], covariance[6, 6] = shape_variance, flux_err**2
    covariance[2, 6] = covariance[6, 2] = cross
    return SersicFit(GAUSSIAN_GALAXY, flux, flux_err, covariance=covariance)


def test_two_filters_share_the_shape_and_their_fluxes():
    matrix = joint_covariance(sersic(5.0, cross=2e-4), sersic(9.0, cross=7e-4), 0.005)
    assert matrix[2, 2] == 1e-4
    assert (matrix[6, 2], matrix[2, 6], matrix[6, 6]) == (2e-4, 7e-4, 0.005)


def test_the_shape_is_turned_into_the_pixels_of_each_filter():
    """Pixels half as large: positions double, ln r_eff only moves."""
    jacobian = PixelMap(matrix=((2.0, 0.0), (0.0, 2.0))).jacobian(GAUSSIAN_GALAXY.to_vector())
    first = sersic(5.0, cross=2e-4)
    first.covariance[0, 0], first.covariance[0, 6] = 4e-4, 3e-4
    first.covariance[6, 0] = 3e-4
    second = sersic(9.0, cross=7e-4)
    second.covariance[0, 6] = second.covariance[6, 0] = 8e-4
    matrix = joint_covariance(first, second, 0.005, jacobian)
    assert matrix[0, 0] == pytest.approx(8e-4)
    assert matrix[6, 0] == pytest.approx(6e-4)
    assert matrix[0, 6] == pytest.approx(4e-4)
    assert matrix[2, 2] == pytest.approx(1e-4)
    assert matrix[6, 6] == 0.005


def measurement(noise_err, noise, flux_corr=4.0):
    flux = ApertureFlux(
        ELLIPSE, 4.0, 0.5, noise_err=noise_err, psf_correction=0.0,
        flux_corr=flux_corr, flux_corr_err=0.5,
    )  # fmt: skip
    return Measurement(flux, np.array([[0, 0, 1.5, 0, 0, 0, 0.8]]), empty(noise))


def joint(**changes):
    summary = JointSummary(("A", "B"), np.array([[0.01, 0.006], [0.006, 0.01]]))
    return replace(summary, **changes)


def test_covariance_is_that_of_noise_and_light():
    first, second = noises(0.9)
    measured = {"A": measurement(0.3, first), "B": measurement(0.2, second)}
    components = {"A": [sersic(5.0, cross=2e-4)], "B": [sersic(9.0, cross=7e-4)]}
    rho = noise_shared_by(measured["A"].empty, measured["B"].empty)
    found = flux_covariances(measured, components)
    assert found["A"].covariance == {"A": 0.25, "B": pytest.approx(rho * 0.06)}
    assert found["B"].covariance["A"] == found["A"].covariance["B"]
    light = 1.5**2 * 1e-4 + 1.5 * 0.8 * (2e-4 + 7e-4) + 0.8**2 * 0.006
    found = flux_covariances(measured, components, joint())
    assert found["A"].covariance["B"] == pytest.approx(rho * 0.06 + light)


def test_where_the_shape_changes_light_is_correlated_as_the_matched_fluxes(bands_of_noise):
    measured, components = bands_of_noise
    alone = flux_covariances(measured, components)["A"].covariance["B"]
    matched = np.array([[4.0, 3.0], [3.0, 9.0]])
    light = 1.5**2 * 1e-4 + 0.8**2 * 0.01  # of either filter
    for changes in ({"shape_freedom": "r_eff"}, {"n_components": 2}):
        summary = joint(matched_covariance=matched, **changes)
        found = flux_covariances(measured, components, summary)["A"].covariance["B"]
        assert found - alone == pytest.approx(0.5 * light)
    unknown = joint(shape_freedom="n")
    assert flux_covariances(measured, components, unknown)["A"].covariance["B"] == alone


def test_no_light_is_shared_with_a_filter_that_was_not_in_the_joint_fit(bands_of_noise):
    measured, components = bands_of_noise
    alone = flux_covariances(measured, components)
    found = flux_covariances(measured, components, joint(filters=("A", "C")))
    assert found["A"].covariance == alone["A"].covariance


@pytest.fixture
def bands_of_noise():
    first, second = noises(0.9)
    measured = {"A": measurement(0.3, first), "B": measurement(0.2, second)}
    return measured, {"A": [sersic(5.0)], "B": [sersic(9.0)]}
