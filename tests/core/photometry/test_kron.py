"""The Kron radius beside closed forms."""

import numpy as np
import pytest

from galstep.core.imaging.sersic import sersic_bn
from galstep.core.photometry.isophotes import Isophotes
from galstep.core.photometry.kron import kron_radius
from galstep.exceptions import GalstepError

SHAPE = (201, 201)


def family(reach=95.0, q=0.7, theta=0.6):
    a = np.linspace(1.0, reach, 20)
    e = (1 - q) / (1 + q)
    direction = np.array([np.cos(2 * theta), np.sin(2 * theta)])
    return Isophotes(100.0, 100.0, a, *(e * direction[:, None] * np.ones(20)))


def elliptical_radius(q=0.7, theta=0.6):
    y, x = np.indices(SHAPE) - 100.0
    cos, sin = np.cos(theta), np.sin(theta)
    return np.hypot(x * cos + y * sin, (y * cos - x * sin) / q)


@pytest.mark.parametrize("scale", [4.0, 9.0])
def test_of_an_exponential_it_is_five_scale_lengths(scale):
    """int R^2 exp(-R/h) dR / int R exp(-R/h) dR = 2 h."""
    image = np.exp(-elliptical_radius() / scale)
    assert kron_radius(image, family()) == pytest.approx(5 * scale, rel=0.01)
    assert kron_radius(image, family(), factor=1.0) == pytest.approx(2 * scale, rel=0.01)


def test_of_a_gaussian_profile():
    """n = 1/2, sigma = r_eff / sqrt(2 b): mean radius sigma sqrt(pi / 2)."""
    sigma = 12.0 / np.sqrt(2 * float(sersic_bn(0.5)))
    image = np.exp(-0.5 * (elliptical_radius() / sigma) ** 2)
    expected = 2.5 * sigma * np.sqrt(np.pi / 2)
    assert kron_radius(image, family()) == pytest.approx(expected, rel=0.01)


def test_light_inside_the_first_ring_counts_with_its_own_radius():
    """One bright pixel: int sqrt(x^2 + y^2) over the unit square is (sqrt 2 + arsinh 1) / 6.

    A fifth of the light is inside the innermost circle, 0.25 pixels.
    """
    image = np.zeros((21, 21))
    image[10, 10] = 3.0
    round_ = Isophotes(10.0, 10.0, np.linspace(0.5, 3.0, 12), np.zeros(12), np.zeros(12))
    expected = (np.sqrt(2) + np.arcsinh(1)) / 6
    assert kron_radius(image, round_, factor=1.0) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("reach", [0.4, 1.0])
def test_even_light_has_its_mean_radius_at_two_thirds(reach):
    round_ = Isophotes(10.0, 10.0, np.linspace(0.3, reach, 12), np.zeros(12), np.zeros(12))
    radius = kron_radius(np.ones((21, 21)), round_, factor=1.0)
    # light is summed on eighths of a pixel
    assert radius == pytest.approx(2 / 3 * reach, abs=0.005)


def test_masked_pixels_do_not_count():
    image = np.exp(-elliptical_radius() / 6)
    mask = np.zeros(SHAPE, bool)
    mask[:100] = True  # half of it, by symmetry of no effect
    mask[100, :100] = True
    expected = kron_radius(image, family())
    image[mask] = np.nan
    assert kron_radius(image, family(), mask) == pytest.approx(expected, rel=0.02)


def test_without_light_there_is_none():
    with pytest.raises(GalstepError, match="there is no light inside the last isophote"):
        kron_radius(np.zeros(SHAPE), family())
