"""Units of archives, and their way to MJy/sr, against numbers worked out by hand."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from mosaics import FLUX, SKY, flux_of, make_image, make_mosaic_wcs, plain_hdu, psf_of

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.calibration import surface_brightness_factor
from galstep.datamodels.images.image_source import Calibration
from galstep.exceptions import InputError

AREA = np.radians(0.05 / 3600) ** 2
SHAPE = (60, 70)
WCS = make_mosaic_wcs(SHAPE, 0.05)
IMAGE = make_image(SHAPE, WCS, 0.05)
LIGHT_SPEED = 2.99792458e18  # Angstrom / s


# f_nu of 1e-19 erg/s/cm2/A at 8045 A: 1e-19 8045^2 / c erg/s/cm2/Hz, 1e23 Jy each
FNU = 1e-19 * 8045.0**2 / LIGHT_SPEED * 1e23
AB = 3631e-6 / AREA  # MJy/sr of one image unit at zero point 0, to 0.01 %
CASES = {
    "brightness": ("kJy/sr", {}, 1e-3),
    "per arcsec2": ("Jy/arcsec2", {}, 1e-6 * np.degrees(3600) ** 2),
    "per pixel": ("uJy", {}, 1e-12 / AREA),
    "per pixel, said": ("nJy/pix", {}, 1e-15 / AREA),
    "jwst": ("DN/s", {"megajansky_per_sr": 2.5}, 2.5),
    "hst": ("electron/s", {"flam": 1e-19, "pivot": 8045.0}, FNU * 1e-6 / AREA),
    "fnu": ("electron/s", {"fnu": 1.5e-7}, 1.5e-13 / AREA),
    "exposure": ("electron", {"fnu": 1.5e-7, "exposure_time": 500.0}, 3e-16 / AREA),
    "per minute": ("DN/min", {"megajansky_per_sr": 2.4}, 0.04),
    "zero point": ("count", {"ab_zero_point": 25.0}, AB * 1e-10),
    "zero point first": ("DN/s", {"ab_zero_point": 25.0, "megajansky_per_sr": 9.0}, AB * 1e-10),
}


@pytest.mark.parametrize("case", CASES)
def test_factor(case):
    unit, known, expected = CASES[case]
    factor, reason = surface_brightness_factor(u.Unit(unit), AREA, Calibration(**known))
    assert factor == pytest.approx(expected, rel=1e-4 if "zero" in case else 1e-12)
    assert reason == ""


@pytest.mark.parametrize(
    ("unit", "known", "reason"),
    [
        ("electron/s", {}, "unit electron / s kept: no PHOTMJSR, PHOTFNU, PHOTFLAM with"),
        ("electron/s", {"flam": 1e-19}, "unit electron / s kept: no PHOTMJSR"),
        ("DN", {"megajansky_per_sr": 2.0}, "unit DN kept: no EXPTIME to make it a rate"),
        ("Jy/beam", {}, "unit Jy / beam kept: it is neither a brightness nor counts"),
    ],
)
def test_no_factor_and_why(unit, known, reason):
    factor, said = surface_brightness_factor(u.Unit(unit), AREA, Calibration(**known))
    assert factor is None
    assert said.startswith(reason)


KEYWORDS = {
    "jwst": ({"BUNIT": "DN/s", "PHOTMJSR": 2.5}, 2.5),
    "hst": ({"BUNIT": "ELECTRONS/S", "PHOTFLAM": 1e-19, "PHOTPLAM": 8045.0}, FNU * 1e-6 / AREA),
    "exposure": (
        {"BUNIT": "ELECTRONS", "PHOTFNU": 1.5e-7, "EXPTIME": 500.0},
        3e-16 / AREA,
    ),
    "dja": ({"BUNIT": "10.0*nanoJansky"}, 1e-14 / AREA),
    "zero point": ({"BUNIT": "counts", "ABZP": 25.0}, AB * 1e-10),
}


@pytest.mark.parametrize("case", KEYWORDS)
def test_one_sky_in_many_units(tmp_path, case):
    keywords, factor = KEYWORDS[case]
    image = plain_hdu(IMAGE / factor, WCS, "F814W", **keywords)
    error = fits.ImageHDU(np.full(SHAPE, 0.01 / factor), name="ERR")
    fits.HDUList([image, error]).writeto(tmp_path / "x.fits")
    band = GalaxyModel.open(tmp_path / "x.fits", psf_file=psf_of("F814W")).bands["F814W"]
    assert band.unit == "MJy/sr"
    assert flux_of(band) == pytest.approx(FLUX, rel=2e-3)
    np.testing.assert_allclose(band.data, IMAGE, rtol=1e-4)
    np.testing.assert_allclose(band.err, 0.01, rtol=1e-4)
    assert band.reasons == []


def test_zero_point_as_an_option(tmp_path):
    plain_hdu(IMAGE, WCS, "F814W", BUNIT="counts").writeto(tmp_path / "x.fits")
    options = {"psf_file": psf_of("F814W"), "ab_zero_point": 25.0}
    band = GalaxyModel.open(tmp_path / "x.fits", **options).bands["F814W"]
    np.testing.assert_allclose(band.data, IMAGE * AB * 1e-10, rtol=1e-4)


def test_unit_that_stays_says_why(tmp_path, caplog):
    plain_hdu(IMAGE, WCS, "F814W", BUNIT="ELECTRONS/S").writeto(tmp_path / "x.fits")
    band = GalaxyModel.open(tmp_path / "x.fits", psf_file=psf_of("F814W")).bands["F814W"]
    assert band.unit == "electron / s"
    np.testing.assert_array_equal(band.data, IMAGE)
    assert band.reasons[0].startswith("unit electron / s kept: no PHOTMJSR")
    assert "F814W: unit electron / s kept" in caplog.text


def test_filters_in_units_that_do_not_convert(tmp_path):
    plain_hdu(IMAGE, WCS, "F814W", BUNIT="ELECTRONS/S").writeto(tmp_path / "x.fits")
    plain_hdu(IMAGE, WCS, "F150W", BUNIT="MJy/sr").writeto(tmp_path / "y.fits")
    with pytest.raises(InputError, match="units must convert into each other, got 'electron / s'"):
        GalaxyModel.open(
            [tmp_path / "x.fits", tmp_path / "y.fits"], psf_file=psf_of("F814W", "F150W")
        )


class TestWeights:
    """Errors of an image that has none but a weight map."""

    NOISE = 0.01

    def opened(self, tmp_path, scale, weights="auto"):
        rng = np.random.default_rng(3)
        sigma = self.NOISE * np.where(np.arange(SHAPE[1]) < 35, 1.0, 2.0) * np.ones(SHAPE)
        image = plain_hdu(SKY + sigma * rng.normal(size=SHAPE), WCS, "F814W", BUNIT="MJy/sr")
        weight = fits.ImageHDU(1 / (scale * sigma) ** 2, name="WHT")
        weight.data[5] = 0
        fits.HDUList([image, weight]).writeto(tmp_path / "x.fits")
        options = {"psf_file": psf_of("F814W"), "weights": weights}
        band = GalaxyModel.open(tmp_path / "x.fits", **options).bands["F814W"]
        return band, sigma

    @pytest.mark.parametrize("weights", ["auto", "inverse_variance"])
    def test_inverse_variance(self, tmp_path, weights):
        band, sigma = self.opened(tmp_path, 1.0, weights)
        np.testing.assert_allclose(band.err[6:], sigma[6:], rtol=1e-12)
        assert band.mask.sum() == SHAPE[1]
        assert np.isnan(band.err[5]).all()
        assert band.reasons == []

    def test_scale_of_its_own_is_found_out(self, tmp_path, caplog):
        band, sigma = self.opened(tmp_path, 0.01)
        np.testing.assert_allclose(band.err[6:], sigma[6:], rtol=0.05)
        assert "the weights are taken as relative" in band.reasons[0]
        assert "scatter by" in caplog.text

    def test_relative(self, tmp_path):
        band, sigma = self.opened(tmp_path, 2.0, "relative")
        np.testing.assert_allclose(band.err[6:], sigma[6:], rtol=0.05)
        assert band.reasons == []

    def test_trusted_whatever_they_say(self, tmp_path):
        band, sigma = self.opened(tmp_path, 0.01, "inverse_variance")
        np.testing.assert_allclose(band.err[6:], 0.01 * sigma[6:], rtol=1e-12)

    def test_ignored_but_for_no_data(self, tmp_path):
        band, _ = self.opened(tmp_path, 1.0, "ignore")
        assert band.err is None
        assert band.mask.sum() == SHAPE[1]
