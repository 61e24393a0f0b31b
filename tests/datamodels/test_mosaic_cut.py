"""The galaxy cut out of mosaics by its sky position, each on its own grid."""

import logging

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.nddata import Cutout2D
from duck_images import LikeGwcs, image_model
from mosaics import DEC, FLUX, RA, flux_of, make_image, make_mosaic_wcs, plain_hdu, psf_of

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.mosaic_cut import Cut, fits_wcs, pixel_side
from galstep.exceptions import InputError, ParameterError
from galstep.flags import BandFlag

# filter: shape, pixel scale, rotation, (x, y) of the galaxy from the middle
GRIDS = {
    "F090W": ((200, 220), 0.02, 0.0, (10.3, -7.8)),
    "F150W": ((120, 140), 0.03, 33.0, (-5.4, 3.1)),
    "F277W": ((60, 80), 0.06, -70.0, (8.0, 0.0)),
}


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, (shape, scale, rotation, offset) in GRIDS.items():
        wcs = make_mosaic_wcs(shape, scale, rotation, offset)
        path = tmp_path / f"m51_{name.lower()}.fits"
        plain_hdu(make_image(shape, wcs, scale), wcs, name, BUNIT="MJy/sr").writeto(path)
        paths.append(path)
    return paths


def opened(source, *filters, **options):
    return GalaxyModel.open(source, psf_file=psf_of(*(filters or GRIDS)), **options)


class TestOnEachGrid:
    SIZE = 2.4

    @pytest.fixture
    def model(self, files):
        return opened(files, ra=RA, dec=DEC, size=self.SIZE)

    @pytest.mark.parametrize("name", GRIDS)
    def test_pixels_are_those_of_the_mosaic(self, model, name):
        shape, scale, rotation, offset = GRIDS[name]
        wcs = make_mosaic_wcs(shape, scale, rotation, offset)
        n = round(self.SIZE / scale)
        place = SkyCoord(RA, DEC, unit="deg")
        expected = Cutout2D(make_image(shape, wcs, scale), place, (n, n), wcs)
        band = model.bands[name]
        np.testing.assert_array_equal(band.data, expected.data)
        assert band.origin == expected.origin_original
        assert band.input_shape == shape
        assert band.pixel_scale == pytest.approx(scale, rel=1e-7)

    @pytest.mark.parametrize("name", GRIDS)
    def test_galaxy_is_in_the_middle(self, model, name):
        band = model.bands[name]
        ny, nx = band.shape
        x, y = band.pixel_position(RA, DEC)
        assert abs(x - (nx - 1) / 2) <= 0.5
        assert abs(y - (ny - 1) / 2) <= 0.5
        assert flux_of(band) == pytest.approx(FLUX, rel=1e-6)

    def test_name_is_what_the_files_have_in_common(self, model):
        assert model.meta.name == "m51"


def test_without_size_the_whole_image_is_taken(files):
    model = opened(files, ra=RA, dec=DEC)
    assert [band.shape for band in model.bands.values()] == [grid[0] for grid in GRIDS.values()]


def test_cut_off_at_the_edge(files):
    model = opened(files, ra=RA, dec=DEC, size=5.0)
    assert model.bands["F277W"].shape == (60, 74)
    assert model.bands["F090W"].shape == (200, 220)
    model = opened(files[2], "F277W", ra=RA, dec=DEC, size=4.2)
    assert model.bands["F277W"].shape == (60, 67)
    assert model.bands["F277W"].origin == (13, 0)


def offset_position(arcsec):
    """So many arcsec north of the galaxy."""
    return {"ra": RA, "dec": DEC + arcsec / 3600}


def test_off_one_image_only(files, caplog):
    # to the north, F090W ends 2.16 arcsec from the galaxy and F277W 2.5
    model = opened(files[::2], "F090W", "F277W", **offset_position(2.3), size=1.0)
    away, seen = model.bands["F090W"], model.bands["F277W"]
    assert away.flags == BandFlag.NO_DATA
    assert away.reasons == ["the position is off this filter's image"]
    assert (away.shape, away.origin) == ((50, 50), (0, 0))
    assert not away.usable
    assert seen.usable
    assert "F090W: the position is off this filter's image; nothing is measured" in caplog.text


@pytest.mark.parametrize("arcsec", [10.0, 3600.0, 36000.0])
def test_off_every_image(files, arcsec):
    with pytest.raises(InputError, match=r"position \(ra, dec\) is off the image of every filter"):
        opened(files, **offset_position(arcsec), size=1.0)


@pytest.mark.parametrize("dec", [-DEC, DEC])
def test_the_other_side_of_the_sky(files, dec):
    with pytest.raises(InputError, match="off the image of every filter"):
        opened(files, ra=RA - 180, dec=dec, size=1.0)


