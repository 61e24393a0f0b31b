"""Zeros that are no data, zeros that are; errors that none can have."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.pixel_rules import check_error_scale, filled_border, least_error
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf

N = 101
Y, X = np.mgrid[:N, :N]
BORDERS = {
    "rows": Y < 12,
    "one row": Y == 0,
    "two columns": X > N - 3,
    "corner": X + Y < 60,
    "round": np.hypot(X - 50, Y - 50) > 45,
    "most": X < 65,
}
COUNTS = (0.02, 0.1, 0.5, 2.0, 20.0)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("border", BORDERS)
def test_border_of_an_image(rng, border):
    image = rng.normal(size=(N, N))
    image[BORDERS[border]] = 0
    assert np.array_equal(filled_border(image), BORDERS[border])


@pytest.mark.parametrize("sky", COUNTS)
@pytest.mark.parametrize("scale", [1, 0.37])
def test_photons_that_did_not_come(rng, sky, scale):
    assert filled_border(scale * rng.poisson(sky, (N, N))) is None


@pytest.mark.parametrize("sky", COUNTS[2:])
@pytest.mark.parametrize("border", ["rows", "corner", "most"])
def test_border_of_photon_counts(rng, sky, border):
    counts = rng.poisson(sky, (N, N))
    counts[BORDERS[border]] = 0
    found = filled_border(counts)
    assert np.count_nonzero(found & ~BORDERS[border]) < 0.1 * N * N * np.exp(-sky)
    assert np.count_nonzero(BORDERS[border] & ~found) < 0.1 * BORDERS[border].sum()


@pytest.mark.parametrize("kind", ["hole", "scattered", "clipped", "no noise", "all", "nan"])
def test_zeros_that_are_values(rng, kind):
    image = rng.normal(size=(N, N))
    if kind == "hole":
        image[40:60, 40:60] = 0
    elif kind == "scattered":
        image[rng.random((N, N)) < 0.02] = 0
    elif kind == "clipped":
        image = np.clip(image, 0, None)
    elif kind == "no noise":
        image = np.exp(-((X - 50.0) ** 2 + (Y - 50) ** 2) / 4.5)
        image[image < 1e-12] = 0
    elif kind == "nan":
        image[:10] = np.nan
    else:
        image[:] = 0
    assert filled_border(image) is None


def model_of(data, err=None):
    uncertainty = None if err is None else StdDevUncertainty(err)
    image = CCDData(data, unit="adu", uncertainty=uncertainty, meta={"FILTER": "F150W"})
    psf = {"F150W": (default_psf("F150W").sampled(4, 61), 4)}
    return GalaxyModel.open(image, psf_file=psf).bands["F150W"]


def test_counts_keep_their_zeros(rng):
    counts = rng.poisson(0.5, (N, N))
    assert not model_of(counts).mask.any()


@pytest.mark.parametrize("k", [1e-20, 1.0, 1e6])
@pytest.mark.parametrize("value", [1e-12, 1e-3])
def test_an_error_far_below_all_others_is_none(rng, k, value):
    err = k * rng.uniform(0.9, 1.1, (N, N))
    err[30, 40] = k * value
    band = model_of(k * rng.normal(size=(N, N)), err)
    assert np.argwhere(band.mask).tolist() == [[30, 40]]
    assert "taken as bad: 1" in band.reasons[-1]


def test_errors_that_differ_are_errors(rng):
    err = np.where(X < 50, 1.0, 0.05) * np.ones((N, N))  # twenty times deeper on one side
    assert not model_of(rng.normal(size=(N, N)) * err, err).mask.any()
    light = 1e6 * np.exp(-((X - 50.0) ** 2 + (Y - 50) ** 2) / 4.5)
    err = np.sqrt(1 + light)
    assert not (err < least_error(err, light)).any()


@pytest.mark.parametrize("value", [1e-300, 1e-30])
def test_errors_below_the_rounding_of_the_data(rng, value):
    data = rng.normal(size=(N, N))
    with pytest.raises(InputError, match="input: errors must be in the unit of the image"):
        model_of(data, np.full((N, N), value))
    check_error_scale(np.full((N, N), 1e-10), data, "x")
