"""The Sersic profile against direct integration and tabulated values."""

import numpy as np
import pytest
from scipy.integrate import quad

from galstep.core.imaging import sersic

INDICES = [0.5, 1.0, 2.5, 4.0, 6.0]


@pytest.mark.parametrize(("n", "expected"), [(1.0, 1.678346990), (4.0, 7.669249443)])
def test_bn_of_exponential_and_de_vaucouleurs(n, expected):
    assert sersic.sersic_bn(n) == pytest.approx(expected, rel=1e-9)


def test_bn_of_a_gaussian_is_ln_2():
    assert sersic.sersic_bn(0.5) == pytest.approx(np.log(2.0), rel=1e-12)


def surface_brightness(radius, r_eff, n):
    """I(R) / I_e written from its definition."""
    return np.exp(-sersic.sersic_bn(n) * ((radius / r_eff) ** (1 / n) - 1))


@pytest.mark.parametrize("n", INDICES)
def test_total_flux_is_the_integral_of_the_profile(n):
    r_eff, ellip, level = 7.0, 0.4, 3.0

    # R = r_eff t^n takes the cusp out of the integrand
    def integrand(t):
        radius = r_eff * t**n
        return radius * surface_brightness(radius, r_eff, n) * r_eff * n * t ** (n - 1)

    integral = quad(integrand, 0, 60, epsabs=0, epsrel=1e-10, limit=200)[0]
    expected = level * 2 * np.pi * (1 - ellip) * integral
    assert sersic.total_flux(level, r_eff, n, ellip) == pytest.approx(expected, rel=1e-8)


def test_amplitude_is_the_inverse_of_total_flux():
    flux = sersic.total_flux(2.5, 9.0, 3.1, 0.25)
    assert sersic.amplitude(flux, 9.0, 3.1, 0.25) == pytest.approx(2.5, rel=1e-13)


@pytest.mark.parametrize("n", INDICES)
def test_half_of_the_light_is_inside_r_eff(n):
    assert sersic.enclosed_fraction(1.0, n) == pytest.approx(0.5, rel=1e-12)


def test_enclosed_fraction_of_an_exponential():
    x = np.array([0.0, 0.3, 1.7, 6.0])
    scaled = sersic.sersic_bn(1.0) * x
    expected = 1 - np.exp(-scaled) * (1 + scaled)
    np.testing.assert_allclose(sersic.enclosed_fraction(x, 1.0), expected, atol=1e-14)


@pytest.mark.parametrize("n", INDICES)
def test_central_brightness_gives_unit_flux(n):
    amplitude = np.exp(sersic.log_central_brightness(n) - sersic.sersic_bn(n))
    assert sersic.total_flux(amplitude, 1.0, n, 0.0) == pytest.approx(1.0, rel=1e-12)


def test_mean_square_radius():
    # a Gaussian of variance s^2 per axis has r_eff = s sqrt(2 ln 2) and <R^2> = 2 s^2
    assert sersic.mean_square_radius(0.5) == pytest.approx(1 / np.log(2.0), rel=1e-12)
    # an exponential of scale h has <R^2> = 6 h^2
    h = 1 / sersic.sersic_bn(1.0)
    assert sersic.mean_square_radius(1.0) == pytest.approx(6 * h**2, rel=1e-12)


@pytest.mark.parametrize("theta", [0.0, 0.4, 1.9, 3.0])
def test_shape_matrix_has_the_axes_of_the_ellipse(theta):
    r_eff, q = 5.0, 0.6
    e = (1 - q) / (1 + q)
    matrix = sersic.shape_matrix(np.log(r_eff), e * np.cos(2 * theta), e * np.sin(2 * theta))
    major = np.array([np.cos(theta), np.sin(theta)])
    minor = np.array([-np.sin(theta), np.cos(theta)])
    np.testing.assert_allclose(matrix @ major, r_eff**2 * major, atol=1e-12)
    np.testing.assert_allclose(matrix @ minor, (q * r_eff) ** 2 * minor, atol=1e-12)


@pytest.mark.parametrize("shape", [(1.3, 0.2, -0.3), (0.2, 0.0, 0.5), (2.0, 0.0, 0.0)])
def test_shape_matrix_derivatives_match_central_differences(shape):
    analytic = sersic.shape_matrix_derivatives(*shape)
    np.testing.assert_array_equal(analytic[0], sersic.shape_matrix(*shape))
    step = 1e-5  # round: the cone in |e| is felt to first order in the step
    for k in range(3):
        low, high = np.array(shape), np.array(shape)
        low[k] -= step
        high[k] += step
        numeric = (sersic.shape_matrix(*high) - sersic.shape_matrix(*low)) / (2 * step)
        np.testing.assert_allclose(analytic[k + 1], numeric, rtol=5e-5, atol=1e-6)
