"""Joint steps of all stars of a frame, against analytic stars."""

import numpy as np
import pytest

from galstep.core.calibration.field_stars import (
    FieldStars,
    box_medians,
    refine_stars,
    rendering_half_sizes,
)
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import star_image

SHAPE = (90, 100)
PSF = default_psf("F150W")
RENDERER = StarRenderer(EffectivePSF.from_array(PSF.sampled(4, 121), 4))


def random_stars(n_stars, seed):
    rng = np.random.default_rng(seed)
    ny, nx = SHAPE
    x, y = rng.uniform(4, nx - 5, n_stars), rng.uniform(4, ny - 5, n_stars)
    return FieldStars(x, y, rng.uniform(20, 200, n_stars))


def refine(image, stars, variance=1e-4, good=None, **how):
    good = np.ones(SHAPE, bool) if good is None else good
    return refine_stars(image, np.full(SHAPE, variance), good, RENDERER, stars, **how)


def test_stars_off_by_a_fraction_of_a_pixel_come_back():
    truth = random_stars(25, seed=1)
    image = star_image(SHAPE, PSF, truth.x, truth.y, truth.flux)
    start = FieldStars(truth.x + 0.3, truth.y - 0.2, 0.7 * truth.flux)
    found, rest = refine(image, start, steps=12)
    np.testing.assert_allclose(found.x, truth.x, atol=2e-3)
    np.testing.assert_allclose(found.y, truth.y, atol=2e-3)
    np.testing.assert_allclose(found.flux, truth.flux, rtol=3e-3)
    assert np.abs(rest).max() < 5e-3 * image.max()


def test_fluxes_at_held_positions_are_linear():
    truth = random_stars(40, seed=2)
    image = star_image(SHAPE, PSF, truth.x, truth.y, truth.flux)
    start = FieldStars(truth.x, truth.y, np.zeros(len(truth)))
    first, _ = refine(image, start, move=False)
    # the level under the stars is known only once they are
    found, _ = refine(image, first, steps=2, move=False)
    np.testing.assert_array_equal(found.x, truth.x)
    np.testing.assert_allclose(found.flux, truth.flux, rtol=5e-3)


def test_fluxes_do_not_become_negative():
    truth = random_stars(3, seed=3)
    image = -star_image(SHAPE, PSF, truth.x, truth.y, truth.flux)
    found, _ = refine(image, truth, steps=2, move=False)
    np.testing.assert_array_equal(found.flux, 0.0)


def test_bad_pixels_do_not_count():
    truth = random_stars(10, seed=4)
    image = star_image(SHAPE, PSF, truth.x, truth.y, truth.flux)
    good = np.ones(SHAPE, bool)
    good[:, 50:53] = False
    spoiled = np.where(good, image, 1e4)
    start = FieldStars(truth.x, truth.y, 0.5 * truth.flux)
    found, _ = refine(spoiled, start, good=good, steps=4, move=False)
    far = np.abs(truth.x - 51) > 3
    np.testing.assert_allclose(found.flux[far], truth.flux[far], rtol=5e-3)


def test_no_stars_leave_the_image():
    image = np.random.default_rng(0).normal(size=SHAPE)
    found, rest = refine(image, FieldStars())
    assert len(found) == 0
    np.testing.assert_array_equal(rest, image)


def test_half_sizes_leave_less_than_the_level_outside():
    flux = np.array([1e-3, 1.0, 30.0, 1e3, 1e9])
    sizes = rendering_half_sizes(RENDERER, flux, 0.01)
    assert np.all(np.diff(sizes) >= 0)
    assert sizes[0] == 4
    assert sizes[-1] == RENDERER.half_size
    for f, half in zip(flux[:-1], sizes[:-1], strict=True):
        outside = np.linspace(half + 0.5, 15, 50)
        assert (f * PSF(outside, 0.0)).max() < 0.01 * 1.01


@pytest.mark.parametrize("size", [16, 32])
def test_box_medians_follow_a_plane_under_outliers(size):
    yy, xx = np.indices(SHAPE)
    image = 0.1 * xx - 0.05 * yy
    spoiled = image.copy()
    spoiled[::7, ::5] = 1e3
    good = np.ones(SHAPE, bool)
    good[:10] = False
    level = box_medians(spoiled, good, size)
    inner = np.s_[size:-size, size:-size]
    assert np.abs(level - image)[inner].max() < 0.3


def test_box_medians_without_data():
    np.testing.assert_array_equal(box_medians(np.ones(SHAPE), np.zeros(SHAPE, bool)), 0.0)


def test_lists_of_stars():
    stars = random_stars(5, seed=7)
    two = stars.select([0, 1])
    moved = FieldStars(two.x + 1, two.y, two.flux)
    replaced = stars.replaced(np.array([True, True, False, False, False]), moved)
    np.testing.assert_array_equal(replaced.x - stars.x, [1, 1, 0, 0, 0])
    assert len(stars.joined(two)) == 7
    assert len(stars.away_from(two, 0.5)) == 3
    assert stars.away_from(FieldStars(), 1.0) is stars


@pytest.mark.parametrize("bound", [0.0, 0.05, 3.0])
def test_a_step_is_no_longer_than_it_may_be(bound):
    x, y = np.array([20.0, 40.0]), np.array([25.0, 35.0])
    image = RENDERER.render(SHAPE, x, y, np.array([500.0, 900.0]))
    start = FieldStars(x + 0.3, y - 0.2, np.array([450.0, 800.0]))
    found, _ = refine(image, start, max_move=bound, move=bound > 0)
    moved = np.hypot(found.x - start.x, found.y - start.y)
    assert np.abs(found.x - start.x).max() <= bound + 1e-12
    assert (moved > 0).all() == (bound > 0)
    if bound > 1:
        np.testing.assert_allclose(found.x, x, atol=0.05)
