"""Saturated cores are found; flat, rounded and faint ones are not."""

import numpy as np
import pytest

from galstep.core.imaging.plateau import saturated_pixels

SHAPE = (80, 90)


def distance(x, y):
    rows, columns = np.indices(SHAPE)
    return np.hypot(columns - x, rows - y)


def scene(seed=0, peak=100.0):
    noise = np.random.default_rng(seed).normal(0, 1.0, SHAPE)
    star = peak * np.exp(-0.5 * (distance(20, 25) / 1.8) ** 2)
    return noise + star + peak * np.exp(-distance(50.3, 41.2) / 6)


def no_mask():
    return np.zeros(SHAPE, bool)


@pytest.mark.parametrize("factor", [1e-20, 1.0, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_cut_off_is_found(factor, dtype):
    image = scene(peak=400.0)
    cut = np.minimum(image, 150.0)
    found = saturated_pixels((factor * cut).astype(dtype), no_mask())
    np.testing.assert_array_equal(found, image >= 150.0)
    assert found.sum() > 20


def test_a_gently_sloping_core_too():
    image = np.random.default_rng(1).normal(0, 1, SHAPE) + 40 * np.exp(-distance(45, 40) / 12)
    cut = np.minimum(image, 22.0)
    # lone pixels at the edge of it are not counted
    found = saturated_pixels(cut, no_mask())
    assert not found[image < 22].any()
    assert found.sum() > 0.9 * np.count_nonzero(image >= 22)


def test_each_at_its_own_level():
    image = scene(peak=400.0)
    level = np.where(distance(20, 25) < 12, 250, 150)
    found = saturated_pixels(np.minimum(image, level), no_mask())
    np.testing.assert_array_equal(found, image >= level)


@pytest.mark.parametrize("step", [0.0, 0.1, 1.0, 5.0])
def test_nothing_is_found_where_nothing_was_cut_off(step):
    for seed in range(10):
        image = scene(seed)
        # a galaxy with a flat top
        image += 30 * np.exp(-((distance(60, 55) / 15) ** 4))
        image = np.round(image / step) * step if step else image
        assert not saturated_pixels(image, no_mask()).any()


def test_without_noise_and_with_gaps():
    image = np.minimum(scene(peak=400.0), 150.0)
    mask = distance(50, 41) < 30
    image[mask] = np.nan
    assert saturated_pixels(image, mask).sum() == np.count_nonzero(image >= 150)
    assert not saturated_pixels(np.full(SHAPE, np.nan), ~no_mask()).any()
    assert not saturated_pixels(np.ones(SHAPE), no_mask()).any()
    smooth = 100 * np.exp(-distance(40, 40) / 8)
    assert not saturated_pixels(smooth, no_mask()).any()
    assert saturated_pixels(np.minimum(smooth, 60), no_mask()).sum() > 20


def test_a_dead_border_is_no_saturation():
    image = scene()
    image[:, :10] = 0.0
    assert not saturated_pixels(image, no_mask()).any()
