"""FITS images: every layout that is read, and every message for what cannot be."""

import logging

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from mosaics import FLUX, SKY, flux_of, i2d_hdus, make_image, make_mosaic_wcs, plain_hdu, psf_of

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.fits_input import companion_role
from galstep.exceptions import InputError

SHAPE = (60, 70)
WCS = make_mosaic_wcs(SHAPE)
IMAGE = make_image(SHAPE, WCS, noise=0.01)


def opened(path, *filters, **options):
    return GalaxyModel.open(path, psf_file=psf_of(*filters), **options)


def written(tmp_path, *hdus, name="galaxy.fits"):
    path = tmp_path / name
    fits.HDUList(list(hdus)).writeto(path)
    return path


class TestI2d:
    """The layout of jwst."""

    @pytest.fixture
    def band(self, tmp_path):
        path = tmp_path / "jw01234_f150w_i2d.fits"
        i2d_hdus().writeto(path)
        model = opened(path, "F150W")
        assert model.meta.name == "jw01234_f150w_i2d"
        assert model.meta.filename == "jw01234_f150w_i2d.fits"
        assert model.meta.input_shape == (80, 100)
        return model.bands["F150W"]

    def test_pixels(self, band):
        assert band.data.dtype == np.dtype("=f8")
        assert flux_of(band) == pytest.approx(FLUX, rel=1e-6)
        assert band.pixel_scale == pytest.approx(0.04, rel=1e-8)
        assert (band.unit, band.origin, band.input_shape) == ("MJy/sr", (0, 0), (80, 100))

    def test_no_weight_and_no_number_are_bad(self, band):
        expected = np.zeros((80, 100), bool)
        expected[0] = expected[:, 0] = True
        np.testing.assert_array_equal(band.mask, expected)

    def test_error_extension_wins_over_variances_and_weights(self, band):
        np.testing.assert_allclose(band.err[:, 1:], 0.01, rtol=1e-6)
        assert band.reasons == []

    def test_wcs(self, band):
        ra, dec = band.sky_position(49.5, 39.5)
        assert (float(ra), float(dec)) == pytest.approx((202.47, 47.195), abs=1e-9)


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
def test_one_plain_image(tmp_path, ending):
    path = tmp_path / f"galaxy.{ending}"
    plain_hdu(IMAGE.astype(">f4"), WCS, "F150W", BUNIT="MJy/sr").writeto(path)
    model = opened(path, "F150W")
    assert (model.filters, model.meta.name) == (("F150W",), "galaxy")
    band = model.bands["F150W"]
    np.testing.assert_allclose(band.data, IMAGE, rtol=1e-6)
    assert band.err is None
    assert not band.mask.any()


def test_compressed_and_scaled_images(tmp_path):
    scaled = fits.ImageHDU(np.round(IMAGE * 1e3).astype("i2"), name="SCI", header=WCS.to_header())
    scaled.header.update(FILTER="F150W", BSCALE=1e-3, BUNIT="MJy/sr")
    packed = fits.CompImageHDU(IMAGE.astype("f4"), compression_type="GZIP_2", name="SCI")
    packed.header.update(FILTER="F150W", BUNIT="MJy/sr")
    for name, hdu in (("scaled.fits", scaled), ("packed.fits", packed)):
        path = written(tmp_path, fits.PrimaryHDU(), hdu, name=name)
        band = opened(path, "F150W").bands["F150W"]
        np.testing.assert_allclose(band.data, IMAGE, atol=1e-3)


def several(key):
    """Three filters in one file, told apart by ``key``: the version or the name."""
    hdus = [fits.PrimaryHDU()]
    for i, name in enumerate(("F090W", "F150W", "F277W"), 1):
        for role, image in (("SCI", IMAGE * i), ("ERR", np.full(SHAPE, 0.01 * i))):
            hdu = fits.ImageHDU(image, WCS.to_header(), ver=i if key == "version" else 1)
            hdu.header.update(BUNIT="MJy/sr")
            hdu.name = role if key == "version" else {"SCI": name, "ERR": f"{name}_ERR"}[role]
            if key == "version":
                hdu.header["FILTER"] = name
            hdus.append(hdu)
    return hdus


