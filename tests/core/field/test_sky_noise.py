"""The noise of the sky of large images, measured on a part of their rows."""

import numpy as np
import pytest

from galstep.core.field.sky_noise import sky_noise, typical_error


def nothing_bad(part):
    return np.s_[:0], np.s_[:0]


def test_white_noise_on_a_slope_with_stars():
    rng = np.random.default_rng(3)
    data = rng.normal(0, 2.0, (400, 300)) + 0.05 * np.arange(300)
    data[::40, ::30] += 500.0
    assert sky_noise(data, nothing_bad) == pytest.approx(2.0, rel=0.02)


def test_bad_pixels_have_no_part():
    rng = np.random.default_rng(4)
    data, bad = rng.normal(0, 2.0, (400, 300)), np.zeros((400, 300), bool)
    data[:, 150:], bad[:, 150:] = 30 * data[:, 150:], True
    assert sky_noise(data, lambda part: bad[part]) == pytest.approx(2.0, rel=0.03)
    bad[:] = True
    assert np.isnan(sky_noise(data, lambda part: bad[part]))


def test_the_error_of_a_quiet_pixel():
    error = np.full((300, 200), 2.0)
    error[:20] = 50.0
    bad = np.zeros(error.shape, bool)
    assert typical_error(error, lambda part: bad[part]) == 2.0