def test_images_without_wcs(tmp_path):
    plain_hdu(np.ones((40, 40)), None, "F150W").writeto(tmp_path / "x.fits")
    message = r"x.fits\[PRIMARY\]: ra and dec need a WCS, and the image has none$"
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "x.fits", "F150W", ra=RA, dec=DEC, size=2.0)


def test_shapes_that_differ_need_a_wcs(tmp_path):
    for name, n in (("F090W", 40), ("F150W", 50)):
        plain_hdu(np.eye(n), None, name).writeto(tmp_path / f"{name}.fits")
    message = (
        r"all images must have one shape, got F090W \(40, 40\), F150W \(50, 50\), "
        "unless each has a WCS: there is none in F090W, F150W"
    )
    with pytest.raises(InputError, match=message):
        opened(sorted(tmp_path.iterdir()), "F090W", "F150W")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ra": 1.0}, "ra and dec must be given together, got 1.0 and None"),
        ({"size": 2.0}, "size 2 arcsec needs ra and dec to be cut out about"),
        ({"ra": 1.0, "dec": 91.0}, r"dec in \[-90, 90\], got 1.0 and 91.0"),
        ({"ra": np.nan, "dec": 9.0}, "ra and dec must be degrees"),
        ({"ra": 1.0, "dec": 2.0, "size": 0.0}, "size must be a positive number of arcsec, got 0.0"),
        ({"weights": "some"}, r"weights must be one of auto, .*got 'some'"),
    ],
)
def test_options_out_of_range(files, options, message):
    with pytest.raises(ParameterError, match=message):
        opened(files, **options)


def test_square_of_too_few_pixels(files):
    message = (
        r"m51_f277w.fits\[PRIMARY\]: size must be at least 16 pixels, 0.96 arcsec here, got 0.5"
    )
    with pytest.raises(InputError, match=message):
        opened(files[2], "F277W", ra=RA, dec=DEC, size=0.5)


class TestOtherKindsOfWcs:
    """What is no plain FITS WCS is replaced by one."""

    @pytest.mark.parametrize("bend", [0.0, 3.0])
    def test_cut(self, bend):
        source = image_model(bend=bend)
        wcs = source.meta.wcs
        x, y = wcs.world_to_pixel(SkyCoord(RA, DEC, unit="deg"))
        band = opened(source, "F150W", ra=RA, dec=DEC, size=1.6).bands["F150W"]
        assert band.shape == (40, 40)
        x_min, y_min = band.origin
        assert band.pixel_position(RA, DEC) == pytest.approx((x - x_min, y - y_min), abs=5e-3)
        corner = wcs.pixel_to_world(x_min + 2.0, y_min + 37.0)
        ra, dec = band.sky_position(2.0, 37.0)
        assert SkyCoord(ra, dec, unit="deg").separation(corner).arcsec < 0.02 * 0.04

    def test_that_cannot_be_described_is_said(self, caplog):
        shape = (80, 100)
        wcs = LikeGwcs(make_mosaic_wcs(shape), shape, bend=3.0)
        wcs._distortion = lambda x, y: (0.5 * np.sin(x / 6), 0.5 * np.sin(y / 6))
        with caplog.at_level(logging.WARNING):
            fits_wcs(wcs, Cut((slice(0, 80), slice(0, 100)), shape, 50, 40), "x.asdf")
        assert "x.asdf: the FITS WCS of the cutout is off by up to 0." in caplog.text

    def test_without_positions(self):
        shape = (80, 100)
        wcs = LikeGwcs(make_mosaic_wcs(shape), shape)
        wcs._distortion = lambda x, y: (np.nan * x, np.nan * y)
        with pytest.raises(InputError, match="x.asdf: the WCS gives no sky positions in the cut"):
            fits_wcs(wcs, Cut((slice(0, 80), slice(0, 100)), shape, 50, 40), "x.asdf")


@pytest.mark.parametrize("scale", [0.02, 0.1])
def test_side_of_a_pixel(scale):
    wcs = make_mosaic_wcs((100, 100), scale, 40.0)
    assert pixel_side(wcs, 20.0, 70.0) == pytest.approx(scale, rel=1e-7)


def test_fields_that_differ_need_a_wcs(tmp_path):
    for name, scale in (("F090W", 0.03), ("F150W", 0.06)):
        hdu = plain_hdu(np.eye(40), None, name, PIXAR_A2=scale**2)
        hdu.writeto(tmp_path / f"{name}.fits")
    message = r"got F090W \(40, 40\) of 0.03 arcsec, F150W \(40, 40\) of 0.06 arcsec, unless each"
    with pytest.raises(InputError, match=message):
        opened(sorted(tmp_path.iterdir()), "F090W", "F150W")