@pytest.mark.parametrize("key", ["version", "name"])
def test_several_filters_in_one_file(tmp_path, key):
    path = written(tmp_path, *several(key))
    filters = ("F090W", "F150W", "F277W")
    model = opened(path, *filters)
    assert model.filters == filters
    for i, band in enumerate(model.bands.values(), 1):
        np.testing.assert_allclose(band.data, IMAGE * i)
        np.testing.assert_allclose(band.err, 0.01 * i)
    assert opened(path, *filters, filters=["F277W"]).filters == ("F277W",)


def test_extensions_named_as_filters_of_other_systems(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for name in ("g", "Ks"):
        hdus.append(fits.ImageHDU(IMAGE, WCS.to_header(), name=name))
    path = written(tmp_path, *hdus)
    assert opened(path, "G", "KS", filters=["G", "KS"]).filters == ("G", "KS")
    with pytest.raises(InputError, match=r"there is no image \(extension SCI\); it has PRIMARY \("):
        opened(path, "G")


@pytest.mark.parametrize(
    ("names", "planes"),
    [
        (["VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"], [9e-6, 4e-6, 3e-6]),
        (["VAR"], [16e-6]),
        (["ERR"], [4e-3]),
        (["wht"], [1 / 16e-6]),
    ],
)
def test_where_the_error_comes_from(tmp_path, names, planes):
    image = fits.ImageHDU(make_image(SHAPE, WCS, noise=4e-3), name="SCI")
    image.header.update(FILTER="F150W", BUNIT="MJy/sr")
    hdus = [fits.ImageHDU(np.full(SHAPE, v), name=n) for n, v in zip(names, planes, strict=True)]
    path = written(tmp_path, fits.PrimaryHDU(), image, *hdus)
    band = opened(path, "F150W").bands["F150W"]
    np.testing.assert_allclose(band.err, 4e-3, rtol=1e-12)


@pytest.mark.parametrize(("bits", "bad"), [(1, [3, 5]), (0, []), (4, [4, 5]), (-1, [3, 4, 5])])
def test_data_quality_bits(tmp_path, bits, bad):
    quality = np.zeros(SHAPE, np.uint32)
    quality[10, 3:6] = 1, 4, 5
    image = fits.ImageHDU(IMAGE, name="SCI")
    image.header.update(FILTER="F150W")
    path = written(tmp_path, fits.PrimaryHDU(), image, fits.ImageHDU(quality, name="DQ"))
    band = opened(path, "F150W", bad_dq_bits=bits).bands["F150W"]
    assert np.argwhere(band.mask).tolist() == [[10, x] for x in bad]


def test_what_ccddata_writes(tmp_path):
    mask = np.zeros(SHAPE, bool)
    mask[7, 8] = True
    image = CCDData(IMAGE, StdDevUncertainty(np.full(SHAPE, 0.02)), mask, wcs=WCS, unit="MJy/sr")
    image.meta["FILTER"] = "F150W"
    image.write(tmp_path / "ccd.fits")
    band = opened(tmp_path / "ccd.fits", "F150W").bands["F150W"]
    np.testing.assert_allclose(band.data, IMAGE)
    np.testing.assert_allclose(band.err, 0.02)
    assert np.argwhere(band.mask).tolist() == [[7, 8]]


def test_zeros_are_no_data_only_where_nothing_else_tells(tmp_path):
    data = IMAGE.copy()
    data[:3] = 0
    image = fits.ImageHDU(data, name="SCI")
    image.header.update(FILTER="F150W")
    alone = written(tmp_path, fits.PrimaryHDU(), image.copy())
    assert opened(alone, "F150W").bands["F150W"].mask.sum() == 3 * SHAPE[1]
    quality = fits.ImageHDU(np.zeros(SHAPE, "i2"), name="DQ")
    told = written(tmp_path, fits.PrimaryHDU(), image, quality, name="told.fits")
    assert not opened(told, "F150W").bands["F150W"].mask.any()


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"FILTER": "F444W", "PUPIL": "F405N"}, "F405N"),  # NIRCam
        ({"FILTER": "CLEAR", "PUPIL": "F115W"}, "F115W"),  # NIRISS
        ({"FILTER": "F770W"}, "F770W"),  # MIRI
        ({"FILTER1": "CLEAR1L", "FILTER2": "F814W"}, "F814W"),  # ACS
        ({"FILTER": "F160W"}, "F160W"),  # WFC3
        ({"FILTNAM1": "F555W", "FILTNAM2": ""}, "F555W"),  # WFPC2
        ({"FILTER": "r"}, "r"),
    ],
)
def test_name_of_the_filter(tmp_path, keywords, name):
    plain_hdu(IMAGE, WCS, **keywords).writeto(tmp_path / "x.fits")
    assert opened(tmp_path / "x.fits", name).filters == (name,)


