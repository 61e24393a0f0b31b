"""Kernels between PSFs that are known, and what they make of a galaxy."""

import numpy as np
import pytest
from gaussian_galaxy import GAUSSIAN_GALAXY, SHAPE, circle, gaussian_psf, gaussian_share

from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.core.photometry.apertures import bounding_box
from galstep.core.photometry.psf_matching import blurred_correction, matching_kernel
from galstep.exceptions import GalstepError
from galstep.records import SersicFit

SHARP, WIDE = gaussian_psf(1.2), gaussian_psf(2.5)


def galaxy(psf=SHARP):
    return GalaxyLight([SersicFit(GAUSSIAN_GALAXY, 1.0)], psf, SHAPE, [circle(60.0)])


def image():
    """The whole frame of the galaxy."""
    frame = circle(45.0)
    box, whole = bounding_box(frame), np.zeros(SHAPE)
    whole[box.iymin : box.iymax, box.ixmin : box.ixmax] = galaxy().stamp(frame)
    return whole


def correction(picture, mask=None, radius=5.0, target=WIDE):
    mask = np.zeros(SHAPE, bool) if mask is None else mask
    return blurred_correction(picture, mask, circle(radius), galaxy().stamp, SHARP, target)


def test_the_kernel_between_gaussians_is_their_difference():
    kernel = matching_kernel(SHARP, WIDE)
    assert kernel.sum() == pytest.approx(1)
    y, x = np.indices(kernel.shape) - (len(kernel) - 1) / 2
    # sigma^2 adds up; the missing frequencies cost a few per cent
    assert (kernel * x**2).sum() == pytest.approx(2.5**2 - 1.2**2, rel=0.05)
    assert (kernel * y * x).sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("radius", [4.0, 8.0])
def test_correction_is_that_of_the_gaussians(radius):
    expected = 2.5 * np.log10(gaussian_share(radius, 2.5) / gaussian_share(radius, 1.2))
    assert expected < -0.03
    assert correction(image(), radius=radius) == pytest.approx(expected, abs=0.004)


def test_it_works_towards_a_sharper_psf():
    expected = 2.5 * np.log10(gaussian_share(5.0, 0.9) / gaussian_share(5.0, 1.2))
    found = correction(image(), target=gaussian_psf(0.9))
    # what the wider PSF does not pass cannot be brought back
    assert found == pytest.approx(expected, abs=0.01)
    assert found > 0.005


def test_masked_pixels_are_filled():
    mask = np.zeros(SHAPE, bool)
    mask[47:49] = True
    spoilt = np.where(mask, np.nan, image())
    assert correction(spoilt, mask) == pytest.approx(correction(image()), abs=0.01)


def test_the_same_psf_needs_no_correction():
    assert correction(image(), target=SHARP) == pytest.approx(0, abs=0.003)


def test_without_light_there_is_none():
    with pytest.raises(GalstepError, match="no light in the aperture of the correction"):
        correction(-image())
