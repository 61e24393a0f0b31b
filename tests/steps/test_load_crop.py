"""LoadCrop on files and models of known content."""

import logging

import h5py
import numpy as np
import pytest
from astropy.wcs import WCS

from galstep.exceptions import InputError, ParameterError
from galstep.flags import BandFlag
from galstep.records import SersicParams
from galstep.steps import LoadCrop
from galstep.testing import make_scene
from galstep.testing.models import fitted_model, unfitted_model

FILTERS = ("F090W", "F150W", "F277W")
TRUTH = SersicParams(128.4, 92.3, 7.0, 1.0, 0.2, 0.5)


@pytest.fixture(scope="module")
def synthetic():
    return make_scene(
        seed=4, shape=(190, 260), n_stars=30, filters=FILTERS, sersic=TRUTH, psf_size=61
    )


@pytest.fixture
def model(synthetic):
    return unfitted_model(synthetic)


@pytest.fixture
def files(synthetic, tmp_path):
    return (
        str(synthetic.write_hdf5(tmp_path / "galaxy.h5")),
        str(synthetic.write_psf(tmp_path / "psf.h5")),
    )


def crop(model, **parameters):
    return LoadCrop(**{"min_crop_size": 32, "auto_crop_factor": 4, **parameters}).run(model)


def test_a_file_is_read_and_kept_whole_where_it_is_small(files):
    path, psf_file = files
    result = LoadCrop(psf_file=psf_file, min_crop_size=300).run(path)
    assert result.filters == FILTERS
    assert result.meta.input_shape == (190, 260)
    assert result.meta.base_filter == "F150W"
    assert result.meta.cal_step.gal_loadcrop == "COMPLETE"
    assert result.bands["F150W"].shape == (190, 260)
    assert result.bands["F150W"].origin == (0, 0)
    assert result.bands["F277W"].oversample == 4


def test_what_is_asked_for_is_given_to_the_reader(files):
    path, psf_file = files
    result = LoadCrop(psf_file=psf_file, filters=["F277W"], pixel_scale=0.06, unit="uJy").run(path)
    band = result.bands["F277W"]
    assert result.filters == ("F277W",)
    assert (band.pixel_scale, band.unit) == (0.06, "MJy/sr")
    one_micro_jansky = 1e-12 / np.radians(0.06 / 3600) ** 2  # MJy/sr
    with h5py.File(path) as file:
        (ny, nx), (x, y) = band.shape, band.origin
        expected = file["F277W"][y : y + ny, x : x + nx] * one_micro_jansky
    np.testing.assert_allclose(band.data, expected, rtol=1e-10)


def test_images_without_psf_are_refused(files):
    with pytest.raises(InputError, match="give psf_file"):
        LoadCrop().run(files[0])


def test_all_filters_are_cropped_to_one_square_about_the_galaxy(model, synthetic):
    result = crop(model)
    shapes = {band.shape for band in result.bands.values()}
    assert len(shapes) == 1
    ((ny, nx),) = shapes
    assert ny == nx
    assert ny % 2 == 1
    for name, band in result.bands.items():
        x_min, y_min = band.origin
        assert abs(TRUTH.x_0 - x_min - (nx - 1) / 2) < 2
        assert abs(TRUTH.y_0 - y_min - (ny - 1) / 2) < 2
        part = synthetic.data[name][y_min : y_min + ny, x_min : x_min + nx]
        np.testing.assert_array_equal(band.data, part)
        np.testing.assert_array_equal(
            band.err, synthetic.err[name][y_min : y_min + ny, x_min : x_min + nx]
        )


def test_half_a_side_is_the_factor_times_sigma(model):
    sides = [crop(model, auto_crop_factor=f).bands["F150W"].shape[0] for f in (4, 6)]
    # half = ceil(factor sigma), so each side is known to a pixel or two
    assert (sides[1] - 1) / (sides[0] - 1) == pytest.approx(1.5, abs=0.05)


def test_the_square_is_clipped_at_the_frame_and_never_too_small(model):
    result = crop(model, min_crop_size=150, x_guess=128.0, y_guess=92.0)
    assert result.bands["F150W"].shape == (151, 151)
    result = crop(model, auto_crop_factor=100, min_crop_size=1)
    assert result.bands["F150W"].shape == (190, 260)


def test_a_galaxy_near_the_corner_is_found_from_the_guess():
    truth = SersicParams(30.2, 150.7, 6.0, 1.0, 0.2, 0.5)
    scene = make_scene(seed=2, shape=(190, 260), n_stars=5, filters=("F150W",), sersic=truth)
    band = crop(unfitted_model(scene), x_guess=33, y_guess=148).bands["F150W"]
    (x_min, y_min), (ny, nx) = band.origin, band.shape
    assert x_min == 0
    half = nx - 1 - truth.x_0  # on the right there is room
    assert truth.y_0 - y_min == pytest.approx(half, abs=2)
    assert y_min + ny == pytest.approx(min(190, truth.y_0 + half + 1), abs=2)