def test_filter_in_the_name_of_the_file(tmp_path):
    plain_hdu(IMAGE, WCS).writeto(tmp_path / "ngc1_f850lp_v2.fits")
    assert opened(tmp_path / "ngc1_f850lp_v2.fits", "F850LP").filters == ("F850LP",)


def test_keyword_of_the_pixel_size_without_wcs(tmp_path):
    area = np.radians(0.031 / 3600) ** 2
    for i, (keyword, value) in enumerate((("PIXAR_SR", area), ("PIXAR_A2", 0.031**2))):
        plain_hdu(IMAGE, None, "F150W", **{keyword: value}).writeto(tmp_path / f"{i}.fits")
        band = opened(tmp_path / f"{i}.fits", "F150W", pixel_scale=9.0).bands["F150W"]
        assert band.pixel_scale == pytest.approx(0.031, rel=1e-9)
        assert band.wcs is None


def test_wcs_wins_over_a_keyword_that_disagrees(tmp_path, caplog):
    plain_hdu(IMAGE, WCS, "F150W", PIXAR_A2=0.05**2).writeto(tmp_path / "x.fits")
    band = opened(tmp_path / "x.fits", "F150W").bands["F150W"]
    assert band.pixel_scale == pytest.approx(0.04, rel=1e-8)
    assert "pixels are 0.04 arcsec wide by the WCS, which is used, and 0.05 by" in caplog.text


def test_unit_that_is_not_told_is_said(tmp_path, caplog):
    plain_hdu(IMAGE, WCS, "F150W").writeto(tmp_path / "x.fits")
    with caplog.at_level(logging.INFO):
        assert opened(tmp_path / "x.fits", "F150W").bands["F150W"].unit == "MJy/sr"
    assert "x.fits[PRIMARY]: its unit is not told, taken as MJy/sr" in caplog.text


