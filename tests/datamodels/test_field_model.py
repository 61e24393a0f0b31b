"""A field as it travels, and as it is saved and read again."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from galstep.datamodels.field.field_data import FieldBlock, FieldMeta

from galstep.datamodels.field.field_band import FieldBand, FieldPsf
from galstep.datamodels.field.field_catalog import empty_start
from galstep.datamodels.field.field_io import is_field_product
from galstep.datamodels.field.field_model import FieldModel
from galstep.datamodels.field.field_pixels import BRIGHT, INVALID, SATURATED, ellipse_mask
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.flags import FieldFlag
from galstep.pixel_map import PixelMap
from galstep.testing.differences import differences

RNG = np.random.default_rng(3)


class Part:
    """A box as core has it."""

    def __init__(self, x0, y0, x1, y1):
        self.x0, self.y0, self.x1, self.y1 = x0, y0, x1, y1


@pytest.fixture
def image_file(tmp_path):
    data = RNG.normal(10, 1, (40, 50)).astype("f4")
    data[3, 4], data[20, 30] = np.nan, 5e4
    path = tmp_path / "g.fits"
    fits.PrimaryHDU(data).writeto(path)
    return path


def make_model(image_file):
    """A model of two bands, one in a file and one in memory, with a fit."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [10.0, 20.0]
    wcs.wcs.cd = np.eye(2) * 1e-4
    g = FieldBand("g", str(image_file), (40, 50), scale=2.0, saturation=4e4, sky_sigma=1.0)
    g.wcs, g.gain = wcs, 4.0
    g.psf = FieldPsf({"law": "SingleLaw", "values": np.ones((5, 5)), "oversample": 1}, 3, 2.5)
    r = FieldBand("r", SkyImage("r", RNG.normal(0, 1, (40, 50))), (40, 50), sky_sigma=1.0)
    r.pixel_map = PixelMap(((0.5, 0.0), (0.0, 0.5)), (1.0, 2.0))
    start = empty_start(3, ["g", "r"])
    start["id"], start["row"] = ["00019", "b", "gaia_1"], [0, 1, -1]
    start["x"], start["y"], start["flags"] = [3.0, np.nan, 9.0], [1.0, 2.0, 3.0], [0, 65540, 256]
    model = FieldModel(FieldMeta("x", "x.txt"), {"g": g, "r": r}, start)
    model.covariance = [np.array([[2.0, 1.0], [1.0, 3.0]]), np.zeros((0, 0)), np.eye(3)]
    model.covariance_names = [["x", "y"], [], ["x", "y", "flux_g"]]
    rows, counts = np.array([0, 2]), np.array([9, 8])
    model.blocks = [FieldBlock(0, 0, 0, 50, 40, rows, 5, np.ones(2), counts, np.zeros((2, 1)), 0.1)]
    model.ellipses = np.array([[30.0, 20.0, 4.0, 2.0, 0.3]])
    model.inputs["note"] = ["a", "b", ""]
    model.meta.cal_step.gal_loadfield = "COMPLETE"
    return model


def test_what_is_saved_is_read_again(image_file, tmp_path):
    model = make_model(image_file)
    path = model.save(tmp_path / "x_field.asdf")
    assert is_field_product(path)
    assert not is_field_product(image_file)
    again = FieldModel.open(path)
    for name in ("start", "catalog", "inputs"):
        one, other = getattr(model, name), getattr(again, name)
        assert one.colnames == other.colnames
        for column in one.colnames:
            assert one[column].dtype == other[column].dtype, column
            assert getattr(one[column], "unit", None) == getattr(other[column], "unit", None)
            assert one[column].info.description == other[column].info.description
            np.testing.assert_array_equal(
                np.asarray(one[column]), np.asarray(other[column]), err_msg=column
            )
    assert all(map(np.array_equal, model.covariance, again.covariance))
    assert again.covariance_names == model.covariance_names
    assert not list(differences(vars(model.blocks[0]), vars(again.blocks[0])))
    np.testing.assert_array_equal(again.ellipses, model.ellipses)
    assert again.bands["g"].path == str(image_file)
    assert again.bands["r"].pixel_map == model.bands["r"].pixel_map
    np.testing.assert_array_equal(again.bands["r"].source.data, model.bands["r"].source.data)
    assert again.bands["g"].psf.law["law"] == "SingleLaw"
    assert list(again.bands) == ["g", "r"]
    assert again.meta == model.meta
    # a second round gives the very same file but for its order of blocks
    assert FieldModel.open(again.save(tmp_path / "y_field.asdf")).meta == model.meta


