"""Shapes to start from."""

import numpy as np
import pytest
from scene_cases import PSF, galaxy, psf_map, star, vector

from galstep.core.field.moments import measured_shape, psf_moments
from galstep.testing.fields import field_psf

SHAPE = (201, 201)
FWHM = 3.53


def shape_of(image, sigma, x=100.0, y=100.0, others=()):
    weight = np.full(SHAPE, 1 / sigma**2)
    return measured_shape(image, weight, x, y, psf_moments(psf_map().at(x, y)), others)


def test_the_moments_of_a_psf():
    """Of a Gaussian they are its own; of a PSF with wings larger than those of its FWHM."""
    np.testing.assert_allclose(psf_moments(psf_map().at(0, 0)), 1.5**2 * np.eye(2), atol=0.02)
    wings = psf_map(field_psf(FWHM)).at(0, 0)
    assert psf_moments(wings)[0, 0] > 1.05 * (wings.fwhm / 2.3548) ** 2


def test_a_star_has_no_size():
    assert shape_of(star(100.0, 100.0, SHAPE, PSF), 1e-6)[0] == 0.0


@pytest.mark.parametrize("r_eff", [3.0, 6.0, 12.0, 25.0])
def test_the_size_of_an_exponential(r_eff):
    image = galaxy(vector(100.0, 100.0, r_eff, 1.0, 0.4, 0.5), SHAPE)
    found = shape_of(image, 1e-6)
    assert found[0] == pytest.approx(r_eff, rel=0.35)
    assert 0.5 * np.arctan2(found[2], found[1]) == pytest.approx(0.5, abs=0.05)


def test_a_faint_source_is_no_larger_than_its_light():
    """Of S/N 8, in the light of one that is a hundred times brighter."""
    rng = np.random.default_rng(3)
    faint, bright = vector(100.0, 100.0, 2.0), vector(112.0, 106.0, 4.0)
    light = 600.0 * galaxy(faint, SHAPE) + 60000.0 * galaxy(bright, SHAPE)
    sizes = [shape_of(rng.normal(light, 10.0), 10.0, others=[(112.0, 106.0)]) for _ in range(20)]
    sizes = np.array([size[0] for size in sizes if size is not None])
    assert np.percentile(sizes, 90) < 6.5


def test_noise_has_no_size():
    rng = np.random.default_rng(2)
    assert all(shape_of(rng.normal(0, 1.0, SHAPE), 1.0) is None for _ in range(20))