class TestMessages:
    """One line each."""

    def refused(self, path, message, *filters, **options):
        with pytest.raises(InputError, match=message) as caught:
            opened(path, *(filters or ("F150W",)), **options)
        assert caught.value.exit_status == 2
        assert "\n" not in str(caught.value)

    def test_no_image(self, tmp_path):
        table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.ones(3))], name="T")
        other = fits.ImageHDU(IMAGE, name="CON")
        path = written(tmp_path, fits.PrimaryHDU(), table, other)
        self.refused(
            path,
            r"galaxy.fits: there is no image \(extension SCI\); it has PRIMARY \(no image\), "
            r"T \(no image\), CON \(60x70\)",
        )

    def test_no_filter(self, tmp_path):
        first = written(tmp_path, plain_hdu(IMAGE, WCS))
        (tmp_path / "second").mkdir()
        second = written(tmp_path / "second", plain_hdu(IMAGE, WCS))
        message = r"galaxy.fits\[PRIMARY\]: no keyword tells the filter; give filters, one for each"
        self.refused([first, second], message)

    def test_filter_that_is_not_there(self, tmp_path):
        path = written(tmp_path, *several("name"))
        self.refused(
            path,
            r"galaxy.fits: filter 'F151W' is not there; it has F090W, F150W, F277W .*'F150W'\?",
            filters=["F151W"],
        )

    def test_two_images_of_a_filter(self, tmp_path):
        chips = []
        for version in (1, 2):
            chip = fits.ImageHDU(IMAGE, name="SCI", ver=version)
            chip.header["FILTER"] = "F814W"
            chips.append(chip)
        path = written(tmp_path, fits.PrimaryHDU(), *chips)
        self.refused(path, r"one image of filter 'F814W' is needed, got .*\[SCI\] and .*\[SCI,2\]")

    def test_cube(self, tmp_path):
        cube = fits.ImageHDU(np.ones((3, *SHAPE)), name="SCI")
        path = written(tmp_path, fits.PrimaryHDU(), cube)
        self.refused(path, r"galaxy.fits\[SCI\] must be a 2-D image, got shape \(3, 60, 70\)")

    def test_plane_of_another_shape(self, tmp_path):
        image = fits.ImageHDU(IMAGE, name="SCI")
        path = written(tmp_path, fits.PrimaryHDU(), image, fits.ImageHDU(IMAGE[1:], name="ERR"))
        self.refused(path, r"\[ERR\] must have the shape of the image \(60, 70\), got \(59, 70\)")

    def test_unknown_unit(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W", BUNIT="furlongs"))
        self.refused(path, r"\[PRIMARY\]: unit must be one that astropy knows, got 'furlongs'")

    @pytest.mark.parametrize(
        ("keyword", "value", "message"),
        [
            ("PHOTFLAM", "none", "PHOTFLAM must be a number, got 'none'"),
            ("PIXAR_SR", -1.0, "PIXAR_SR must be positive, got -1.0"),
            ("ABZP", "bright", "ABZP must be a number, got 'bright'"),
        ],
    )
    def test_keyword_that_is_no_number(self, tmp_path, keyword, value, message):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W", **{keyword: value}))
        self.refused(path, rf"galaxy.fits\[PRIMARY\]: {message}")

    def test_wcs_that_is_none(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W", CTYPE1="RA---XXX"))
        self.refused(path, r"galaxy.fits\[PRIMARY\]: the WCS cannot be read")

    @pytest.mark.parametrize("axes", [99999999, 0, "two"])
    def test_axes_that_no_image_has(self, tmp_path, axes):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W", WCSAXES=axes))
        self.refused(path, rf"galaxy.fits\[PRIMARY\]: WCSAXES must be 1 to 9, got '?{axes}")

    def test_singular_wcs(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W", CDELT1=0.0))
        self.refused(path, r"galaxy.fits\[PRIMARY\]: the WCS (is singular|cannot be read)")

    @pytest.mark.parametrize("kept", [100, 6000])
    def test_damaged_file(self, tmp_path, kept):
        path = written(tmp_path, plain_hdu(IMAGE, WCS, "F150W"))
        path.write_bytes(path.read_bytes()[:kept])
        self.refused(path, "galaxy.fits: the FITS file is damaged")

    def test_small_image(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE[:10], None, "F150W"))
        self.refused(path, r"images must have at least 16 pixels a side, got \(10, 70\)")

    def test_psf_of_no_filter(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE, None, "F150W"))
        self.refused(path, "psf_file: filter 'F150W' is not there; it has F090W", "F090W")

    def test_no_psf(self, tmp_path):
        path = written(tmp_path, plain_hdu(IMAGE, None, "F150W"))
        with pytest.raises(InputError, match="galaxy.fits: images need their PSFs: give psf_file"):
            GalaxyModel.open(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_drz_sci.fits", ("a_drz", "data")),
        ("a_drz_wht.fits.gz", ("a_drz", "weight")),
        ("a-RMS.fit", ("a", "err")),
        ("a_var.fits.fz", ("a", "variances")),
        ("a_dq.fits", ("a", "dq")),
        ("a_i2d.fits", ("a_i2d", None)),
    ],
)
def test_role_in_the_name_of_a_file(name, expected):
    assert companion_role(f"/data/{name}") == expected


def test_the_sky_of_the_scene_is_what_the_images_hold():
    assert np.median(IMAGE) == pytest.approx(SKY, abs=0.02)