def test_a_copy_shares_images_and_nothing_else(image_file):
    model = make_model(image_file)
    other = model.copy()
    other.start["x"][0] = 7.0
    other.bands["g"].scale = 9.0
    other.ellipses[0, 0] = 0.0
    assert model.start["x"][0] == 3.0 and model.bands["g"].scale == 2.0
    assert model.ellipses[0, 0] == 30.0
    assert other.bands["r"].source is model.bands["r"].source


def test_pixels_are_scaled_and_masked(image_file):
    model = make_model(image_file)
    pixels = model.bands["g"].pixels(model.ellipses)
    data = fits.getdata(image_file).astype(float)
    read = pixels.read(Part(2, 1, 50, 40))
    bits = pixels.mask_bits(Part(2, 1, 50, 40))
    assert read.sigma is None
    assert bits[2, 2] == INVALID
    assert bits[19, 28] == SATURATED | BRIGHT
    np.testing.assert_array_equal(bits != 0, read.mask)
    np.testing.assert_allclose(read.data[~read.mask], 2 * data[1:, 2:][~read.mask])
    y, x = np.mgrid[1:40, 2:50]
    c, s = np.cos(0.3), np.sin(0.3)
    u, v = (x - 30) * c + (y - 20) * s, (y - 20) * c - (x - 30) * s
    np.testing.assert_array_equal(bits & BRIGHT != 0, (u / 4) ** 2 + (v / 2) ** 2 <= 1)


def test_a_mask_of_bright_light_on_another_grid(image_file):
    model = make_model(image_file)
    bits = model.bands["r"].pixels(model.ellipses).mask_bits(Part(0, 0, 50, 40))
    rows, columns = np.nonzero(bits & BRIGHT)
    # half as many pixels: centre at (30, 20) / 2 + (1, 2)
    assert abs(columns.mean() - 16) < 0.5 and abs(rows.mean() - 12) < 0.5
    assert abs(len(rows) - np.pi * 4 * 2 / 4) <= 2


def test_identity_follows_what_it_is_made_of(image_file):
    model = make_model(image_file)
    first = model.bands["g"].pixels().identity
    assert model.bands["g"].pixels().identity == first
    assert model.bands["g"].pixels(model.ellipses).identity != first
    model.bands["g"].scale = 3.0
    assert model.bands["g"].pixels().identity != first
    model.bands["g"].scale = 2.0
    data = fits.getdata(image_file)
    data[0, 0] += 1
    fits.PrimaryHDU(data).writeto(image_file, overwrite=True)
    assert model.bands["g"].pixels().identity != first


def test_ellipses_over_an_edge():
    mask = ellipse_mask([[0.0, 0.0, 3.0, 3.0, 0.0], [100.0, 5.0, 2.0, 2.0, 0.0]], (0, 0), (9, 9))
    assert mask[0, 3] and not mask[0, 4] and not mask[3, 3]


def test_flags_say_what_is_reliable(image_file):
    model = make_model(image_file)
    assert list(model.catalog["reliable"]) == [False] * 3, "nothing is measured yet"
    assert "no position" in str(model.catalog["issues"][1])
    assert FieldFlag(int(model.catalog["flags"][2])) == FieldFlag.ADDED


@pytest.mark.parametrize("damage", ["cut", "no schema", "rows"])
def test_damaged_files_are_told(image_file, tmp_path, damage):
    path = tmp_path / "x_field.asdf"
    model = make_model(image_file)
    model.save(path)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "no schema":
        path.write_bytes(content.replace(b"zp_ref:", b"zp_rev:"))
    else:
        path.write_bytes(content.replace(b"length: 3", b"length: 4"))
    with pytest.raises(InputError, match="x_field.asdf"):
        FieldModel.open(path)
