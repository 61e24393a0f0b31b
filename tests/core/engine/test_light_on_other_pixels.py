"""What an aperture holds through a PSF that is given on other pixels."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import gaussian_psf

from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.mapped_records import mapped_aperture, mapped_params
from galstep.pixel_map import PixelMap
from galstep.records import Aperture, SersicFit, SersicParams

TURN = np.radians(20)
TO_FINE = PixelMap(
    2.1 * np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]]), (3.0, -4.0)
)
PARAMS = SersicParams(24.3, 21.8, 4.0, 1.4, 0.35, 0.7)
APERTURE = Aperture(24.3, 21.8, 5.0, 3.2, 0.7)
PSF = gaussian_psf(1.1, 8)


def light(params=PARAMS):
    return GalaxyLight([SersicFit(params, 3.0)], PSF, (1, 1), [APERTURE], TO_FINE)


def test_the_share_is_that_on_the_psf_s_own_pixels():
    there = GalaxyLight([SersicFit(mapped_params(TO_FINE, PARAMS), 3.0)], PSF, (120, 120))
    expected = there.share(mapped_aperture(TO_FINE, APERTURE))
    assert light().share(APERTURE) == pytest.approx(expected, rel=1e-4)


def test_slopes_are_of_the_parameters_here():
    slopes = light().slopes(APERTURE)[0]
    vector, step = PARAMS.to_vector(), 1e-3
    for k in range(6):
        ends = []
        for sign in (1, -1):
            moved = vector.copy()
            moved[k] += sign * step
            ends.append(3.0 * light(SersicParams.from_vector(moved)).share(APERTURE))
        assert slopes[k] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-4)
    assert slopes[6] == pytest.approx(light().share(APERTURE))


def test_one_aperture_on_the_sky_holds_the_same_of_a_large_galaxy():
    params = replace(PARAMS, r_eff=9.0)
    aperture = replace(APERTURE, a=12.0, b=9.0)
    here = GalaxyLight([SersicFit(params, 1.0)], gaussian_psf(0.5, 8), (80, 80), [aperture])
    there = GalaxyLight([SersicFit(params, 1.0)], PSF, (1, 1), [aperture], TO_FINE)
    # sigma 1.1 of a fine pixel is 0.52 of a coarse one
    assert here.share(aperture) == pytest.approx(there.share(aperture), rel=2e-3)
