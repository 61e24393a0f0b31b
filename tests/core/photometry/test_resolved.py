"""A star that was measured as a galaxy is no wider than one."""

import numpy as np
import pytest

from galstep.core.photometry.resolved import half_light_excess, unresolved_reason
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicFit, SersicParams
from galstep.testing.psfs import GaussianMixturePSF

SIGMA = 1.3
PSF = EffectivePSF.from_array(GaussianMixturePSF.gaussian(SIGMA).sampled(4, 121), 4)


def galaxy(r_eff, n=0.5, flux=10.0):
    return SersicFit(SersicParams(30.3, 41.7, r_eff, n, 0.0, 0.0), flux)


@pytest.mark.parametrize("r_eff", [0.5, 1.0, 2.0, 3.5])
def test_gaussians_add_in_quadrature(r_eff):
    """A profile of n = 1/2 is a Gaussian of sigma = r_eff / sqrt(2 ln 2)."""
    sigma = r_eff / np.sqrt(2 * np.log(2))
    expected = np.hypot(sigma, SIGMA) / SIGMA - 1
    assert half_light_excess([galaxy(r_eff)], PSF) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("n", [0.3, 1.0, 4.0, 8.0])
def test_what_is_at_the_least_radius_is_unresolved(n):
    assert "to tell it from one" in unresolved_reason([galaxy(0.05, n)], PSF)
    assert unresolved_reason([galaxy(4.0, n)], PSF) == ""


def test_two_components():
    """A point in a disc is a galaxy, a disc that holds nothing is none."""
    point, disc = galaxy(0.05), galaxy(3.0, 1.0)
    assert unresolved_reason([point, disc], PSF) == ""
    assert unresolved_reason([point, galaxy(3.0, 1.0, flux=0.01)], PSF)


def test_wide_galaxies_need_no_image():
    assert half_light_excess([galaxy(1e6)], PSF) == np.inf


@pytest.mark.parametrize(("r_eff", "ellip", "line"), [
    (1.1, 0.95, True), (1.5, 0.95, True), (2.5, 0.95, True), (3.5, 0.95, False),
    (2.5, 0.8, False), (2.0, 0.5, False),
])  # fmt: skip
def test_a_short_line_without_width_is_two_stars(r_eff, ellip, line):
    """FWHM 3.06: longer than a star, but as two stars are; a disc from its edge is longer."""
    one = SersicFit(SersicParams(30.3, 41.7, r_eff, 0.5, ellip, 0.3), 10.0)
    assert ("two blended" in unresolved_reason([one], PSF)) == line
