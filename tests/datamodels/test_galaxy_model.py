"""`BandData` and `GalaxyModel` in memory."""

import pickle

import numpy as np
import pytest
from sample_models import ORIGIN, make_psf
from stpipe.datamodel import AbstractDataModel

from galstep.datamodels import BandData, GalaxyModel, Meta
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.records import PsfKernel


def make_data():
    return np.arange(20.0 * 18).reshape(20, 18)


def test_pixels_without_data_are_nan_and_masked():
    data = make_data()
    data[3, 4], data[5, 6] = np.inf, np.nan
    band = BandData("F150W", data, make_psf())
    assert np.argwhere(band.mask).tolist() == [[3, 4], [5, 6]]
    assert np.isnan(band.data[band.mask]).all()
    assert np.isinf(data[3, 4]), "the array given was changed"


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_pixels_without_a_sound_error_are_masked(bad):
    err = np.ones((20, 18))
    err[2, 7] = bad
    band = BandData("F150W", make_data(), make_psf(), err=err)
    assert np.argwhere(band.mask).tolist() == [[2, 7]]
    assert np.isnan(band.err[2, 7])
    assert band.data[2, 7] == make_data()[2, 7]


def test_arrays_become_native_float64():
    band = BandData("F150W", make_data().astype(">f4"), make_psf().astype(">f8"))
    assert band.data.dtype == band.psf.dtype == np.dtype("=f8")
    np.testing.assert_array_equal(band.data, make_data())


def test_usable():
    band = BandData("F150W", make_data(), make_psf())
    assert band.usable
    band.mask[:] = True
    assert not band.usable


def test_residual_and_star_subtracted(model):
    band = model.bands["F150W"]
    expected = band.data - band.galaxy - band.stars - band.sky
    np.testing.assert_allclose(band.residual[~band.mask], expected[~band.mask])
    assert np.isnan(band.residual[band.mask]).all()
    np.testing.assert_array_equal(band.star_subtracted, band.data - band.stars)
    assert model.bands["F277W"].residual is None
    assert model.bands["F277W"].star_subtracted is None


def test_pixel_area():
    # (0.03 arcsec)^2; 1 sr is (180 * 3600 / pi)^2 arcsec^2
    area = BandData("F150W", make_data(), make_psf(), pixel_scale=0.03).pixel_area_sr
    assert area == pytest.approx(0.03**2 / 206264.80625**2, rel=1e-9)


def test_flags_of_all_results_are_joined(model):
    band = model.bands["F150W"]
    band.flags = int(BandFlag.FAINT)
    band.psf_kernel = PsfKernel(flags=int(BandFlag.PSF_CONFUSED))
    expected = BandFlag.FAINT | BandFlag.PSF_CONFUSED | BandFlag.STARS_LIMITED
    assert band.all_flags == expected


def test_crop_keeps_positions_on_the_sky_and_in_the_frame(model):
    band = model.bands["F150W"]
    part = band.crop(5, 3, 20, 17)
    assert part.shape == (17, 20)
    assert part.origin == (ORIGIN[0] + 5, ORIGIN[1] + 3)
    np.testing.assert_array_equal(part.data, band.data[3:20, 5:25])
    np.testing.assert_array_equal(part.err, band.err[3:20, 5:25])
    np.testing.assert_allclose(
        part.wcs.wcs_pix2world([[2, 4]], 0), band.wcs.wcs_pix2world([[7, 7]], 0), rtol=1e-12
    )
    assert not part.fitted
    part.data[:] = 0
    assert band.data[3, 5] != 0


def test_crop_must_lie_inside(model):
    message = r"crop of filter 'F150W' must lie inside the frame of 32 x 24 pixels, got x 20 to 39"
    with pytest.raises(InputError, match=message):
        model.bands["F150W"].crop(20, 0, 20, 20)


@pytest.mark.parametrize("attribute", ["err", "mask", "sky", "galaxy", "stars"])
def test_images_must_have_one_shape(attribute):
    with pytest.raises(InputError, match=rf"{attribute} of filter 'F150W' must have the shape"):
        BandData("F150W", make_data(), make_psf(), **{attribute: np.ones((4, 4))})


def test_data_must_be_an_image():
    with pytest.raises(InputError, match=r"data of filter 'A' must be a 2-D image, got shape \(3"):
        BandData("A", np.ones(3), make_psf())


def test_model_is_an_stpipe_data_model_without_reference_server(model):
    assert isinstance(model, AbstractDataModel)
    assert model.crds_observatory is None
    assert model.get_crds_parameters() == {}


def test_copy_shares_nothing(model):
    twin = model.copy()
    twin.bands["F150W"].data[:] = 7
    twin.bands["F150W"].fit.stars.flux[0] = -3
    twin.bands["F150W"].reasons.append("changed")
    twin.meta.cal_step.gal_basefit = "SKIPPED"
    twin.meta.parameters["basefit"]["iter_basefit"] = 99
    twin.joint.flux_covariance[0, 0] = 0
    assert not (model.bands["F150W"].data == 7).any()
    assert model.bands["F150W"].fit.stars.flux[0] == 12.5
    assert model.bands["F150W"].reasons == []
    assert model.meta.cal_step.gal_basefit == "COMPLETE"
    assert model.meta.parameters["basefit"]["iter_basefit"] == 3
    assert model.joint.flux_covariance[0, 0] == 100


def test_model_travels_between_processes(model):
    twin = pickle.loads(pickle.dumps(model))
    assert twin.filters == model.filters
    assert vars(twin.meta.cal_step) == vars(model.meta.cal_step)
    np.testing.assert_array_equal(twin.bands["F150W"].data, model.bands["F150W"].data)
    assert twin.bands["F150W"].fit.sky == model.bands["F150W"].fit.sky


def test_open_returns_a_model_as_it_is(model):
    with GalaxyModel.open(model) as same:
        assert same is model


def test_open_needs_something_to_read():
    with pytest.raises(InputError, match="must be a path, .* or a GalaxyModel, got set"):
        GalaxyModel.open(set())
    with pytest.raises(InputError, match="input: there is no image, so no filter"):
        GalaxyModel.open({})


def test_save_takes_what_stpipe_gives(model, tmp_path):
    path = model.save(lambda name: f"elsewhere/{name[:-3]}_gal.asdf", tmp_path, overwrite=True)
    assert path == str(tmp_path / "g001_gal.asdf")
    assert GalaxyModel.open(path).meta.name == "g001"


def test_save_needs_a_known_extension(model, tmp_path):
    with pytest.raises(InputError, match=r"must be .asdf, .h5 or .hdf5, got '.fits'"):
        model.save(tmp_path / "galaxy.fits")
    with pytest.raises(InputError, match=r"must be .asdf, .h5 or .hdf5, got 'none'"):
        model.save(tmp_path / "galaxy")


def test_repr_names_the_galaxy_and_its_filters(model):
    assert repr(model) == "<GalaxyModel 'g001': F150W, F090W, F277W>"


def test_order_of_filters_is_kept():
    bands = {name: BandData(name, make_data(), make_psf()) for name in ("C", "A", "B")}
    assert GalaxyModel(Meta("g"), bands).filters == ("C", "A", "B")
