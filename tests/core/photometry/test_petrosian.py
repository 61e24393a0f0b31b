"""Petrosian ratios and radii against the Sersic profile's curve of growth."""

from functools import cache

import numpy as np
import pytest
from scipy.optimize import brentq

from galstep.core.imaging.sersic import amplitude, enclosed_fraction, sersic_bn
from galstep.core.photometry.isophotes import Isophotes
from galstep.core.photometry.petrosian import petrosian_radius, petrosian_ratio
from galstep.exceptions import GalstepError, ParameterError
from galstep.records import Aperture

R_EFF, Q, THETA = 18.0, 0.7, 0.8
CENTRE = 100.3, 98.8
SUBSAMPLE = 5


@cache
def sersic_pixels(n):
    """Pixel means of an elliptical Sersic profile of unit flux, without a PSF."""
    grid = (np.arange(200 * SUBSAMPLE) + 0.5) / SUBSAMPLE - 0.5
    dx, dy = grid - CENTRE[0], (grid - CENTRE[1])[:, None]
    cos, sin = np.cos(THETA), np.sin(THETA)
    r = np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / Q) / R_EFF
    fine = amplitude(1.0, R_EFF, n, 1 - Q) * np.exp(-sersic_bn(n) * (r ** (1 / n) - 1))
    return fine.reshape(200, SUBSAMPLE, 200, SUBSAMPLE).mean(axis=(1, 3))


def true_ratio(a, n):
    """dF/dA over F/A of the profile without a PSF."""
    h = 1e-4 * a
    below, here, above = enclosed_fraction(np.array([a - h, a, a + h]) / R_EFF, n)
    return (above - below) / (2 * h) * a / (2 * here)


def similar_ellipses(a_min=3.0, a_max=60.0):
    e, a = (1 - Q) / (1 + Q), np.array([a_min, a_max])
    shape = np.ones(2) * e
    return Isophotes(*CENTRE, a, shape * np.cos(2 * THETA), shape * np.sin(2 * THETA))


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("a", [10.0, 18.0, 40.0])
def test_ratio_is_that_of_the_curve_of_growth(n, a):
    ellipse = Aperture(*CENTRE, a, a * Q, THETA)
    assert petrosian_ratio(sersic_pixels(n), ellipse) == pytest.approx(true_ratio(a, n), abs=3e-3)


# not eta = 0.5 of n >= 2.5: three pixels from the cusp, the pixels themselves are a PSF
@pytest.mark.parametrize(
    ("n", "eta"), [(0.6, 0.2), (0.6, 0.5), (1.0, 0.2), (1.0, 0.5), (2.5, 0.2), (4.0, 0.2)]
)
def test_radius_is_where_the_true_ratio_crosses(n, eta):
    expected = brentq(lambda a: true_ratio(a, n) - eta, 0.5, 100)
    found = petrosian_radius(sersic_pixels(n), similar_ellipses(), eta)
    assert found == pytest.approx(expected, rel=0.01)


def test_ratio_does_not_depend_on_flux_and_masked_pixels_do_not_count():
    image = sersic_pixels(1.0)
    ellipse = Aperture(*CENTRE, 25.0, 25.0 * Q, THETA)
    # both sides alike, so that the means over what is left stay those of the rings
    mask = np.zeros(image.shape, dtype=bool)
    mask[:, 90:110] = mask[90:110] = True
    clean = petrosian_ratio(image, ellipse, mask)
    assert petrosian_ratio(7 * np.where(mask, 1e9, image), ellipse, mask) == pytest.approx(clean)


def test_uniform_light_has_ratio_one_and_no_light_none():
    ellipse = Aperture(30.0, 30.0, 10.0, 8.0, 0.3)
    assert petrosian_ratio(np.ones((61, 61)), ellipse) == pytest.approx(1)
    assert np.isnan(petrosian_ratio(np.zeros((61, 61)), ellipse))
    assert np.isnan(petrosian_ratio(np.ones((61, 61)), ellipse, np.ones((61, 61), bool)))


def test_a_ratio_that_is_not_reached_says_so():
    image = sersic_pixels(4.0)
    with pytest.raises(GalstepError, match=r"is still 0\.\d\d at a = 20.0 px, above 0.1"):
        petrosian_radius(image, similar_ellipses(a_max=20.0), 0.1)
    with pytest.raises(GalstepError, match="is below 0.999 already at a = 0.50 px"):
        petrosian_radius(image, similar_ellipses(), 0.999)
    with pytest.raises(ParameterError, match=r"eta must be in \(0, 1\), got 1"):
        petrosian_radius(image, similar_ellipses(), 1)
