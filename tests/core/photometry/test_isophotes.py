"""Isophotes of galaxies whose isophotes are known."""

import numpy as np
import pytest

from galstep.core.imaging.sersic import amplitude, enclosed_fraction, sersic_bn
from galstep.core.photometry.isophotes import Isophotes, data_isophotes, model_isophotes
from galstep.exceptions import GalstepError, InputError, ParameterError
from galstep.records import Aperture, SersicParams
from galstep.testing.psfs import default_psf
from galstep.testing.real_space import SersicImage

FRACTIONS = np.linspace(0.1, 0.9, 9)


def sersic_image(params, shape=(201, 221), flux=1.0):
    """A Sersic profile at the pixels' centres."""
    y, x = np.indices(shape)
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    dx, dy = x - params.x_0, y - params.y_0
    r = np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - params.ellip)) / params.r_eff
    peak = amplitude(flux, params.r_eff, params.n, params.ellip)
    return peak * np.exp(-sersic_bn(params.n) * (r ** (1 / params.n) - 1))


@pytest.mark.parametrize("ellip", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("theta", [0.0, 0.9, 2.5])
def test_shape_and_enclosed_light_of_a_sersic_profile(ellip, theta):
    truth = SersicParams(108.3, 99.6, 22.0, 1.0, ellip, theta)
    found = model_isophotes(sersic_image(truth), truth.x_0, truth.y_0, FRACTIONS, 1.0)
    assert len(found) == len(FRACTIONS)
    np.testing.assert_allclose(enclosed_fraction(found.a / 22.0, 1.0), FRACTIONS, atol=0.01)
    e = ellip / (2 - ellip)
    np.testing.assert_allclose(found.e1, e * np.cos(2 * theta), atol=5e-3)
    np.testing.assert_allclose(found.e2, e * np.sin(2 * theta), atol=5e-3)


def test_a_psf_rounds_the_inner_isophotes_and_not_the_outer():
    truth = SersicParams(60.2, 59.7, 12.0, 1.5, 0.5, 0.6)
    psf = default_psf("F277W")
    image = SersicImage(truth, (121, 121), psf.reach()).seen_through(psf)
    found = model_isophotes(image, truth.x_0, truth.y_0, [0.05, 0.3, 0.8], 1.0)
    q = np.array([(ellipse := found.at(a)).b / ellipse.a for a in found.a])
    assert (np.diff(q) < 0).all()
    assert q[0] > 0.6
    assert q[-1] == pytest.approx(0.5, abs=0.03)


def test_interpolated_ellipse_keeps_its_shape_beyond_the_ends():
    family = Isophotes(5.0, 6.0, np.array([2.0, 4.0]), np.array([0.1, 0.3]), np.array([0.0, 0.0]))
    middle, outer = family.at(3.0), family.at(8.0)
    assert (middle.x, middle.y, middle.a, middle.theta) == (5, 6, 3, 0)
    assert middle.b == pytest.approx(3 * 0.8 / 1.2)
    assert outer.b == pytest.approx(8 * 0.7 / 1.3)


def test_isophotes_that_leave_the_frame_are_dropped():
    truth = SersicParams(30.0, 30.0, 20.0, 1.0, 0.0, 0.0)
    image = sersic_image(truth, (61, 61))
    found = model_isophotes(image, 30.0, 30.0, FRACTIONS, 1.0)
    assert 0 < len(found) < len(FRACTIONS)
    assert found.a.max() <= 30
    with pytest.raises(GalstepError, match="no isophote of the model galaxy lies on the frame"):
        model_isophotes(image, 30.0, 30.0, [0.99], 1.0)


def test_what_cannot_be_used_is_refused():
    image = sersic_image(SersicParams(20.0, 20.0, 5.0, 1.0, 0.0, 0.0), (41, 41))
    with pytest.raises(ParameterError, match=r"must lie in \(0, 1\) and increase"):
        model_isophotes(image, 20.0, 20.0, [0.5, 0.2], 1.0)
    with pytest.raises(InputError, match="total positive, got total = 0"):
        model_isophotes(image, 20.0, 20.0, [0.5], 0.0)
    with pytest.raises(InputError, match="image must be finite"):
        model_isophotes(np.full((9, 9), np.nan), 4.0, 4.0, [0.5], 1.0)
    with pytest.raises(InputError, match=r"inside the frame, got \(60, 20\)"):
        model_isophotes(image, 60.0, 20.0, [0.5], 1.0)


def test_noisy_data_give_the_same_ellipses():
    truth = SersicParams(70.4, 69.8, 15.0, 1.0, 0.35, 1.1)
    image = sersic_image(truth, (141, 141), flux=1000.0)
    image += np.random.default_rng(2).normal(0, 0.005, image.shape)
    found = data_isophotes(image, Aperture(70.4, 69.8, 12.0, 9.0, 1.0), 4.0, 30.0)
    middle = found.at(15.0)
    assert middle.b / middle.a == pytest.approx(0.65, abs=0.02)
    assert middle.theta == pytest.approx(1.1, abs=0.03)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_data_without_a_galaxy_have_no_isophotes(noise):
    data = noise * np.random.default_rng(0).normal(size=(61, 61))
    with pytest.raises(GalstepError, match="could be fitted to the data"):
        data_isophotes(data, Aperture(30, 30, 9, 6, 0.3), 2.0, 25.0)
