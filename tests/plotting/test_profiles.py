"""Profiles in elliptical annuli against profiles that are known."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from galstep.plotting.profiles import (
    RadialProfile,
    draw_profile,
    draw_profile_residual,
    elliptical_radius,
    radial_profile,
)
from galstep.records import SersicParams

PARAMS = SersicParams(40.2, 35.7, 8.0, 1.0, 0.4, 0.6)
SHAPE = (75, 85)


def test_elliptical_radius_on_the_axes_of_the_ellipse():
    radius = elliptical_radius((81, 81), SersicParams(40.0, 40.0, 8.0, 1.0, 0.5, np.pi / 2))
    assert radius[50, 40] == pytest.approx(10)  # along the major axis, here y
    assert radius[40, 50] == pytest.approx(20)


def test_profile_of_a_function_of_the_radius_is_that_function():
    image = np.exp(-elliptical_radius(SHAPE, PARAMS) / 15)
    sigma = np.full(SHAPE, 0.01)
    no_mask = np.zeros(SHAPE, bool)
    profile = radial_profile(image, sigma, 2 * image, no_mask, PARAMS, 30)
    np.testing.assert_allclose(profile.data, np.exp(-profile.radius / 15), rtol=6e-3)
    np.testing.assert_allclose(profile.model, 2 * profile.data)
    assert profile.radius.max() < 34
    assert np.all(np.diff(profile.radius) > 0)


def test_error_is_the_scatter_of_the_means():
    rng = np.random.default_rng(1)
    sigma, zero, no_mask = np.full(SHAPE, 0.3), np.zeros(SHAPE), np.zeros(SHAPE, bool)
    pulls = []
    for _ in range(60):
        profile = radial_profile(rng.normal(0, 0.3, SHAPE), sigma, zero, no_mask, PARAMS, 25)
        pulls.append(profile.data / profile.err)
    # 60 draws of about 18 annuli: the std is known to 2 per cent
    assert np.std(pulls) == pytest.approx(1, abs=0.08)


def test_error_knows_of_correlated_noise():
    """Noise over six pixels: its annuli scatter several times more than white ones."""
    rng = np.random.default_rng(3)
    zero, no_mask = np.zeros(SHAPE), np.zeros(SHAPE, bool)
    pulls, white = [], []
    for _ in range(40):
        noise = gaussian_filter(rng.normal(size=SHAPE), 2)
        sigma = np.full(SHAPE, noise.std())
        profile = radial_profile(noise, sigma, zero, no_mask, PARAMS, 25)
        outer = profile.radius > 12  # where sectors are wider than the noise
        pulls.append((profile.data / profile.err)[outer])
        # an annulus of a pixel's width, or a tenth of its radius
        pixels = 2 * np.pi * 0.6 * profile.radius * np.maximum(1, 0.1 * profile.radius)
        white.append((profile.data / noise.std() * np.sqrt(pixels))[outer])
    # neighbouring sectors still share some of it
    assert 0.8 < np.std(pulls) < 2
    assert np.std(white) > 2 * np.std(pulls)


def test_residual_is_relative_and_in_view():
    axes = Figure().add_subplot()
    radius = np.arange(1.0, 21.0)
    model = np.exp(-radius / 5)
    profile = RadialProfile(radius, 1.05 * model, 0.01 * model, model)
    draw_profile_residual(axes, profile, 5.0, None)
    points = next(line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_ydata(), 5)
    assert axes.get_ylim()[1] > 6


def test_masked_pixels_do_not_count():
    image = np.ones(SHAPE)
    mask = np.zeros(SHAPE, bool)
    image[:, 45:], mask[:, 45:] = np.nan, True
    image[:10], mask[:10] = 1e6, True
    profile = radial_profile(image, np.ones(SHAPE), image, mask, PARAMS, 30)
    np.testing.assert_allclose(profile.data, 1)


def test_points_that_are_not_positive_become_limits():
    axes = Figure().add_subplot()
    image = np.exp(-elliptical_radius(SHAPE, PARAMS) / 3) - 1e-3
    profile = radial_profile(
        image, np.full(SHAPE, 0.01), image + 1e-3, np.zeros(SHAPE, bool), PARAMS, 30
    )
    draw_profile(axes, profile, 8.0, None, "MJy/sr")
    limits = next(line for line in axes.lines if line.get_marker() == "v")
    assert len(limits.get_xdata()) == np.sum(profile.data <= 0) > 0
    np.testing.assert_allclose(limits.get_ydata(), 2 * profile.err[profile.data <= 0])


@pytest.mark.parametrize(("error", "bottom"), [(1e-6, 0.3), (2.0, 1.0)])
def test_brightness_axis_starts_at_the_faintest_point_or_the_noise(error, bottom):
    axes = Figure().add_subplot()
    radius = np.arange(1.0, 6.0)
    data = np.array([50.0, 20.0, 10.0, 4.0, 1.0])
    draw_profile(axes, RadialProfile(radius, data, np.full(5, error), data), 2.0, 3.0, "MJy/sr")
    assert axes.get_ylim() == pytest.approx((bottom, 100.0))
    marks = sorted(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2)
    assert marks == [2.0, 3.0, 4.0]
