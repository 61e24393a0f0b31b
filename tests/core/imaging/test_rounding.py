"""The step of rounded numbers, and the noise of images of any step."""

import numpy as np
import pytest

from galstep.core.imaging.background import pixel_noise
from galstep.core.imaging.rounding import (
    dither,
    is_lost,
    level_error,
    light_error,
    rounding_covariance,
    rounding_step,
)
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


def test_the_error_of_any_linear_number():
    """Against rounded scenes at all places within a step, with noise and without."""
    rng = np.random.default_rng(3)
    x = np.arange(-15.0, 16.0)
    profile = np.exp(-0.5 * (x / 2.5) ** 2)
    profile /= profile.sum()
    columns = np.array([profile, np.ones_like(x)])
    influence = np.linalg.solve(columns @ columns.T, columns)  # of flux and level
    for step, noise, flux in ((5.0, 0.0, 60.0), (5.0, 1.0, 300.0), (3.0, 1.0, 60.0)):
        light = flux * profile
        places = (np.arange(400) + 0.5) / 400 * step
        off = []
        for place in places:
            drawn = light + place + noise * rng.normal(size=(300, x.size))
            mean = (step * np.rint(drawn / step)).mean(axis=0)
            off.append(influence @ mean - [flux, place])
        scatter = np.hypot(noise, step / np.sqrt(12))
        found = rounding_covariance(influence, light, step, scatter)
        # of the mean of 300: noise, and what it makes of the rounding
        shot = (noise > 0) * scatter**2 / 300 * influence @ influence.T
        expected = np.mean([np.outer(d, d) for d in off], axis=0) - shot
        assert np.allclose(np.mean(off, axis=0), 0, atol=0.01 + 5 * np.sqrt(shot.max() / 400))
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert np.abs((found - expected) / scale).max() < 0.12
    assert not rounding_covariance(influence, light, 0.0, 1.0).any()


@pytest.mark.parametrize("k", [1.0, 1e-20, 1e6])
def test_the_error_of_a_star(k):
    """Rounded stars at all places of a flat sky, the level that of the sky's own pixels."""
    y, x = np.indices((31, 31)) - 15.0
    moved = [(0.1, 0.2), (0.35, 0.45), (0.8, 0.6)]
    profiles = np.array([np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8).ravel() for a, b in moved])
    profiles /= profiles.sum(axis=1, keepdims=True)
    flux, step = np.array([150.0, 400.0, 3000.0]), 10.0
    square = []
    for f in flux:
        for p in profiles:
            for place in (np.arange(60) + 0.5) / 60 * step:
                off = step * (np.rint((f * p + place) / step) - np.rint(place / step)) - f * p
                square.append((p @ off / (p @ p)) ** 2)
    expected = np.sqrt(np.reshape(square, (len(flux), -1)).mean(axis=1))
    # without noise the scatter is that of the rounding
    found = light_error(profiles, k * flux, k * step, k * step / np.sqrt(12))
    assert np.allclose(found / k, expected, rtol=0.05)
    assert np.array_equal(light_error(profiles, flux, 0.0, 1.0), np.zeros(3))
    assert np.isnan(light_error(profiles, np.array([np.nan, 1.0]), step, 3.0)[0])


def test_which_steps_are_lost():
    """A tenth of the first term is left at steps of 2.93 sigma."""
    scatters = {step: np.sqrt(1 + step**2 / 12) for step in (0.1, 2.9, 3.0, 10.0)}
    assert [is_lost(step, scatter) for step, scatter in scatters.items()] == [
        False, False, True, True,
    ]  # fmt: skip
    assert not is_lost(0.0, 1.0)
