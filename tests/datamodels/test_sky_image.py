import asdf
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from galstep.datamodels.model.image_data import pixel_area

from galstep.datamodels.images.embedded_wcs import read_embedded_wcs
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.testing.star_frames import tan_wcs

SHAPE = (12, 16)


def sky(wcs, x, y):
    """Right ascension and declination of a pixel."""
    return np.ravel(wcs.pixel_to_world_values(x, y))


class Meta:
    """Attributes of an image model."""

    def __init__(self, **values):
        vars(self).update(values)


@pytest.fixture
def data():
    return np.arange(192, dtype=np.float32).reshape(SHAPE)


@pytest.fixture
def mosaic(tmp_path, data):
    """A file in the manner of jwst, with two headers that must stay as they are."""
    header = tan_wcs(SHAPE).to_header()
    header["BUNIT"] = "MJy/sr"
    dq = np.zeros(SHAPE, np.uint32)
    dq[2, 3], dq[4, 5] = 1, 4
    primary = fits.PrimaryHDU()
    primary.header["FILTER"] = "F150W"
    path = tmp_path / "a_i2d.fits"
    hdus = [
        primary,
        fits.ImageHDU(data, header, name="SCI"),
        fits.ImageHDU(data + 1, name="ERR"),
        fits.ImageHDU(dq, name="DQ"),
    ]
    fits.HDUList(hdus).writeto(path)
    return path


def add_asdf(path, tree_text):
    """Put an ASDF extension into a file."""
    cell = np.frombuffer(tree_text, dtype=np.uint8)
    column = fits.Column("ASDF_METADATA", f"{len(cell)}B", array=cell[None])
    with fits.open(path, mode="append") as hdulist:
        hdulist.append(fits.BinTableHDU.from_columns([column], name="ASDF"))


def test_fits(mosaic, data):
    image = open_image(mosaic)
    assert image.name == "a_i2d"
    assert np.array_equal(image.data, data)
    assert np.array_equal(image.err, data + 1)
    assert image.unit == "MJy/sr"
    bad = image.bad_pixels()
    # bit 1 of DQ, and no other
    assert bad.sum() == 1
    assert bad[2, 3]
    assert image.bad_pixels(np.s_[2:3, 3:5]).tolist() == [[True, False]]
    assert sky(image.wcs, 7.5, 5.5) == pytest.approx((150.1, 2.2))


def test_first_image_of_a_plain_file(tmp_path, data):
    path = tmp_path / "plain.fits"
    fits.PrimaryHDU(data).writeto(path)
    image = open_image(path)
    assert image.wcs is None
    assert image.err is None
    assert pixel_area(image) is None


def test_no_image(tmp_path):
    path = tmp_path / "cube.fits"
    fits.PrimaryHDU(np.zeros((2, 3, 4))).writeto(path)
    with pytest.raises(InputError, match=r"cube.fits.PRIMARY. must be a 2-D image, got shape"):
        open_image(path)
    with pytest.raises(InputError, match=r"nope.fits: there is no such file"):
        open_image(tmp_path / "nope.fits")
    with pytest.raises(InputError, match="CCDData, or a model with data and meta.wcs, got int"):
        open_image(3)


@pytest.mark.parametrize("uncertainty", [StdDevUncertainty(np.full(SHAPE, 2.0)),
                                         VarianceUncertainty(np.full(SHAPE, 4.0))])  # fmt: skip
def test_ccddata(data, uncertainty):
    mask = data > 190
    ccd = CCDData(data, unit="adu", uncertainty=uncertainty, mask=mask, wcs=tan_wcs(SHAPE),
                  meta={"FILENAME": "b.fits"})  # fmt: skip
    image = open_image(ccd)
    assert image.name == "b"
    assert np.allclose(image.err, 2.0)
    assert np.array_equal(image.bad_pixels(), mask)
    assert image.unit == "adu"


def test_image_model(data):
    info = Meta(v2_ref=1.0, v3_ref=2.0, roll_ref=3.0, ra_ref=4.0)
    model = Meta(
        data=data, err=None, dq=np.ones(SHAPE, np.uint32),
        meta=Meta(filename="c_cal.fits", wcs="a wcs", wcsinfo=info, bunit_data="MJy/sr"),
    )  # fmt: skip
    image = open_image(model)
    assert image.name == "c_cal"
    assert image.wcs == "a wcs"
    assert image.wcsinfo == {"v2_ref": 1.0, "v3_ref": 2.0, "roll_ref": 3.0}
    assert image.err is None
    assert image.bad_pixels().all()


