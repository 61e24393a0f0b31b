"""Sums and fillings with analytic answers."""

import numpy as np
import pytest

from galstep.core.photometry.apertures import (
    aperture_sum,
    bounding_box,
    fill_stamp,
    overlap,
    scaled,
)
from galstep.exceptions import InputError, ParameterError
from galstep.records import Aperture


@pytest.mark.parametrize("a", [0.3, 4.0, 23.7])
@pytest.mark.parametrize("theta", [0.0, 1.0, 3.0])
def test_sum_over_uniform_light_is_the_area_of_the_ellipse(a, theta):
    ellipse = Aperture(30.4, 29.1, a, 0.6 * a, theta)
    total, area = aperture_sum(np.full((60, 61), 2.5), ellipse)
    assert area == pytest.approx(np.pi * 0.6 * a**2)
    assert total == pytest.approx(2.5 * area)


def test_sum_over_a_gradient_is_its_value_at_the_centre():
    y, x = np.indices((60, 61))
    ellipse = Aperture(30.4, 29.1, 15.0, 7.0, 0.7)
    # each pixel is flat, which moves nothing inside and little at the rim
    total, area = aperture_sum(2.0 * x - y, ellipse)
    assert total / area == pytest.approx(2.0 * 30.4 - 29.1, abs=0.01)


def test_what_is_off_the_frame_or_masked_is_left_out():
    image = np.ones((40, 40))
    half = Aperture(-0.5, 20.0, 10.0, 10.0, 0.0)
    assert aperture_sum(image, half)[1] == pytest.approx(np.pi * 50)
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, :20] = True
    image[mask] = np.nan
    total, area = aperture_sum(image, Aperture(19.5, 20.0, 10.0, 5.0, 0.0), mask)
    assert total == area == pytest.approx(np.pi * 25)


@pytest.mark.parametrize("x", [-30.0, 500.0])
def test_an_aperture_beyond_the_frame_holds_nothing(x):
    assert aperture_sum(np.ones((20, 20)), Aperture(x, 5.0, 4.0, 3.0, 0.0)) == (0.0, 0.0)


def test_an_aperture_larger_than_the_frame_holds_all_of_it():
    total, area = aperture_sum(np.ones((20, 30)), Aperture(15.0, 10.0, 100.0, 90.0, 0.4))
    assert total == area == pytest.approx(600)


@pytest.mark.parametrize("numbers", [(5, 5, 0, 1, 0), (5, np.nan, 2, 1, 0), (5, 5, 2, -1, 0)])
def test_an_impossible_aperture_is_refused(numbers):
    with pytest.raises(InputError, match="finite numbers and positive semi-axes, got Aperture"):
        overlap(Aperture(*numbers))


def cone(shape, aperture):
    """Light that depends on the elliptical radius alone, and linearly."""
    y, x = np.indices(shape)
    dx, dy = x - aperture.x, y - aperture.y
    cos, sin = np.cos(aperture.theta), np.sin(aperture.theta)
    ratio = aperture.a / aperture.b
    return 50.0 - np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) * ratio)


@pytest.fixture
def gap():
    ellipse = Aperture(40.2, 38.7, 20.0, 12.0, 0.9)
    image = cone((80, 80), ellipse)
    mask = np.zeros(image.shape, dtype=bool)
    mask[35:42, 20:60] = True
    return ellipse, image, mask


def test_rings_restore_light_that_depends_on_the_radius(gap):
    ellipse, image, mask = gap
    broken = np.where(mask, np.nan, image)
    whole = fill_stamp(image, np.zeros_like(mask), ellipse, np.zeros(overlap(ellipse).shape))
    filled = fill_stamp(broken, mask, ellipse, np.zeros(overlap(ellipse).shape))
    assert whole.total == pytest.approx(aperture_sum(image, ellipse)[0])
    assert whole.masked == whole.off_frame == 0
    assert filled.masked == pytest.approx(1 - aperture_sum(image, ellipse, mask)[1] / (np.pi * 240))
    assert filled.total == pytest.approx(whole.total, rel=2e-3)


def test_the_model_stands_in_where_it_is_asked_for_and_where_nothing_else_is(gap):
    ellipse, image, mask = gap
    model = np.full(overlap(ellipse).shape, 7.0)
    filled = fill_stamp(image, mask, ellipse, model, "sersic_modelimg")
    good, area = aperture_sum(image, ellipse, mask)
    assert filled.total == pytest.approx(good + 7.0 * (np.pi * 240 - area))
    blank = fill_stamp(image, np.ones_like(mask), ellipse, model)
    assert blank.total == pytest.approx(7.0 * np.pi * 240)
    assert blank.masked == pytest.approx(1)


def test_what_lies_off_the_frame_is_filled_too():
    ellipse = Aperture(3.0, 40.0, 12.0, 12.0, 0.0)
    image = cone((80, 80), ellipse)
    filled = fill_stamp(image, np.zeros(image.shape, bool), ellipse, np.zeros((25, 25)))
    assert 0.1 < filled.off_frame < 0.5
    # a cone of height 50 and slope 1: pi R^2 (50 - 2 R / 3)
    assert filled.total == pytest.approx(np.pi * 144 * (50 - 8), rel=5e-3)


def test_an_unknown_filling_is_refused(gap):
    ellipse, image, mask = gap
    with pytest.raises(ParameterError, match="'median' or 'sersic_modelimg', got 'mean'"):
        fill_stamp(image, mask, ellipse, image, "mean")


def test_the_bounding_box_is_that_of_the_overlap():
    ellipse = Aperture(40.2, 38.7, 20.0, 12.0, 0.9)
    assert bounding_box(ellipse) == overlap(ellipse).bbox


def test_scaling_keeps_centre_and_shape():
    assert scaled(Aperture(1.0, 2.0, 4.0, 3.0, 0.5), 2.0) == Aperture(1.0, 2.0, 8.0, 6.0, 0.5)
