"""The zero-sum filter and its peaks; stars at known positions."""

import numpy as np

from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.star_peaks import find_star_peaks, forced_stars, zero_sum_filter
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import star_image

SHAPE = (80, 90)
PSF = default_psf("F150W")
EFFECTIVE = EffectivePSF.from_array(PSF.sampled(4, 121), 4)
RENDERER, FWHM = StarRenderer(EFFECTIVE), EFFECTIVE.fwhm
GOOD = np.ones(SHAPE, bool)
NOISE = np.random.default_rng(8).normal(0, 0.05, SHAPE)

X, Y = np.array([20.3, 55.8, 70.1, 40.0]), np.array([15.6, 44.2, 60.5, 30.4])
FLUX = np.array([40.0, 20.0, 10.0, 5.0])


def test_filter_sums_to_zero_and_measures_a_star():
    kernel, response = zero_sum_filter(RENDERER, FWHM)
    assert abs(kernel.sum()) < 1e-12
    h = kernel.shape[0] // 2
    star = star_image(kernel.shape, PSF, [h], [h], [1.0])
    assert np.isclose((kernel * star).sum(), response, rtol=1e-3)


def test_peaks_are_the_stars_brightest_first():
    image = star_image(SHAPE, PSF, X, Y, FLUX) + NOISE
    found = find_star_peaks(image, GOOD, RENDERER, FWHM, 6.0)
    assert len(found) == 4
    np.testing.assert_allclose(found.x, X, atol=0.1)
    np.testing.assert_allclose(found.y, Y, atol=0.1)
    np.testing.assert_allclose(found.flux, FLUX, rtol=0.15)


def test_smooth_light_is_not_seen():
    yy, xx = np.indices(SHAPE)
    stars = star_image(SHAPE, PSF, X, Y, FLUX) + NOISE
    plain = find_star_peaks(stars, GOOD, RENDERER, FWHM, 6.0)
    on_slope = find_star_peaks(stars + 100 + 0.3 * xx - 0.2 * yy, GOOD, RENDERER, FWHM, 6.0)
    inner = (on_slope.x > 8) & (on_slope.x < 82) & (on_slope.y > 8) & (on_slope.y < 72)
    np.testing.assert_allclose(np.sort(on_slope.flux[inner])[-4:], np.sort(plain.flux), rtol=0.02)


def test_only_good_pixels_are_searched():
    image = star_image(SHAPE, PSF, X, Y, FLUX) + NOISE
    good = GOOD.copy()
    good[10:21, 15:26] = False
    found = find_star_peaks(image, good, RENDERER, FWHM, 6.0)
    assert np.all(np.hypot(found.x - X[0], found.y - Y[0]) > 4)
    assert len(find_star_peaks(image, ~GOOD, RENDERER, FWHM, 6.0)) == 0


def forced(image, x, y):
    return forced_stars(image, np.full(SHAPE, 0.05**2), GOOD, RENDERER, FWHM, (x, y))


def test_known_positions_are_moved_by_the_offset_between_filters():
    image = star_image(SHAPE, PSF, X, Y, FLUX) + NOISE
    stars, rest = forced(image, X - 0.4, Y + 0.3)
    np.testing.assert_allclose(stars.x, X, atol=0.06)
    np.testing.assert_allclose(stars.y, Y, atol=0.06)
    np.testing.assert_allclose(stars.flux, FLUX, rtol=0.05)
    assert rest.std() < 1.3 * 0.05


def test_position_without_star_gets_no_flux():
    image = star_image(SHAPE, PSF, X, Y, FLUX) + NOISE
    stars, _ = forced(image, np.append(X, 10.0), np.append(Y, 70.0))
    assert stars.flux[4] < 3 * 0.05 * np.sqrt(PSF.noise_area)


def test_positions_off_the_frame_are_dropped():
    stars, _ = forced(NOISE, np.array([-50.0, 40.0]), np.array([40.0, 200.0]))
    assert isinstance(stars, FieldStars)
    assert len(stars) == 0
