"""``psf_shape`` and ``fit_info`` of photutils: taken, or refused by name."""

import numpy as np
import pytest
from astropy.table import Table
from photutils.psf import CircularGaussianPRF, PSFPhotometry

from galstep.exceptions import ParameterError
from galstep.steps import StarPhot

SHAPE, FWHM = (61, 61), 3.0
STARS = Table({"x": [20.3, 41.6], "y": [19.8, 40.1], "flux": [900.0, 2500.0]})
PSF = CircularGaussianPRF(fwhm=FWHM)


@pytest.fixture(scope="module")
def data():
    yy, xx = np.indices(SHAPE)
    image = np.random.default_rng(1).normal(0, 0.1, SHAPE)
    for x, y, flux in STARS.iterrows():
        image += CircularGaussianPRF(flux=flux, x_0=x, y_0=y, fwhm=FWHM)(xx, yy)
    return image


@pytest.fixture(scope="module")
def result(data):
    step = StarPhot(finder="none", background="none")
    return step.run(data, PSF, error=np.full(SHAPE, 0.1), init_params=STARS)


@pytest.mark.parametrize("psf_shape", [5, (5, 5), 1, 11, np.int64(9)])
def test_stars_are_drawn_in_boxes_as_photutils_draws_them(data, result, psf_shape):
    peer = PSFPhotometry(PSF, (11, 11), aperture_radius=4)
    peer(data, error=np.full(SHAPE, 0.1), init_params=STARS)
    expected = peer.make_model_image(SHAPE, psf_shape=psf_shape)
    model = result.make_model_image(SHAPE, psf_shape=psf_shape)
    assert np.array_equal(model != 0, expected != 0)
    assert model == pytest.approx(expected, abs=0.002 * expected.max())
    residual = result.make_residual_image(data, psf_shape=psf_shape)
    assert residual == pytest.approx(data - model)


@pytest.mark.parametrize("psf_shape", [4, (5, 7), 0, -3, 5.5, (5, 5, 5), (4, 4)])
def test_other_boxes_are_refused(result, psf_shape):
    with pytest.raises(ParameterError, match="psf_shape must be the side of a square, an odd"):
        result.make_model_image(psf_shape=psf_shape)


def test_photutils_has_drawn_its_own(data):
    step = StarPhot(finder="none", background="none", engine="photutils")
    result = step.run(data, PSF, error=np.full(SHAPE, 0.1), init_params=STARS)
    assert result.make_model_image().max() > 0
    with pytest.raises(ParameterError, match="psf_shape: the engine photutils has drawn"):
        result.make_model_image(psf_shape=5)


@pytest.mark.parametrize("name", ["fit_info", "finder_results", "results_to_model_params"])
def test_what_is_not_kept_says_where_it_is(result, name):
    assert not hasattr(result, name)
    with pytest.raises(AttributeError, match=f"{name} of photutils is not kept: .*catalog"):
        getattr(result, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = result.nothing


@pytest.mark.parametrize("name", ["psf_shape", "fit_info"])
def test_they_are_no_parameters(name):
    with pytest.raises(
        ParameterError, match=f"unknown parameter {name}: .*of the (result|catalog)"
    ):
        StarPhot(**{name: 5})
