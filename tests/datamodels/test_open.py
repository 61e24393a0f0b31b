"""Lists, folders and mappings of images; what a galaxy is called after its input."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from duck_images import image_model, mosaic_model
from mosaics import i2d_hdus, make_image, make_mosaic_wcs, plain_hdu, psf_of
from sample_models import make_model

from galstep.datamodels import GalaxyModel
from galstep.datamodels.input.input_name import input_name
from galstep.exceptions import InputError

SHAPE = (60, 70)
WCS = make_mosaic_wcs(SHAPE)
IMAGE = make_image(SHAPE, WCS)
FILTERS = ("F090W", "F150W")


def opened(source, *filters, **options):
    return GalaxyModel.open(source, psf_file=psf_of(*(filters or FILTERS)), **options)


@pytest.fixture
def folder(tmp_path):
    """A file per filter, and what else may lie about."""
    folder = tmp_path / "ngc1"
    folder.mkdir()
    for name in FILTERS:
        i2d_hdus(name).writeto(folder / f"ngc1_{name.lower()}_i2d.fits")
    (folder / "notes.txt").write_text("hello")
    (folder / "more").mkdir()
    make_model().save(folder / "ngc1_gal.asdf")
    return folder


def test_folder(folder):
    model = opened(folder)
    assert model.filters == FILTERS
    assert model.meta.name == "ngc1"
    assert opened(folder, filters=["F150W", "F090W"]).filters == ("F150W", "F090W")


def test_list_of_files(folder):
    files = sorted(folder.glob("*.fits"))
    model = opened(files)
    assert (model.filters, model.meta.name) == (FILTERS, "ngc1")
    assert opened([str(path) for path in files[::-1]]).filters == FILTERS[::-1]


def test_list_of_hdf5_files(tmp_path):
    for name in FILTERS:
        with h5py.File(tmp_path / f"x_{name}.h5", "w") as file:
            file[name] = IMAGE
    files = sorted(tmp_path.glob("*.h5"))
    assert opened(files, filters=["F150W", "F090W"]).filters == ("F150W", "F090W")
    with pytest.raises(InputError, match="input: filter 'F277W' is not there; it has F090W, F150W"):
        opened(files, filters=["F277W"])


def test_mapping_names_the_filters(folder):
    files = dict(zip(("blue", "red"), sorted(folder.glob("*.fits")), strict=True))
    assert opened(files, "blue", "red").filters == ("blue", "red")


def test_mapping_takes_its_filter_out_of_a_file_of_many(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for i, name in enumerate(FILTERS, 1):
        hdus.append(fits.ImageHDU(i * IMAGE, WCS.to_header(), name=name))
    fits.HDUList(hdus).writeto(tmp_path / "x.fits")
    model = opened({"F150W": tmp_path / "x.fits"}, "F150W")
    np.testing.assert_allclose(model.bands["F150W"].data, 2 * IMAGE)
    with pytest.raises(
        InputError, match="x.fits: filter 'F277W' is not there; it has F090W, F150W"
    ):
        opened({"F277W": tmp_path / "x.fits"}, "F277W")


def test_models_of_two_telescopes():
    model = opened([image_model("F150W"), mosaic_model("F158")], "F150W", "F158")
    assert model.filters == ("F150W", "F158")


def test_hdus_that_are_open():
    with i2d_hdus() as hdus:
        assert opened(hdus, "F150W").filters == ("F150W",)


class TestCompanions:
    """``x_sci.fits`` with ``x_wht.fits`` and others beside it."""

    @pytest.fixture
    def files(self, tmp_path):
        planes = {
            "sci": IMAGE,
            "wht": np.full(SHAPE, 2500.0),
            "dq": np.eye(*SHAPE, dtype="i2"),
        }
        for name in FILTERS:
            for role, plane in planes.items():
                plain_hdu(plane, WCS, name, BUNIT="MJy/sr").writeto(
                    tmp_path / f"m51-{name.lower()}_drc_{role}.fits"
                )
        return tmp_path

    def test_they_are_put_together(self, files):
        model = opened(files, weights="inverse_variance")
        assert model.filters == FILTERS
        for band in model.bands.values():
            assert band.mask.sum() == min(SHAPE)
            np.testing.assert_allclose(band.err, 0.02, rtol=1e-12)

    def test_variance(self, files):
        path = files / "m51-f150w_drc_var.fits"
        plain_hdu(np.full(SHAPE, 9e-4), WCS, "F150W").writeto(path)
        bands = opened(files, weights="ignore").bands
        assert bands["F090W"].err is None
        np.testing.assert_allclose(bands["F150W"].err, 0.03, rtol=1e-12)

    def test_without_its_image(self, files):
        (files / "m51-f150w_drc_sci.fits").unlink()
        message = r"m51-f150w_drc_.*by its name it belongs to one image file beside it, .* are 0"
        with pytest.raises(InputError, match=message):
            opened(files)

    def test_of_another_shape(self, files):
        path = files / "m51-f150w_drc_dq.fits"
        path.unlink()
        plain_hdu(np.zeros((40, 40), "i2"), None, "F150W").writeto(path)
        message = (
            r"f150w_drc_dq.fits\[PRIMARY\] must have the shape of the image \(60, 70\), got \(4"
        )
        with pytest.raises(InputError, match=message):
            opened(files)


class TestMessages:
    def test_two_files_of_a_filter(self, folder):
        i2d_hdus("F150W").writeto(folder / "other_f150w.fits")
        message = "one image of filter 'F150W' is needed, got .*ngc1_f150w_i2d.* and .*other_f150w"
        with pytest.raises(InputError, match=message):
            opened(folder)

    def test_missing_file_in_a_list(self, folder):
        with pytest.raises(InputError, match="input nowhere.fits: there is no such file"):
            opened([*folder.glob("*.fits"), "nowhere.fits"])

    def test_product_among_images(self, folder):
        with pytest.raises(InputError, match="a galstep product is opened by itself, not among"):
            opened(sorted(folder.glob("*1*")))

    @pytest.mark.parametrize("things", [[3], [None], {"F150W": 3}])
    def test_what_is_no_image(self, things):
        with pytest.raises(
            InputError, match="input must be a path, an array, NDData, an image model of jwst"
        ):
            opened(things)

    def test_array_without_a_filter(self):
        with pytest.raises(InputError, match="has PSFs of F090W, F150W: say which it is"):
            opened(IMAGE)
        assert opened(IMAGE, "F150W").filters == ("F150W",)

    def test_array_that_is_no_image(self):
        message = r"input\['F150W'\] must be a 2-D image of real numbers, got shape \(4,\)"
        with pytest.raises(InputError, match=message):
            opened({"F150W": np.ones(4)}, "F150W")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/data/g260.h5", ("g260", "g260.h5")),
        ("jw_i2d.fits.gz", ("jw_i2d", "jw_i2d.fits.gz")),
        ("/data/m51.v2", ("m51.v2", "m51.v2")),
        (["a/m51_f090w.fits", "a/m51_f150w.fits"], ("m51", "")),
        (["a/m51-F606W.fits", "a/m51-F814W.fits"], ("m51", "")),
        (["a/m51_f090w.fits"], ("m51_f090w", "m51_f090w.fits")),
        (["a/x.fits", "a/y.fits"], ("galaxy", "")),
        ({"g": "a/m51_g.fits", "r": "a/m51_r.fits"}, ("m51", "")),
        ({"g": np.ones((3, 3))}, ("galaxy", "")),
        (image_model(), ("jw01234_f150w_i2d", "jw01234_f150w_i2d.fits")),
        (mosaic_model(), ("r00001_skycell_f158", "r00001_skycell_f158.asdf")),
        (3, ("galaxy", "")),
    ],
)
def test_name(source, expected):
    assert input_name(source) == expected


def test_a_file_opened_is_closed_again(folder):
    path = folder / "ngc1_f150w_i2d.fits"
    model = opened(path, "F150W")
    before = model.bands["F150W"].data.copy()
    path.write_bytes(b"\0" * path.stat().st_size)
    np.testing.assert_array_equal(model.bands["F150W"].data, before)