def test_saving_changes_the_wcs_and_nothing_else(mosaic, tmp_path, data):
    image = open_image(mosaic)
    image.wcs = tan_wcs(SHAPE, rotation=10.0, shift=(2.0, 0.0))
    path = image.save(tmp_path / "out.fits")
    with fits.open(path) as hdulist:
        assert [hdu.name for hdu in hdulist] == ["PRIMARY", "SCI", "ERR", "DQ"]
        assert hdulist[0].header["FILTER"] == "F150W"
        assert hdulist["SCI"].header["BUNIT"] == "MJy/sr"
        assert np.array_equal(hdulist["SCI"].data, data)
        assert np.array_equal(hdulist["DQ"].data[2], [0, 0, 0, 1] + [0] * 12)
    again = open_image(path).wcs
    for x, y in ((0, 0), (15, 3)):
        assert sky(again, x, y) == pytest.approx(sky(image.wcs, x, y), abs=1e-10)


def test_saving_what_has_no_file(tmp_path, data):
    image = SkyImage("d", data, data + 1, data > 190, tan_wcs(SHAPE), unit="MJy/sr")
    again = open_image(image.save(tmp_path / "d.fits"))
    assert np.array_equal(again.data, data)
    assert np.array_equal(again.err, data + 1)
    assert np.array_equal(again.bad_pixels(), data > 190)
    assert again.unit == "MJy/sr"
    assert sky(again.wcs, 1, 2) == pytest.approx(sky(image.wcs, 1, 2))


def test_a_copy_of_a_model_saves_itself(data, tmp_path):
    saved = []

    class Model(Meta):
        def copy(self):
            return Model(data=self.data, meta=Meta(**vars(self.meta)))

        def save(self, path):
            saved.append((path, self.meta.wcs))

    model = Model(data=data, meta=Meta(wcs="as it came", filename="e.fits"))
    image = open_image(model)
    image.wcs = "corrected"
    image.save(tmp_path / "e.fits")
    assert saved == [(str(tmp_path / "e.fits"), "corrected")]
    assert model.meta.wcs == "as it came"


def test_pixel_area():
    image = SkyImage("a", np.zeros(SHAPE), wcs=tan_wcs(SHAPE, centre=(10.0, 70.0)))
    assert pixel_area(image) == pytest.approx(np.radians(0.031 / 3600) ** 2, rel=1e-6)


def asdf_text(wcs, tmp_path):
    """The bytes of the extension, an array of which is in another one."""
    path = tmp_path / "tree.asdf"
    tree = {"meta": {"wcs": wcs, "wcsinfo": {"v2_ref": 1.0}, "note": "kept"}, "data": "PLACE"}
    asdf.AsdfFile(tree).write_to(path, all_array_storage="inline")
    array = b"data: !core/ndarray-1.1.0\n  source: fits:SCI,1\n  datatype: float32\n"
    array += b"  byteorder: big\n  shape: [12, 16]"
    return path.read_bytes().replace(b"data: PLACE", array)


def test_embedded_gwcs(mosaic, tmp_path, data):
    pytest.importorskip("gwcs")
    from galstep.testing.gwcs_models import mosaic_gwcs

    add_asdf(mosaic, asdf_text(mosaic_gwcs(tan_wcs(SHAPE), SHAPE), tmp_path))
    image = open_image(mosaic)
    assert image.wcs.available_frames == ["detector", "world"]
    assert image.fits_wcs is not None
    assert image.wcsinfo == {"v2_ref": 1.0}
    moved = tan_wcs(SHAPE, shift=(3.0, 1.0))
    image.wcs, image.fits_wcs = mosaic_gwcs(moved, SHAPE), moved
    path = image.save(tmp_path / "out.fits")
    again = open_image(path)
    expected = sky(moved, 4, 5)
    assert sky(again.wcs, 4, 5) == pytest.approx(expected, abs=1e-10)
    assert sky(again.fits_wcs, 4, 5) == pytest.approx(expected, abs=1e-10)
    with fits.open(path) as hdulist:
        text = np.asarray(hdulist["ASDF"].data["ASDF_METADATA"]).tobytes()
    # the rest of the tree is there, the reference to the image included
    assert b"note: kept" in text
    assert b"fits:SCI,1" in text


def test_extension_that_cannot_be_read(mosaic, caplog):
    add_asdf(mosaic, b"no ASDF at all")
    image = open_image(mosaic)
    assert "the ASDF extension cannot be read, the FITS WCS is used" in caplog.text
    assert image.fits_wcs is None
    assert sky(image.wcs, 7.5, 5.5) == pytest.approx((150.1, 2.2))


def test_no_extension(mosaic):
    with fits.open(mosaic) as hdulist:
        assert read_embedded_wcs(hdulist) == (None, None)
