"""A base fit that went astray goes over to a basin that is clearly better."""

from dataclasses import replace

import numpy as np
import pytest
from engine_scenes import bands_of

from galstep.core.detection.ladder_options import ONE_PASS
from galstep.core.fitting.fits import fit_base
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.records import SersicParams
from galstep.testing import make_scene

GALAXY = SersicParams(30.3, 29.8, 1.5, 1.0, 0.2, 0.4)
# the galaxy alone: nothing else may explain the light
NO_STARS = replace(ONE_PASS, thresholds=(), floor_passes=0)


@pytest.fixture(scope="module")
def astray():
    """A compact galaxy of S/N 25 and a start 9 pixels beside it, too small to feel it.

    The galaxy is worth 25^2 in chi2: far more than noise, far less than a bright
    star would be.
    """
    scene = make_scene(2, (61, 61), 0, ("F150W",), snr=25.0, sersic=GALAXY, psf_size=61)
    band = bands_of(scene)[0]
    first = robust_galaxy_fit(scene.data["F150W"], band.mask, band.sigma, band.star_renderer.psf)
    beside = SersicParams(GALAXY.x_0 + 7, GALAXY.y_0 + 5, 0.6, 1.0, 0.0, 0.0)
    return scene, band, replace(first, params=beside, flux=1e-3 * first.flux)


def distance(fit):
    params = fit.sersic[0].params
    return np.hypot(params.x_0 - GALAXY.x_0, params.y_0 - GALAXY.y_0)


def test_the_fit_goes_astray_by_itself(astray):
    _, band, first = astray
    assert distance(fit_base(band, first, NO_STARS).fits[0]) > 5


@pytest.mark.parametrize("way", ["refit", "annealing"])
def test_the_galaxy_is_found(astray, way):
    scene, band, first = astray
    fit = fit_base(band, first, NO_STARS, **{way: True}).fits[0]
    assert distance(fit) < 0.3
    assert fit.flux == pytest.approx(scene.truth.fluxes["F150W"], abs=4 * fit.flux_err)
