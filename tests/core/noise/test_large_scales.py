"""Scales larger than the frame: continued from those that it shows, never lowered."""

import numpy as np
import pytest

from galstep.core.noise.large_scales import FIRST_RING, continued_power
from galstep.core.noise.noise_power import NoisePower
from galstep.core.noise.scene_noise import SceneNoise

SHAPE = (60, 64)


def wave_number():
    fy, fx = np.fft.fftfreq(SHAPE[0]), np.fft.rfftfreq(SHAPE[1])
    return 64 * np.hypot(fy[:, None], fx)


def ring():
    return np.rint(wave_number()).astype(int)


def noise_of(*powers, cross=None):
    matrix = [[None] * len(powers) for _ in powers]
    for i, own in enumerate(powers):
        for j in range(len(powers)):
            matrix[i][j] = own if i == j else cross
    return SceneNoise(((tuple(range(len(powers))), NoisePower(matrix, SHAPE)),))


def continued(*powers, cross=None):
    return continued_power(noise_of(*powers, cross=cross)).groups[0][1].power


def test_white_noise_is_left_as_it_is():
    (own,) = continued(np.full_like(wave_number(), 2.0))
    np.testing.assert_allclose(own[0], 2.0)


@pytest.mark.parametrize("slope", [-0.5, -1.5, -2.5])
def test_red_noise_without_its_largest_scales_gets_them_back(slope):
    true = np.maximum(ring(), 0.5) ** slope
    lost = np.where(ring() < FIRST_RING, 0.1 * true, true)
    (own,) = continued(lost)
    np.testing.assert_allclose(own[0], true, rtol=1e-9)


def test_more_than_the_continuation_stays():
    power = np.where(ring() < FIRST_RING, 50.0, 1.0)
    (own,) = continued(power)
    np.testing.assert_allclose(own[0], power)


def test_blue_noise_is_not_continued_downwards():
    # what falls towards large scales is held at the level of the rings that are shown
    power = np.maximum(ring(), 0.5) ** 1.0
    (own,) = continued(power)
    assert (own[0] >= power).all()
    low = own[0][ring() < FIRST_RING]
    assert low.min() == pytest.approx(low.max())
    assert FIRST_RING < low.max() < 9


def test_filters_share_on_large_scales_what_they_share_on_others():
    true = np.maximum(ring(), 0.5) ** -2.0
    hidden = ring() < FIRST_RING
    lost = np.where(hidden, 0.1 * true, true)
    # the cross power, in which nothing was lost, would now be more than there is
    cross = 0.6 * 2 * true
    result = continued(lost, 4 * lost, cross=cross)
    np.testing.assert_allclose(result[1][1], 4 * true, rtol=1e-9)
    np.testing.assert_allclose(result[0][1], cross, rtol=1e-9)
    assert result[0][1] is result[1][0]


def test_cross_powers_stay_where_nothing_is_raised():
    white, cross = (
        np.ones_like(wave_number()),
        np.random.default_rng(1).normal(0, 0.1, ring().shape),
    )
    result = continued(white, white, cross=cross)
    np.testing.assert_array_equal(result[0][1], cross)


def test_what_is_between_grids_is_handed_on():
    noise = noise_of(np.ones_like(wave_number()))
    between = NoisePower([[np.ones((4, 3))]], (4, 4))
    assert continued_power(SceneNoise(noise.groups, between)).between is between


def test_no_power_at_all():
    (own,) = continued(np.zeros_like(wave_number()))
    np.testing.assert_array_equal(own[0], 0.0)
