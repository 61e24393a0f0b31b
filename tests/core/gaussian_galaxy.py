"""A galaxy whose light in circles is known: Gaussian, through a Gaussian PSF."""

import numpy as np

from galstep.core.psf.effective import EffectivePSF
from galstep.records import Aperture, SersicParams
from galstep.testing.psfs import GaussianMixturePSF

# a Sersic profile with n = 1/2 is a Gaussian, sigma = r_eff / sqrt(2 ln 2)
GAUSSIAN_GALAXY = SersicParams(50.3, 48.9, 6.0, 0.5, 0.0, 0.0)
SHAPE = (101, 103)


def gaussian_psf(sigma, oversample=5):
    size = 2 * int(6 * sigma * oversample) + 1
    return EffectivePSF.from_array(
        GaussianMixturePSF.gaussian(sigma).sampled(oversample, size), oversample
    )


def gaussian_share(radius, psf_sigma, r_eff=GAUSSIAN_GALAXY.r_eff):
    variance = r_eff**2 / (2 * np.log(2)) + psf_sigma**2
    return 1 - np.exp(-(radius**2) / (2 * variance))


def circle(radius, x=50.3, y=48.9):
    return Aperture(x, y, radius, radius, 0.0)
