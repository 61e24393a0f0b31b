"""Results in the layout of sphot as input: the image and the PSF of each filter."""

import json

import h5py
import numpy as np
import pytest
from sample_models import make_model, make_psf

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError

FILTERS = ("F090W", "F150W")
SHAPE = (40, 40)


@pytest.fixture
def sphot_file(tmp_path):
    """As sphot writes it: no attributes, data with the sky off, a constant as error."""
    path = tmp_path / "g001_sphot.h5"
    rng = np.random.default_rng(4)
    with h5py.File(path, "w") as file:
        file["name"] = json.dumps("g001").encode()
        file["filters"] = json.dumps(FILTERS).encode()
        file["crop_x0"], file["crop_y0"], file["crop_size"] = 120.4, 99.6, 40
        for name in FILTERS:
            raw = rng.normal(1.0, 0.1, SHAPE)
            raw[0, 0] = np.nan
            group = file.create_group(name)
            group["_rawdata"], group["data"] = raw, raw - 1.0
            group["data_error"] = np.full(SHAPE, 0.9)
            group["psf"] = make_psf(fwhm=3.0)
            group["_psf_raw"] = 17 * make_psf()
            group["psf_oversample"] = 4
            group["sersic_modelimg"] = np.ones(SHAPE)
    return path


def test_result_of_sphot(sphot_file):
    model = GalaxyModel.open(sphot_file)
    assert model.filters == FILTERS
    assert model.meta.name == "g001_sphot"
    band = model.bands["F150W"]
    with h5py.File(sphot_file) as file:
        np.testing.assert_array_equal(band.data, file["F150W/_rawdata"][()])
    np.testing.assert_allclose(band.psf, make_psf(), rtol=1e-12)
    assert (band.oversample, band.err, band.fit) == (4, None, None)
    assert np.argwhere(band.mask).tolist() == [[0, 0]]
    assert band.origin == (100, 80)


def test_result_without_what_is_not_always_there(sphot_file):
    with h5py.File(sphot_file, "a") as file:
        for name in FILTERS:
            del file[f"{name}/_rawdata"], file[f"{name}/_psf_raw"]
        del file["crop_x0"]
    model = GalaxyModel.open(sphot_file, filters=["F150W"])
    band = model.bands["F150W"]
    with h5py.File(sphot_file) as file:
        np.testing.assert_array_equal(band.data, file["F150W/data"][()])
    np.testing.assert_allclose(band.psf, make_psf(fwhm=3.0), rtol=1e-12)
    assert band.origin == (0, 0)


def test_other_psfs_can_be_given(sphot_file):
    psf = make_psf(fwhm=2.5)
    model = GalaxyModel.open(sphot_file, psf_file={name: (psf, 4) for name in FILTERS})
    np.testing.assert_allclose(model.bands["F150W"].psf, psf, rtol=1e-12)


def test_result_of_galstep(tmp_path):
    written = make_model()
    path = tmp_path / "g001_gal.h5"
    written.save(path)
    model = GalaxyModel.open(path)
    assert set(model.filters) == set(written.filters)
    for name, band in model.bands.items():
        before = written.bands[name]
        np.testing.assert_array_equal(band.data, before.data)
        np.testing.assert_array_equal(band.mask, before.mask)
        assert (band.origin, band.unit) == (before.origin, before.unit)
        assert band.pixel_scale == pytest.approx(before.pixel_scale, rel=1e-6)
        assert band.fit is None
        if before.err is not None:
            np.testing.assert_array_equal(band.err, before.err)
        if before.wcs is not None:
            expected = before.sky_position(3, 4)
            np.testing.assert_allclose(band.sky_position(3, 4), expected, atol=1e-9)


@pytest.mark.parametrize("value", [None, 0, 2.5j, "four"])
def test_oversampling_that_is_none(sphot_file, value):
    with h5py.File(sphot_file, "a") as file:
        del file["F150W/psf_oversample"]
        if value is not None:
            file["F150W/psf_oversample"] = value
    message = "g001_sphot.h5: F150W/psf_oversample: oversample must be a positive integer, got"
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(sphot_file)


def test_filter_that_is_not_there(sphot_file):
    with pytest.raises(InputError, match="filter 'F277W' is not there; it has F090W, F150W"):
        GalaxyModel.open(sphot_file, filters=["F277W"])
