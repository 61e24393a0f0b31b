"""Sky polynomial and noise estimates against what was put in."""

import numpy as np
import pytest

from galstep.core.imaging.background import (
    pixel_noise,
    robust_sky,
    sky_basis,
    sky_exponents,
    sky_frame,
    sky_image,
)
from galstep.exceptions import InputError, ParameterError
from galstep.records import SkyModel


def test_terms_come_by_degree_then_by_falling_power_of_u():
    assert sky_exponents(2) == [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]


@pytest.mark.parametrize("order", [-1, 0.5])
def test_an_impossible_order_is_refused(order):
    with pytest.raises(ParameterError, match=f"order must be a whole number >= 0, got {order}"):
        sky_exponents(order)


def test_basis_is_the_polynomial_of_the_record():
    shape = (5, 9)
    y, x = np.mgrid[:5, :9]
    u, v = (x - 4) / 4.5, (y - 2) / 4.5
    expected = [np.ones(shape), u, v, u**2, u * v, v**2]
    np.testing.assert_allclose(sky_basis(shape, 2), expected, atol=1e-15)


def test_image_recovers_a_known_plane_on_a_frame_that_is_not_square():
    shape = (7, 12)
    y, x = np.mgrid[:7, :12]
    truth = 0.3 + 0.02 * x - 0.05 * y
    basis = sky_basis(shape, 1)
    coefficients = np.linalg.lstsq(basis.reshape(3, -1).T, truth.ravel(), rcond=None)[0]
    sky = SkyModel(tuple(coefficients), 1, *sky_frame(shape))
    np.testing.assert_allclose(sky_image(sky, shape), truth, atol=1e-13)


def test_image_wants_as_many_coefficients_as_terms():
    with pytest.raises(InputError, match="order 1 needs 3 coefficients, got 2"):
        sky_image(SkyModel((1.0, 2.0), 1, 0, 0, 1), (4, 4))


def test_pixel_noise_ignores_gradients_stars_and_masked_pixels():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:120, :150]
    data = rng.normal(0, 0.2, (120, 150)) + 0.01 * x + 3.0
    data[rng.integers(0, 120, 40), rng.integers(0, 150, 40)] += 100
    data[:, :20] = np.nan
    mask = np.zeros(data.shape, bool)
    mask[:30] = True
    data[:30] = 1e6 * y[:30]
    # 1 / sqrt(N) of a MAD over 11,700 pixels is about 1.2 percent
    assert pixel_noise(data, mask) == pytest.approx(0.2, rel=0.04)


def test_pixel_noise_of_correlated_noise_is_low_by_the_documented_factor():
    white = np.random.default_rng(6).normal(0, 1, (301, 300))
    data = (white[1:] + white[:-1]) / np.sqrt(2)  # rho_1 = 1/2 along y, 0 along x
    assert pixel_noise(data[:, :1], np.zeros((300, 1), bool)) == pytest.approx(
        np.sqrt(0.5), rel=0.15
    )


def test_robust_sky_clips_sources():
    rng = np.random.default_rng(7)
    data = rng.normal(1.5, 0.1, (200, 200))
    data[50:70, 50:70] += 5
    data[0] = np.nan
    level, sigma = robust_sky(data, np.isnan(data))
    assert level == pytest.approx(1.5, abs=0.005)
    assert sigma == pytest.approx(0.1, rel=0.03)


def test_nothing_to_measure_gives_nan():
    data = np.full((4, 4), np.nan)
    assert np.isnan(pixel_noise(data, np.isnan(data)))
    assert np.isnan(robust_sky(data, np.isnan(data))).all()


def test_noise_without_neighbours_is_the_scatter_of_the_pixels():
    data = np.random.default_rng(8).normal(3.0, 0.5, (60, 60))
    checkered = np.indices(data.shape).sum(axis=0) % 2 == 0
    assert pixel_noise(data, checkered) == pytest.approx(0.5, rel=0.1)
