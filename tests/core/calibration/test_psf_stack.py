"""Stacked stars beside the PSF, on stars that are known."""

from dataclasses import replace

import numpy as np
import pytest

from galstep.core.calibration.disc_fit import Frame
from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.psf_stack import encircled_energy, kernel_image, stack_stars
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame, star_positions

WIDTH, LIBRARY_WIDTH = 1.2, 0.8
KERNEL = PsfKernel("gaussian", (WIDTH**2 - LIBRARY_WIDTH**2,))
SHAPE = (150, 150)


def frame_of(width, noise=0.0, level=0.3):
    rng = np.random.default_rng(3)
    x, y = star_positions(rng, 20, SHAPE, 25.0, border=12.0)
    flux = rng.uniform(200, 900, 20)
    image = star_frame(SHAPE, GaussianMixturePSF.gaussian(width), x, y, flux) + level
    image += rng.normal(0, noise, SHAPE)
    array = GaussianMixturePSF.gaussian(LIBRARY_WIDTH).sampled(4, 121)
    variance = np.full(SHAPE, max(noise, 0.01) ** 2)
    library = EffectivePSF.from_array(array, 4)
    return Frame(image, variance, np.ones(SHAPE, bool), library), FieldStars(x, y, flux)


def test_right_kernel_leaves_nothing():
    frame, stars = frame_of(WIDTH)
    stack = stack_stars(frame, KERNEL, stars, np.arange(20))
    assert stack.n_stars == 20
    np.testing.assert_allclose(stack.data, stack.model, atol=2e-4 * stack.model.max())
    expected = np.exp(-(stack.radius**2) / (2 * WIDTH**2)) / (2 * np.pi * WIDTH**2)
    np.testing.assert_allclose(stack.model, expected, atol=0.02 * expected.max())
    assert stack.fwhm == pytest.approx(2.3548 * WIDTH, rel=0.01)
    assert stack.rms_after < 1e-3 < 0.1 < stack.rms_before
    assert np.nanmax(np.abs(stack.after)) < 1e-3


def test_width_of_the_stars_is_theirs_not_the_models():
    frame, stars = frame_of(1.35)
    stack = stack_stars(frame, KERNEL, stars, np.arange(20))
    assert stack.fwhm == pytest.approx(2.3548 * 1.35, rel=0.02)
    assert stack.data[0] < stack.model[0]
    assert stack.rms_after > 0.03


def test_a_wrong_position_and_one_stray_star_do_not_show():
    frame, stars = frame_of(WIDTH)
    moved = FieldStars(stars.x + 0.1, stars.y, stars.flux)
    assert stack_stars(frame, KERNEL, moved, np.arange(20)).rms_after < 0.01
    image = frame.image.copy()
    row, column = int(stars.y[2]) + 6, int(stars.x[2])
    image[row, column] += 60.0
    stack = stack_stars(replace(frame, image=image), KERNEL, stars, np.arange(20))
    np.testing.assert_allclose(stack.data, stack.model, atol=2e-3 * stack.model.max())


def test_errors_are_the_scatter_between_stars():
    frame, stars = frame_of(WIDTH, noise=1.0)
    stack = stack_stars(frame, KERNEL, stars, np.arange(20))
    far = stack.radius > 3
    pulls = ((stack.data - stack.model) / stack.data_err)[far]
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 2.0


def test_kernel_as_an_image():
    image = kernel_image(PsfKernel("elliptical", (0.8, 0.2, 0.5)), 4, 6)
    y, x = (np.indices(image.shape) - 24) / 4
    assert image.shape == (49, 49)
    assert image.sum() == pytest.approx(1.0, abs=1e-6)
    for value, moment in ((0.8, x * x), (0.2, x * y), (0.5, y * y)):
        assert (image * moment).sum() == pytest.approx(value, rel=1e-3)
    point = kernel_image(PsfKernel(), 4, 2)
    assert point[8, 8] == point.sum() == 1.0


def test_encircled_energy_of_a_gaussian():
    psf = EffectivePSF.from_array(GaussianMixturePSF.gaussian(WIDTH).sampled(4, 141), 4)
    radii = np.array([0.5, 1.0, 2.0, 4.0])
    expected = 1 - np.exp(-(radii**2) / (2 * WIDTH**2))
    np.testing.assert_allclose(encircled_energy(psf, radii), expected, rtol=0.01)
