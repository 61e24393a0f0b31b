"""The Petrosian aperture of galaxies whose Petrosian radius is known."""

import numpy as np
import pytest
from scipy.optimize import brentq

from galstep.core.imaging.sersic import enclosed_fraction
from galstep.core.photometry.galaxy_aperture import define_aperture
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import ParameterError
from galstep.records import SersicFit, SersicParams
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.real_space import SersicImage

SHAPE = (201, 211)
MIXTURE = GaussianMixturePSF.gaussian(1.0)
PSF = EffectivePSF.from_array(MIXTURE.sampled(4, 65), 4)


def galaxy(n=1.0, r_eff=14.0, ellip=0.35, theta=0.8):
    return SersicFit(SersicParams(104.3, 99.6, r_eff, n, ellip, theta), flux=80.0)


def petrosian(n, eta):
    """Petrosian radius over r_eff of a Sersic profile without a PSF: dF/dA = eta F/A."""

    def excess(x):
        below, here, above = enclosed_fraction(np.array([0.999, 1.0, 1.001]) * x, n)
        return (above - below) / 0.002 / (2 * here) - eta

    return brentq(excess, 0.02, 10)


@pytest.mark.parametrize(("n", "eta"), [(1.0, 0.5), (1.0, 0.2), (2.5, 0.2)])
def test_aperture_of_a_galaxy_much_wider_than_the_psf(n, eta):
    fit = galaxy(n)
    found = define_aperture([fit], PSF, SHAPE, eta)
    assert found.reason == ""
    assert found.petrosian_radius == pytest.approx(14.0 * petrosian(n, eta), rel=0.02)
    ellipse = found.aperture
    assert (ellipse.x, ellipse.y) == (104.3, 99.6)
    assert ellipse.a == found.petrosian_radius
    assert ellipse.b / ellipse.a == pytest.approx(0.65, abs=0.02)
    assert ellipse.theta == pytest.approx(0.8, abs=0.01)


def test_it_does_not_depend_on_flux_or_place():
    first = define_aperture([galaxy()], PSF, SHAPE, 0.3)
    params = galaxy().params.moved(-90.0, 80.0)
    other = define_aperture([SersicFit(params, flux=-1.0)], PSF, SHAPE, 0.3)
    assert other.petrosian_radius == pytest.approx(first.petrosian_radius)
    assert (other.aperture.x, other.aperture.y) == pytest.approx((14.3, 179.6))


def test_isophotes_hold_the_shares_that_were_asked_for():
    found = define_aperture([galaxy()], PSF, SHAPE, 0.3, frac_min=0.3, frac_max=0.8).isophotes
    shares = enclosed_fraction(found.a[[0, -1]] / 14.0, 1.0)
    np.testing.assert_allclose(shares, [0.3, 0.8], atol=0.015)


def test_a_ratio_that_is_not_reached_gives_the_outermost_isophote_and_says_so():
    found = define_aperture([galaxy(4.0)], PSF, SHAPE, 0.05, frac_max=0.6)
    assert np.isnan(found.petrosian_radius)
    assert found.aperture.a == found.isophotes.a[-1]
    assert "aperture is the outermost isophote: the Petrosian ratio is still" in found.reason


@pytest.mark.parametrize("r_eff", [0.3, 3000.0])
def test_galaxies_smaller_than_a_pixel_or_larger_than_the_frame_have_one(r_eff):
    found = define_aperture([galaxy(4.0, r_eff)], PSF, SHAPE, 0.2)
    assert 0 < found.aperture.b <= found.aperture.a <= max(SHAPE)


def test_on_data_it_is_the_same_ellipse():
    fit = galaxy()
    image = 80 * SersicImage(fit.params, SHAPE, MIXTURE.reach()).seen_through(MIXTURE)
    image += np.random.default_rng(1).normal(0, 0.002, SHAPE)
    on_model = define_aperture([fit], PSF, SHAPE, 0.3)
    on_data = define_aperture([fit], PSF, SHAPE, 0.3, data=image)
    assert on_data.reason == ""
    assert on_data.petrosian_radius == pytest.approx(on_model.petrosian_radius, rel=0.02)
    assert on_data.aperture.b == pytest.approx(on_model.aperture.b, rel=0.03)


def test_data_in_which_nothing_is_seen_leave_the_model():
    found = define_aperture([galaxy()], PSF, SHAPE, 0.3, data=np.zeros(SHAPE))
    assert "isophotes are those of the model" in found.reason
    assert found.petrosian_radius == pytest.approx(
        define_aperture([galaxy()], PSF, SHAPE, 0.3).petrosian_radius
    )


def test_an_impossible_ratio_is_refused():
    with pytest.raises(ParameterError, match="eta must be in"):
        define_aperture([galaxy()], PSF, SHAPE, 1.5)
