"""Petrosian and Kron radii of Sersic galaxies beside independent integrals.

The light that a Gaussian PSF of sigma s leaves inside a radius R of a round profile
I(r) is the integral of 2 pi r I(r) times the probability that a Gaussian point at a
distance r from the centre lies within R: the distribution of chi^2 with two degrees of
freedom and non-centrality (r / s)^2. An ellipse seen through a PSF of its own axis
ratio and angle is that circle stretched.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gamma, gammainc, gammaincinv
from scipy.stats import ncx2

from galstep.core.photometry.blurred_radii import own_kron_radius, own_petrosian_radius
from galstep.core.photometry.galaxy_aperture import define_aperture
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicFit, SersicParams

SIZE = 301
OVERSAMPLE = 4


class TrueProfile:
    """A round Sersic profile of unit flux behind a Gaussian of ``sigma`` (pixels)."""

    def __init__(self, r_eff, n, sigma=0.0):
        self.r_eff, self.n, self.sigma = r_eff, n, sigma
        self.b = gammaincinv(2 * n, 0.5)
        # of equal light each: the weights of the integral over the profile
        shares = (np.arange(4000) + 0.5) / 4000
        self.radii = r_eff * (gammaincinv(2 * n, shares) / self.b) ** n

    def light(self, radius):
        if not self.sigma:
            return gammainc(2 * self.n, self.b * (radius / self.r_eff) ** (1 / self.n))
        return ncx2.cdf((radius / self.sigma) ** 2, 2, (self.radii / self.sigma) ** 2).mean()

    def petrosian(self, eta):
        """Where dF/dA = eta F / A."""

        def excess(r):
            h = 1e-3 * r
            slope = (self.light(r + h) - self.light(r - h)) / (2 * h)
            return slope * r / (2 * self.light(r)) - eta

        return brentq(excess, 0.02 * self.r_eff + 0.2 * self.sigma, 8 * self.r_eff)

    def kron(self):
        """2.5 times the mean distance of the light from the centre."""
        if not self.sigma:
            first = gamma(3 * self.n) / gamma(2 * self.n)
            return 2.5 * self.r_eff * first / self.b**self.n
        outside = quad(lambda r: 1 - self.light(r), 0, 10 * self.r_eff, limit=200)[0]
        far = self.radii[self.radii > 10 * self.r_eff] - 10 * self.r_eff
        return 2.5 * (outside + far.sum() / len(self.radii))


def stretched_gaussian(sigma, q, theta, half=40):
    """An effective PSF that is a Gaussian of axes sigma, q sigma (pixels)."""
    y, x = np.indices((2 * half + 1, 2 * half + 1)) - float(half)
    x, y = x / OVERSAMPLE, y / OVERSAMPLE
    along = x * np.cos(theta) + y * np.sin(theta)
    across = (y * np.cos(theta) - x * np.sin(theta)) / q
    array = np.exp(-0.5 * (along**2 + across**2) / sigma**2)
    return EffectivePSF.from_array(array / array.sum(), OVERSAMPLE)


@pytest.mark.parametrize("eta", [0.2, 0.5])
@pytest.mark.parametrize("n", [0.6, 1.0, 2.5, 4.0])
@pytest.mark.parametrize(("q", "theta"), [(1.0, 0.0), (0.6, 0.8)], ids=["round", "elliptical"])
@pytest.mark.parametrize(
    ("r_eff", "sigma"),
    [
        (14.0, 1.5),
        pytest.param(8.0, 2.5, marks=pytest.mark.slow),
        pytest.param(20.0, 0.9, marks=pytest.mark.slow),
    ],
)
def test_of_a_galaxy_behind_a_psf(eta, n, q, theta, r_eff, sigma):
    params = SersicParams(150.3, 149.6, r_eff, n, 1 - q, theta)
    found = define_aperture(
        [SersicFit(params, 7.0)], stretched_gaussian(sigma, q, theta), (SIZE, SIZE), eta
    )
    truth = TrueProfile(r_eff, n, sigma)
    assert found.petrosian_radius == pytest.approx(truth.petrosian(eta), rel=0.01)
    assert found.aperture.b / found.aperture.a == pytest.approx(q, rel=0.01)
    assert found.kron_radius == pytest.approx(truth.kron(), rel=0.01)


def pixels_alone():
    """The effective PSF of a telescope without diffraction: the pixel."""
    array = np.zeros((9, 9))
    array[3:6, 3:6] = 1.0
    return EffectivePSF.from_array(array, 3)


@pytest.mark.parametrize("eta", [0.2, 0.5])
@pytest.mark.parametrize("n", [0.5, 0.6, 1.0, 1.5, 2.5, 4.0])
@pytest.mark.parametrize("q", [1.0, 0.5])
@pytest.mark.parametrize(
    "r_eff", [3.0, 8.0, pytest.param(20.0, marks=pytest.mark.slow)]
)  # fmt: skip
def test_of_a_galaxy_without_a_psf(eta, n, q, r_eff):
    """Within a per cent of the profile's own, or it is said what the pixels do to it."""
    size = min(701, int(2 * (3 + 1.5 * n) * r_eff) * 2 + 61)
    params = SersicParams(size // 2 + 0.3, size // 2 - 0.4, r_eff, n, 1 - q, 0.8)
    found = define_aperture([SersicFit(params, 7.0)], pixels_alone(), (size, size), eta)
    truth = TrueProfile(r_eff, n)
    pairs = {
        "Petrosian": (found.petrosian_radius, truth.petrosian(eta)),
        "Kron": (found.kron_radius, truth.kron()),
    }
    for name, (seen, own) in pairs.items():
        if f"{name} radius" not in found.blur:
            assert seen == pytest.approx(own, rel=0.0101)
        else:
            # only where the pixel has a part in it: in a radius of a few pixels along
            # the minor axis, and in a mean radius that is as small
            assert own * q < (9 if name == "Petrosian" else 18)
            assert f"by {100 * (seen / own - 1):+.0f} %" in found.blur


def test_radii_of_components_without_a_psf():
    """Two profiles of one kind are that profile; a disc and a bulge lie between the two."""
    disc = SersicParams(50, 50, 12.0, 1.0, 0.3, 0.2)
    bulge = SersicParams(50, 50, 4.0, 4.0, 0.3, 0.2)
    twice = [SersicFit(disc, 3.0), SersicFit(disc, 5.0)]
    for eta in (0.2, 0.5):
        expected = TrueProfile(12.0, 1.0).petrosian(eta)
        assert own_petrosian_radius(twice, eta) == pytest.approx(expected, rel=1e-4)
    assert own_kron_radius(twice) == pytest.approx(TrueProfile(12.0, 1.0).kron(), rel=1e-6)
    both = [SersicFit(disc, 3.0), SersicFit(bulge, 1.0)]
    radii = [own_petrosian_radius(c, 0.2) for c in ([both[1]], both, [both[0]])]
    assert radii == sorted(radii)
    kron = (3 * TrueProfile(12.0, 1.0).kron() + TrueProfile(4.0, 4.0).kron()) / 4
    assert own_kron_radius(both) == pytest.approx(kron, rel=1e-6)
    # a ratio that is only reached at the very middle
    assert np.isnan(own_petrosian_radius([SersicFit(replace(bulge, n=8.0), 1.0)], 0.999))
