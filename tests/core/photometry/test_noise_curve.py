"""The noise of aperture sums as a curve, on noise whose statistics are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from galstep.core.photometry.noise_curve import noise_curve
from galstep.records import Aperture

SHAPE = (150, 160)


def ellipse(a, q=0.7):
    return Aperture(80.3, 74.8, a, q * a, 0.5)


def noise(seed, blur=0.0):
    image = np.random.default_rng(seed).normal(0, 1, SHAPE)
    return gaussian_filter(image, blur, mode="wrap") if blur else image


def curve_of(image, *radii):
    return noise_curve(image, np.zeros(SHAPE, bool), [ellipse(a) for a in radii])


def test_white_noise_is_the_root_of_the_area_also_beyond_what_fits():
    areas = np.array([30.0, 300.0, 3000.0])
    found = np.mean(
        [[curve_of(noise(seed), 3, 40).noise(a) for a in areas] for seed in range(12)], axis=0
    )
    # a pixel at the rim counts with the square of its overlap: less in a small one
    for value, area, tolerance in zip(found, areas, (0.08, 0.1, 0.35), strict=True):
        assert value == pytest.approx(np.sqrt(area), rel=tolerance)


@pytest.mark.parametrize("blur", [0.0, 1.5, 12.0])
@pytest.mark.parametrize("sky_fitted", [False, True])
def test_it_never_falls(blur, sky_fitted):
    """Not past the last place that fits, and not where a fit has taken the sum to zero."""
    image = noise(3, blur)
    if sky_fitted:
        image = image - image.mean()
    curve = curve_of(image, 2, 75)
    areas = np.geomspace(5, 4 * image.size, 200)
    for values in (curve.noise, curve.level_error):
        assert (np.diff([values(a) for a in areas]) > 0).any()
        assert (np.diff([values(a) for a in areas]) >= 0).all()


def test_it_does_not_hang_on_what_else_is_asked_for():
    image = noise(5, 1.5)
    few, many = curve_of(image, 12, 9), curve_of(image, 12, 2, 5, 9, 20, 70)
    area = np.pi * 0.7 * 81
    assert few.noise(area) == pytest.approx(many.noise(area), rel=1e-9)


def test_a_common_error_grows_as_the_area():
    y, x = np.indices(SHAPE)
    curve = curve_of(np.sin(x / 40) + np.sin(y / 40), 4, 30)
    assert curve.noise(4000) / curve.noise(1000) == pytest.approx(4, rel=0.15)


def test_none_where_nothing_fits():
    bad = np.ones(SHAPE, bool)
    assert noise_curve(noise(1), bad, [ellipse(5)]) is None
