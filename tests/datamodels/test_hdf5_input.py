"""The image file: what is read, and every message for what cannot be."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from sample_models import make_psf, make_wcs

from galstep.datamodels import GalaxyModel
from galstep.datamodels.files.wcs_text import wcs_to_text
from galstep.exceptions import InputError
from galstep.flags import BandFlag

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def edit(image_file):
    """A function that changes the image file."""

    def change(function):
        with h5py.File(image_file, "a") as file:
            function(file)
        return image_file

    return change


def replace(file, name, array):
    del file[name]
    file[name] = array


def test_images_come_as_native_float64_in_the_order_of_the_file(image_file, psf_file):
    model = GalaxyModel.open(image_file, psf_file=psf_file)
    assert model.filters == ("F090W", "F150W")
    assert model.meta.name == "galaxy"
    assert model.meta.filename == "galaxy.h5"
    assert model.meta.input_shape == (20, 24)
    with h5py.File(image_file) as file:
        stored = file["F150W"][()]
    band = model.bands["F150W"]
    assert band.data.dtype == np.dtype("=f8")
    np.testing.assert_array_equal(band.data, stored)
    assert band.err is None
    assert not band.mask.any()
    assert (band.unit, band.pixel_scale, band.origin, band.oversample) == (
        ("MJy/sr", 0.03, (0, 0), 4)
    )
    assert band.psf.sum() == pytest.approx(1.0, abs=1e-12)


def test_filters_are_taken_in_the_order_asked_for(image_file, psf_file):
    model = GalaxyModel.open(image_file, psf_file=psf_file, filters=["F150W", "F090W"])
    assert model.filters == ("F150W", "F090W")
    assert GalaxyModel.open(image_file, psf_file=psf_file, filters="F150W").filters == ("F150W",)
    assert GalaxyModel.open(image_file, psf_file=psf_file, filters=[]).filters == (
        ("F090W", "F150W")
    )


@pytest.mark.parametrize("group", ["error", "err", "sigma"])
def test_error_and_mask_planes(edit, psf_file, group):
    def change(file):
        err = np.full((20, 24), 0.1, ">f4")
        err[1, 2] = 0
        file[f"{group}/F150W"] = err
        mask = np.zeros((20, 24), np.int16)
        mask[4, 5] = 8
        file["mask/F150W"] = mask

    model = GalaxyModel.open(edit(change), psf_file=psf_file)
    assert model.filters == ("F090W", "F150W")
    band = model.bands["F150W"]
    assert np.argwhere(band.mask).tolist() == [[1, 2], [4, 5]]
    assert band.err[0, 0] == np.float32(0.1)
    assert model.bands["F090W"].err is None


def test_a_border_of_zeros_is_no_data(edit, psf_file, caplog):
    def change(file):
        many, one = file["F090W"][()], file["F150W"][()]
        many[:, :2] = 0
        replace(file, "F090W", many)
        replace(file, "F150W", np.tile(one, (3, 3)))
        replace(file, "F090W", np.tile(many, (3, 3)))
        file["F150W"][30, 30] = 0

    with caplog.at_level(logging.INFO):
        model = GalaxyModel.open(edit(change), psf_file=psf_file)
    assert np.isnan(model.bands["F090W"].data).sum() == 60 * 6
    assert model.bands["F150W"].data[30, 30] == 0, "one zero among 4320 pixels is a value"
    assert "F090W: 360 pixels at the border are 0 and taken as no data" in caplog.text


def test_attributes_win_over_arguments(edit, psf_file):
    def change(file):
        file.attrs["pixel_scale"] = 0.05
        file.attrs["unit"] = "Jy/sr"
        file["F150W"].attrs["pixel_scale"] = 0.052
        file["F150W"].attrs["bunit"] = "MJy/sr"
        del file.attrs["unit"]

    path = edit(change)
    model = GalaxyModel.open(path, psf_file=psf_file, pixel_scale=0.1, unit="kJy/sr")
    assert model.bands["F090W"].pixel_scale == 0.05
    assert model.bands["F150W"].pixel_scale == 0.052
    assert model.bands["F090W"].unit == model.bands["F150W"].unit == "MJy/sr"
    with h5py.File(path) as file:
        np.testing.assert_allclose(model.bands["F090W"].data, 1e-3 * file["F090W"][()], rtol=1e-12)
        np.testing.assert_array_equal(model.bands["F150W"].data, file["F150W"][()])


@pytest.mark.parametrize("name", ["wcs", "header"])
def test_wcs_gives_positions_and_pixel_scale(edit, psf_file, name):
    wcs = make_wcs()
    path = edit(lambda file: file.attrs.update({name: wcs_to_text(wcs)}))
    band = GalaxyModel.open(path, psf_file=psf_file, pixel_scale=0.1).bands["F150W"]
    np.testing.assert_allclose(
        band.wcs.wcs_pix2world([[3, 4]], 0), wcs.wcs_pix2world([[3, 4]], 0), rtol=1e-12
    )
    assert band.pixel_scale == pytest.approx(0.03, rel=1e-9)


def test_a_filter_without_data_is_flagged(edit, psf_file, caplog):
    path = edit(lambda file: replace(file, "F090W", np.full((20, 24), np.nan)))
    band = GalaxyModel.open(path, psf_file=psf_file).bands["F090W"]
    assert not band.usable
    assert band.flags == BandFlag.NO_DATA
    assert band.reasons == ["every pixel is masked or not finite"]
    assert "F090W: every pixel is masked" in caplog.text


def no_pixel(file):
    for name in ("F090W", "F150W"):
        replace(file, name, np.full((20, 24), np.nan))


def small_frames(file):
    for name in ("F090W", "F150W"):
        replace(file, name, np.ones((15, 40)))


BAD_CONTENT = {
    "nothing usable": (no_pixel, "galaxy.h5: no filter has a usable pixel"),
    "small": (small_frames, r"images must have at least 16 pixels a side, got \(15, 40\)"),
    "shapes": (
        lambda f: replace(f, "F150W", np.ones((30, 30))),
        r"all images must have one shape, got F090W \(20, 24\), F150W \(30, 30\)",
    ),
    "cube": (
        lambda f: replace(f, "F150W", np.ones((2, 20, 24))),
        r"F150W must be a 2-D image, got shape \(2, 20, 24\)",
    ),
    "scalar": (
        lambda f: f.create_dataset("redshift", data=0.5),
        r"redshift must be a 2-D image, got shape \(\)",
    ),
    "text": (
        lambda f: replace(f, "F150W", np.full((20, 24), b"a")),
        r"F150W must hold real numbers, got type \|S1",
    ),
    "complex": (
        lambda f: replace(f, "F150W", np.ones((20, 24), complex)),
        "F150W must hold real numbers, got type complex128",
    ),
    "error shape": (
        lambda f: f.create_dataset("error/F150W", data=np.ones((20, 20))),
        r"error/F150W must have the shape of the image \(20, 24\), got \(20, 20\)",
    ),
    "mask shape": (
        lambda f: f.create_dataset("mask/F150W", data=np.ones((24, 20))),
        r"mask/F150W must have the shape of the image \(20, 24\), got \(24, 20\)",
    ),
    "two error groups": (
        lambda f: (f.create_group("err"), f.create_group("sigma")),
        "one group of errors is needed, got err and sigma",
    ),
    "unit": (
        lambda f: f.attrs.update(unit="furlongs"),
        "F090W: unit must be one that astropy knows, got 'furlongs'",
    ),
    "units": (
        lambda f: f["F150W"].attrs.update(unit="ct"),
        "units must convert into each other, got 'MJy/sr' and 'ct'",
    ),
    "pixel scale": (
        lambda f: f.attrs.update(pixel_scale=-1.0),
        r"F090W: pixel_scale must be a positive number \(arcsec\), got .*-1",
    ),
    "wcs": (
        lambda f: f.attrs.update(wcs="CTYPE1  = 'LINEAR'\nCTYPE2  = 'LINEAR'"),
        r"F090W: the WCS must be celestial, got axes \['LINEAR', 'LINEAR'\]",
    ),
    "empty": (
        lambda f: [f.pop(name) for name in ("F090W", "F150W")],
        "there is no dataset at the root, so no filter",
    ),
    "broken link": (
        lambda f: f.update({}) or replace(f, "F150W", h5py.SoftLink("/nowhere")),
        "F150W is a link that leads nowhere",
    ),
}


@pytest.mark.parametrize("case", BAD_CONTENT)
def test_content_that_cannot_be_used(edit, psf_file, case):
    change, message = BAD_CONTENT[case]
    filters = ["F090W", "F150W"] if case == "broken link" else None
    with pytest.raises(InputError, match=message) as caught:
        GalaxyModel.open(edit(change), psf_file=psf_file, filters=filters)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (
            ["F999W"],
            r"galaxy.h5: filter 'F999W' is not there; it has F090W, F150W .*mean 'F090W'\?\)",
        ),
        (["f150w"], r"filter 'f150w' is not there; .*\(did you mean 'F150W'\?\)"),
        (["K"], r"filter 'K' is not there; it has F090W, F150W$"),
        (["F150W", "F150W"], "filter 'F150W' is asked for 2 times"),
    ],
)
def test_filters_that_are_not_there(image_file, psf_file, filters, message):
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(image_file, psf_file=psf_file, filters=filters)


def test_many_filters_are_not_all_listed(edit, psf_file):
    def change(file):
        for i in range(20):
            file[f"M{i:03d}"] = np.ones((20, 24))

    with pytest.raises(InputError, match="M009 and 10 more"):
        GalaxyModel.open(edit(change), psf_file=psf_file, filters=["x"])


def test_files_that_are_not_images(tmp_path, psf_file, image_file):
    fits, text, broken = tmp_path / "a.fits", tmp_path / "a.txt", tmp_path / "broken.h5"
    fits.write_bytes(b"SIMPLE  =                    T".ljust(2880))
    text.write_text("hello")
    empty = tmp_path / "empty"
    empty.mkdir()
    broken.write_bytes(image_file.read_bytes()[:1000])
    for path, message in (
        (tmp_path / "nope.h5", "nope.h5: there is no such file"),
        (empty, "empty: there is no FITS file or Roman mosaic in this folder"),
        (fits, "a.fits: the FITS file is damaged .*Header missing END card"),
        (text, "a.txt: the kind of file is not known; what is read is HDF5, FITS"),
        (broken, "broken.h5: the HDF5 file is damaged"),
    ):
        with pytest.raises(InputError, match=message):
            GalaxyModel.open(path, psf_file=psf_file)


def test_psf_file_must_be_given(image_file):
    with pytest.raises(InputError, match="images need their PSFs: give psf_file"):
        GalaxyModel.open(image_file)


@pytest.mark.skipif(not REAL.exists(), reason="the real cutouts are not here")
def test_real_cutout():
    model = GalaxyModel.open(REAL / "g004.h5", psf_file=REAL / "psf_library.h5")
    assert len(model.bands) == 6
    masked = {name: band.mask.mean() for name, band in model.bands.items()}
    assert masked["F090W"] == pytest.approx(0.392, abs=1e-3)
    assert masked["F277W"] == 0
    assert all(band.psf.sum() == pytest.approx(1) for band in model.bands.values())


def test_psf_is_divided_by_its_sum(image_file, psf_file):
    psf = GalaxyModel.open(image_file, psf_file=psf_file).bands["F150W"].psf
    np.testing.assert_allclose(psf, make_psf(), atol=1e-8)
