"""A library PSF that is too broad is told; one that is right or too sharp is not."""

import numpy as np
import pytest

from galstep.core.calibration.calibrate import calibrate_psf
from galstep.core.psf.effective import EffectivePSF
from galstep.flags import BandFlag
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.real_space import star_image

SHAPE = (110, 120)
SIGMA = 1.2
TRUE = GaussianMixturePSF.gaussian(SIGMA)


def calibrated(library, seed, n_stars=30, noise=0.05):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(6, 113, n_stars), rng.uniform(6, 103, n_stars)
    image = star_image(SHAPE, TRUE, x, y, rng.uniform(20, 200, n_stars))
    image += rng.normal(0, noise, SHAPE)
    nothing = np.zeros(SHAPE)
    return calibrate_psf(image, nothing > 0, noise, library, nothing, nothing > 0).kernel


def gaussian(sigma, oversample=4):
    return EffectivePSF.from_array(GaussianMixturePSF.gaussian(sigma).sampled(4, 121), oversample)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_wrong_oversample_is_told(seed):
    kernel = calibrated(gaussian(SIGMA, oversample=2), seed)
    assert kernel.flags & BandFlag.PSF_TOO_BROAD
    assert "below that of the PSF of FWHM" in kernel.reason


@pytest.mark.parametrize("factor", [1.15, 1.3, 1.6])
def test_another_filters_psf_is_told(factor):
    assert calibrated(gaussian(factor * SIGMA), 4).flags & BandFlag.PSF_TOO_BROAD


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.04])
@pytest.mark.parametrize("seed", [5, 6])
def test_a_psf_that_is_right_or_sharper_is_not_blamed(factor, seed):
    assert not calibrated(gaussian(factor * SIGMA), seed).flags & BandFlag.PSF_TOO_BROAD
