"""The sum of periodic copies against brute force."""

import numpy as np
import pytest

from galstep.core.imaging.periodic import PeriodicCopies, _chebyshev
from galstep.core.imaging.sersic import log_central_brightness, sersic_bn, shape_matrix_derivatives
from galstep.core.psf.effective import EffectivePSF

SHAPE, PERIOD = (60, 70), 96


def point():
    """A PSF that is one sample: the copies are the profile itself."""
    array = np.zeros((9, 9))
    array[4, 4] = 1.0
    return EffectivePSF.from_array(array, 4)


def copies(z, n_copies):
    """Minus the correction, as an image, by direct summation."""
    x_0, y_0, ln_r_eff, e1, e2, ln_n = z
    matrix = shape_matrix_derivatives(ln_r_eff, e1, e2)[0]
    inverse, n = np.linalg.inv(matrix), np.exp(ln_n)
    scale = np.exp(log_central_brightness(n)) / np.sqrt(np.linalg.det(matrix))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    total = np.zeros(SHAPE)
    for m_y in range(-n_copies, n_copies + 1):
        for m_x in range(-n_copies, n_copies + 1):
            if (m_x, m_y) == (0, 0):
                continue
            d_x, d_y = x - x_0 - m_x * PERIOD, y - y_0 - m_y * PERIOD
            r2 = inverse[0, 0] * d_x**2 + 2 * inverse[0, 1] * d_x * d_y + inverse[1, 1] * d_y**2
            total += scale * np.exp(-sersic_bn(n) * r2 ** (0.5 / n))
    return total


def correction(z, n_images=1):
    images = np.zeros((n_images, *SHAPE))
    shapes = shape_matrix_derivatives(*z[2:5])
    PeriodicCopies(SHAPE, PERIOD, point()).subtract(images, z[0], z[1], shapes, np.exp(z[5]))
    return -images


@pytest.mark.parametrize(
    ("r_eff", "n", "e1"), [(12.0, 1.0, 0.1), (20.0, 2.5, -0.2), (8.0, 4.0, 0.1), (30.0, 0.7, 0.0)]
)
def test_direct_sum(r_eff, n, e1):
    z = np.array([36.2, 28.9, np.log(r_eff), e1, 0.1, np.log(n)])
    expected = copies(z, 12)
    rest = 0.02 if n == 4.0 else 0.005  # n = 4 has light beyond 12 periods
    np.testing.assert_allclose(correction(z)[0], expected, rtol=rest, atol=2e-3 * expected.max())


def test_all_light_is_counted():
    # n = 4 has light beyond eight periods: the constant rest stands for it
    z = np.array([36.2, 28.9, np.log(60.0), 0.0, 0.0, np.log(4.0)])
    near, nearly_all = (copies(z, count)[30, 35] for count in (8, 40))
    result = correction(z)[0][30, 35]
    assert result == pytest.approx(nearly_all, rel=2e-3)
    assert near < 0.97 * result


@pytest.mark.parametrize("k", range(6))
def test_derivatives(k):
    z = np.array([36.2, 28.9, np.log(15.0), 0.2, 0.1, np.log(2.0)])
    step = 1e-4 * np.eye(6)[k]
    numeric = (correction(z + step)[0] - correction(z - step)[0]) / 2e-4
    analytic = correction(z, 7)
    np.testing.assert_allclose(analytic[0], correction(z)[0], rtol=1e-12)
    np.testing.assert_allclose(analytic[k + 1], numeric, atol=1e-5 * np.abs(numeric).max())


def test_compact_galaxies_need_none():
    z = np.array([36.2, 28.9, np.log(2.0), 0.0, 0.0, 0.0])
    assert np.all(correction(z, 7) == 0)


def test_interpolation_is_the_same_to_the_last_bit():
    # scipy computes barycentric weights in a random order unless they are given
    nodes = np.linspace(-20.0, 300.0, 17)
    points, first = _chebyshev(nodes)
    assert all(np.array_equal(_chebyshev(nodes)[1], first) for _ in range(5))
    # exact for polynomials of lower degree than there are points
    np.testing.assert_allclose(first @ points**4, nodes**4, rtol=1e-12, atol=1e-6)
