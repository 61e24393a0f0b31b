"""The images as FITS: what other programs see of them."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galstep.datamodels.products.image_products import write_fits_images
from galstep.exceptions import InputError


@pytest.fixture
def files(model, tmp_path):
    written = write_fits_images(model, tmp_path, "g001")
    assert sorted(written) == sorted(str(path) for path in tmp_path.iterdir())
    return {name: tmp_path / f"g001_{name}.fits" for name in model.bands}


def test_extensions_hold_the_images(model, files):
    band = model.bands["F150W"]
    with fits.open(files["F150W"]) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["OBJECT"] == "g001"
        assert hdus[0].header["FILTER"] == "F150W"
        assert hdus[0].header["FITSTEP"] == "jointfit"
        for name, image in (
            ("SCI", band.data),
            ("ERR", band.err),
            ("GALAXY", band.galaxy),
            ("STARS", band.stars),
            ("SKY", band.sky),
            ("RESIDUAL", band.residual),
            ("STARSUB", band.star_subtracted),
        ):
            np.testing.assert_array_equal(hdus[name].data, image.astype(np.float32))
            assert hdus[name].header["BUNIT"] == "MJy/sr"
        np.testing.assert_array_equal(hdus["MASK"].data, band.mask)
        assert hdus["PSF"].header["OVERSAMP"] == 4
        assert hdus["PSF"].data.shape == band.psf.shape


def test_the_wcs_goes_round_to_a_millionth_of_a_pixel(model, files):
    band = model.bands["F150W"]
    with fits.open(files["F150W"]) as hdus:
        wcs = WCS(hdus["RESIDUAL"].header)
    x, y = np.meshgrid(np.linspace(0, 31, 7), np.linspace(0, 23, 5))
    again = wcs.world_to_pixel(band.wcs.pixel_to_world(x, y))
    np.testing.assert_allclose(again, (x, y), atol=1e-6)


def test_physical_coordinates_are_those_of_the_input_frame(model, files):
    """LTV, LTM: logical = LTM x physical + LTV, both counted from 1."""
    band = model.bands["F150W"]
    header = fits.getheader(files["F150W"], "SCI")
    x_min, y_min = band.origin
    for axis, first in ((1, x_min), (2, y_min)):
        logical = 1  # the first pixel
        physical = (logical - header[f"LTV{axis}"]) / header[f"LTM{axis}_{axis}"]
        assert physical - 1 == first


def test_before_a_fit_there_are_only_the_data(model, files):
    with fits.open(files["F277W"]) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "MASK", "PSF"]
        assert np.isnan(hdus["SCI"].data).all()
        assert not WCS(hdus["SCI"].header).has_celestial


def test_the_folder_must_exist(model, tmp_path):
    with pytest.raises(InputError, match="g_F150W.fits: the folder .*nowhere is not there"):
        write_fits_images(model, tmp_path / "nowhere", "g")
