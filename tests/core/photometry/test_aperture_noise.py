"""Empty apertures on noise whose statistics are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from galstep.core.photometry.aperture_noise import empty_apertures
from galstep.core.photometry.apertures import aperture_sum
from galstep.records import Aperture

SHAPE = (220, 240)
ELLIPSE = Aperture(120.3, 108.8, 9.0, 6.0, 0.5)


def white(seed=0, sigma=1.0, shape=SHAPE):
    return np.random.default_rng(seed).normal(0, sigma, shape)


def no_mask(image):
    return np.zeros(image.shape, dtype=bool)


def test_white_noise_adds_up_as_the_root_of_the_area():
    empty = empty_apertures(white(sigma=0.3), no_mask(white()), ELLIPSE)
    # positions in a frame of this size: about 280 independent ones
    assert empty.scatter == pytest.approx(0.3 * np.sqrt(np.pi * 54), rel=0.12)
    # centres anywhere but in the zone of 16 times the aperture's area
    assert empty.n_independent == pytest.approx(220 * 240 / (np.pi * 54) - 16, rel=0.1)
    assert empty.scale == 1
    assert abs(empty.level) < 4 * empty.level_err


@pytest.mark.parametrize("size", [1.0, 3.0, 7.0])
def test_scatter_is_that_of_the_sum_it_stands_for(size):
    """In correlated noise, and where only smaller apertures fit (``size`` 7)."""
    ellipse = Aperture(ELLIPSE.x, ELLIPSE.y, 9.0 * size, 6.0 * size, 0.5)
    sums, claimed = [], []
    for seed in range(30):
        noise = gaussian_filter(white(seed), 1.5, mode="wrap")
        sums.append(aperture_sum(noise, ellipse)[0])
        claimed.append(empty_apertures(noise, no_mask(noise), ellipse).scatter)
    # 30 draws: 13 % of a standard deviation; three of them
    assert np.mean(claimed) == pytest.approx(np.std(sums), rel=0.4)


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_level_and_scatter_follow_scale_and_offset(factor):
    noise = white(4)
    first = empty_apertures(noise, no_mask(noise), ELLIPSE)
    other = empty_apertures(factor * (noise + 5), no_mask(noise), ELLIPSE)
    assert other.scatter == pytest.approx(factor * first.scatter)
    assert other.level == pytest.approx(factor * (first.level + 5))
    assert other.level_err == pytest.approx(factor * first.level_err)


def test_the_galaxy_and_masked_pixels_are_kept_out():
    noise = white(2)
    clean = empty_apertures(noise, no_mask(noise), ELLIPSE)
    y, x = np.indices(SHAPE)
    spoilt = noise + 1e3 * (np.hypot(x - 120.3, y - 108.8) < 15)
    mask = no_mask(noise)
    mask[:20, :20] = True
    spoilt[mask] = np.nan
    found = empty_apertures(spoilt, mask, ELLIPSE)
    assert found.scatter == pytest.approx(clean.scatter, rel=0.05)
    assert found.level == pytest.approx(clean.level, abs=2 * clean.level_err)


def test_the_zone_shrinks_before_the_apertures_do():
    noise = white(3)
    medium = Aperture(120.0, 110.0, 26.0, 26.0, 0.0)
    assert empty_apertures(noise, no_mask(noise), medium, center_mask=50.0).scale == 1
    large = Aperture(120.0, 110.0, 60.0, 60.0, 0.0)
    found = empty_apertures(noise, no_mask(noise), large)
    assert found.scale < 1
    assert found.scatter == pytest.approx(np.sqrt(np.pi) * 60, rel=0.5)


@pytest.mark.parametrize("radius", [150.0, 1000.0])
def test_no_answer_where_nothing_fits(radius):
    noise = white()
    assert empty_apertures(noise, no_mask(noise), Aperture(120, 110, radius, radius, 0)) is None


def test_no_answer_without_good_pixels():
    nothing = np.full(SHAPE, np.nan)
    assert empty_apertures(nothing, np.isnan(nothing), ELLIPSE) is None


def test_the_same_image_gives_the_same_numbers():
    noise = white(9)
    first, second = (empty_apertures(noise, no_mask(noise), ELLIPSE) for _ in range(2))
    assert first == second
