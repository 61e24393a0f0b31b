"""The step of rounded numbers, and the noise of images of any step."""

import numpy as np
import pytest

from galstep.core.imaging.background import pixel_noise
from galstep.core.imaging.rounding import dither, level_error, rounding_step
from galstep.core.star_field.sky import clipped_level

STEPS = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


def frame(step, sky=0.0, seed=0, scale=1.0, dtype=float):
    """Noise of 1 about a sky, and a few bright pixels, rounded."""
    rng = np.random.default_rng(seed)
    data = rng.normal(sky, 1, (150, 160))
    data += (rng.random(data.shape) < 0.03) * 10 ** rng.uniform(1, 4, data.shape)
    return (scale * step * np.rint(data / step)).astype(dtype)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_step_is_found(step, scale, dtype):
    found = rounding_step(frame(step, 7.3, scale=scale, dtype=dtype))
    assert found == pytest.approx(scale * step, rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [3, 10, 30, 300, 30000])
def test_continuous_numbers_have_none(n, dtype):
    for seed in range(20):
        values = np.random.default_rng(seed).normal(100, 1, n).astype(dtype)
        assert rounding_step(values) == 0.0 or n < 10


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [np.nan, 1.0], np.zeros(50)])
def test_nothing_to_tell_a_step_from(values):
    assert rounding_step(np.array(values)) == 0.0


def test_steps_that_do_not_matter():
    assert rounding_step(frame(0.005)) == 0.0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sky", [0.0, 0.3, 0.7])
def test_noise_of_a_rounded_image(step, sky):
    """Sheppard: 1 + step^2 / 12 while the noise is wider than a step; never below step^2 / 12."""
    expected = np.sqrt(1 + step**2 / 12)
    data = frame(step, sky * step)
    for noise in (
        pixel_noise(data, np.zeros(data.shape, dtype=bool)), _sky_noise(data, step)
    ):  # fmt: skip
        if step <= 2:
            # the bright pixels spoil six in a hundred differences
            assert noise == pytest.approx(expected, rel=0.13)
        else:
            # between two steps the scatter is up to half a step
            assert 0.98 * step / np.sqrt(12) < noise < 1.1 * np.hypot(1, step / 2)


def _sky_noise(data, step):
    return max(clipped_level(data.ravel(), step)[1], step / np.sqrt(12))


@pytest.mark.parametrize("step", [0.3, 1.0, 2.0, 3.0])
def test_a_level_between_two_steps_is_found(step):
    for sky in np.linspace(0, 1, 7):
        found, _ = clipped_level(frame(step, sky * step).ravel(), step)
        assert found == pytest.approx(sky * step, abs=0.06 + 3 * level_error(step, 1.0))


@pytest.mark.parametrize("shape", [(10_000,), (100, 120)])
def test_dither_is_even(shape):
    values = dither(shape, 2.0)
    assert values.var() == pytest.approx(4 / 12, rel=0.01)
    assert abs(values.mean()) < 0.01 and np.abs(values).max() <= 1
    assert np.array_equal(values, dither(shape, 2.0))


def test_level_error():
    """Against the mean of rounded Gaussians over all places of the truth."""
    rng = np.random.default_rng(1)
    for step in (2.0, 3.0, 5.0, 20.0):
        places = np.linspace(-step / 2, step / 2, 60)
        noise = rng.normal(size=20_000)
        off = [np.mean(step * np.rint((place + noise) / step)) - place for place in places]
        expected = level_error(step, np.sqrt(1 + step**2 / 12))
        assert np.std(off) == pytest.approx(expected, rel=0.05, abs=0.01)
    assert level_error(20.0, 0.0) == pytest.approx(20 / np.sqrt(12), rel=0.05)
    assert level_error(0.0, 1.0) == 0.0
