"""The analytic PSFs against numerical integrals."""

import numpy as np
import pytest

from galstep.exceptions import ParameterError
from galstep.testing.psfs import DEFAULT_FWHM, GaussianMixturePSF, default_psf


@pytest.fixture
def psf():
    return default_psf("F150W")


def grid(half=20.0, step=0.1):
    axis = np.arange(-half, half + step / 2, step)
    return axis[np.newaxis, :], axis[:, np.newaxis], step**2


def test_integrates_to_one(psf):
    x, y, area = grid()
    assert psf(x, y).sum() * area == pytest.approx(1, abs=1e-8)


def test_noise_area_is_the_inverse_integral_of_the_square(psf):
    x, y, area = grid()
    assert psf.noise_area == pytest.approx(1 / (np.sum(psf(x, y) ** 2) * area), rel=1e-8)


def test_transform_is_the_fourier_integral(psf):
    x, y, area = grid()
    kx, ky = 0.7, -0.3
    integral = np.sum(psf(x, y) * np.cos(kx * x + ky * y)) * area
    assert psf.transform(kx, ky) == pytest.approx(integral, abs=1e-10)


@pytest.mark.parametrize("name", DEFAULT_FWHM)
def test_default_psf_has_the_width_of_its_filter(name):
    assert default_psf(name).fwhm == pytest.approx(DEFAULT_FWHM[name], rel=1e-9)


def test_default_psf_is_not_symmetric_under_transposition():
    array = default_psf("F150W").sampled(4, 41)
    assert np.abs(array - array.T).max() > 0.01 * array.max()


def test_blur_multiplies_the_transform(psf):
    kx, ky, sigma = 0.5, 0.9, 0.8
    expected = psf.transform(kx, ky) * np.exp(-0.5 * sigma**2 * (kx**2 + ky**2))
    assert psf.blurred(sigma).transform(kx, ky) == pytest.approx(expected, rel=1e-12)


def test_sampled_puts_the_star_on_the_geometric_centre(psf):
    for size in (80, 81):
        array = psf.sampled(4, size)
        y, x = np.mgrid[:size, :size]
        assert array.sum() == pytest.approx(1, rel=1e-12)
        assert np.sum(x * array) == pytest.approx((size - 1) / 2, abs=1e-9)
        assert np.sum(y * array) == pytest.approx((size - 1) / 2, abs=1e-9)


def test_sampled_is_cut_far_out(psf):
    """The share of the light beyond the default array changes no test."""
    x, y, area = grid()
    outside = (np.maximum(abs(x), abs(y)) > 20 - 0.1) * psf(x, y)
    assert outside.sum() * area < 1e-4


def test_reach_leaves_less_than_the_fraction(psf):
    x, y, area = grid()
    outside = np.hypot(x, y) > psf.reach(1e-3)
    assert np.sum(psf(x, y) * outside) * area < 1e-3


def test_gaussian_fwhm():
    assert GaussianMixturePSF.gaussian(2.0).fwhm == pytest.approx(2 * np.sqrt(8 * np.log(2)))


def test_rejects_a_covariance_that_is_none():
    with pytest.raises(ParameterError, match="positive definite, got"):
        GaussianMixturePSF((1.0,), ((1.0, 1.5, 1.0),))


def test_rejects_unequal_lengths():
    with pytest.raises(ParameterError, match=r"one entry per weight.*got 1 for 2"):
        GaussianMixturePSF((0.5, 0.5), ((1.0, 0.0, 1.0),))


def test_rejects_a_negative_blur(psf):
    with pytest.raises(ParameterError, match="sigma must be 0 or more native pixels, got -1"):
        psf.blurred(-1)