def test_origins_add_up_and_the_wcs_follows(model):
    wcs = WCS(naxis=2)
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = (100, 80), (10.0, -5.0), (-1e-5, 1e-5)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    for band in model.bands.values():
        band.wcs = wcs
    first = crop(model, custom_initial_crop=0.8, auto_crop=False)
    assert first.bands["F150W"].origin == (26, 19)
    assert first.bands["F150W"].shape == (152, 208)
    second = crop(first, x_guess=128, y_guess=92)
    band = second.bands["F150W"]
    x_min, y_min = band.origin
    assert x_min > 26
    np.testing.assert_allclose(
        band.wcs.pixel_to_world_values(3.0, 4.0),
        wcs.pixel_to_world_values(3.0 + x_min, 4.0 + y_min),
    )
    assert abs(TRUTH.x_0 - x_min - (band.shape[1] - 1) / 2) < 2
    assert second.meta.input_shape == (190, 260)


def test_the_callers_model_is_left_alone(model):
    crop(model)
    assert model.bands["F150W"].shape == (190, 260)
    assert model.meta.base_filter is None


def test_the_base_falls_back_to_the_filter_with_the_most_signal(synthetic, caplog):
    data = {name: image.copy() for name, image in synthetic.data.items()}
    model = unfitted_model(synthetic)
    del model.bands["F150W"]
    model.bands["F090W"].data = data["F090W"] + np.random.default_rng(0).normal(
        0, 30 * synthetic.truth.noise_sigma["F090W"], (190, 260)
    )
    with caplog.at_level(logging.INFO, logger="stpipe"):
        result = crop(model)
    assert result.meta.base_filter == "F277W"
    assert "base filter F150W is not in the data: F277W is used" in caplog.text


def test_a_size_that_cannot_be_measured_is_the_guess_and_the_log_says_why(model, caplog):
    for band in model.bands.values():
        band.data = np.random.default_rng(1).normal(size=band.shape)
    with caplog.at_level(logging.INFO, logger="stpipe"):
        result = crop(model, sigma_guess=12.5)
    assert result.bands["F150W"].shape == (101, 101)
    assert "size not measured (no source stands out" in caplog.text


def test_a_filter_without_pixels_in_the_crop_is_flagged(model):
    band = model.bands["F277W"]
    band.mask[:, 60:] = True
    result = crop(model)
    assert result.bands["F277W"].flags == BandFlag.NO_DATA
    assert result.bands["F277W"].reasons == ["no usable pixel in the crop"]
    assert result.bands["F150W"].flags == 0


def test_a_crop_that_takes_pixels_drops_the_fits_of_the_whole(synthetic, caplog):
    fitted = fitted_model(synthetic)
    kept = LoadCrop(min_crop_size=300).run(fitted)
    assert kept.meta.fit_step == "jointfit"
    assert kept.bands["F150W"].fitted
    with caplog.at_level(logging.WARNING, logger="stpipe"):
        dropped = crop(fitted)
    assert "fits dropped" in caplog.text
    assert dropped.meta.fit_step is None
    assert not any(band.fitted for band in dropped.bands.values())


def test_filters_select_from_a_model_and_must_be_there(model):
    assert crop(model, filters=["F277W", "F090W"]).filters == ("F277W", "F090W")
    with pytest.raises(InputError, match="F444W not in the data, which have F090W, F150W, F277W"):
        crop(model, filters=["F150W", "F444W"])


def test_images_that_do_not_lie_on_one_another_are_refused(model):
    part = model.bands["F277W"].crop(0, 0, 50, 40)
    part.input_shape, model.bands["F277W"] = part.shape, part
    with pytest.raises(InputError, match="'F277W' against 'F150W': without a WCS, .* 50 x 40 of"):
        crop(model)


def test_a_filter_that_was_cut_before_is_taken_where_it_lies(model):
    model.bands["F277W"] = model.bands["F277W"].crop(100, 60, 140, 120)
    bands = crop(model).bands
    base, other = bands["F150W"], bands["F277W"]
    x_min, y_min = (max(own, 0) for own in np.subtract(other.origin, base.origin))
    assert other.origin == (max(base.origin[0], 100), max(base.origin[1], 60))
    assert other.shape == (base.shape[0] - y_min, base.shape[1] - x_min)


def test_half_a_guess_is_refused(model):
    with pytest.raises(ParameterError, match="x_guess and y_guess must be given together"):
        crop(model, x_guess=10)


@pytest.mark.parametrize("bad", [{"custom_initial_crop": 1.5}, {"min_crop_size": 0}])
def test_parameters_out_of_range_are_refused(model, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        LoadCrop.call(model, **bad)
