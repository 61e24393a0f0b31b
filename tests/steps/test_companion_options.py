"""Companions that users give: positions and region files."""

import numpy as np
import pytest
from astropy.wcs import WCS

from galstep.datamodels import BandData
from galstep.exceptions import InputError, ParameterError
from galstep.steps import BaseFit
from galstep.steps.galaxy.companion_options import given_companions


def band(wcs=False):
    """A crop of 60 x 50 pixels that begins at (20, 10) of a frame of 120 x 100."""
    own = None
    if wcs:
        own = WCS(naxis=2)
        own.wcs.ctype = "RA---TAN", "DEC--TAN"
        own.wcs.crval, own.wcs.crpix = (150.0, 2.0), (31.0, 26.0)
        own.wcs.cdelt = -1e-5, 1e-5
    data, psf = np.zeros((50, 60)), np.zeros((5, 5))
    psf[2, 2] = 1
    return BandData("F150W", data, psf, wcs=own, origin=(20, 10), input_shape=(100, 120))


def places(given, **kwargs):
    return [
        (p.x_0, p.y_0)
        for p in given_companions(BaseFit(companions=given).companions, band(**kwargs))
    ]


@pytest.mark.parametrize(
    "given",
    ["40 30; 50.5 35", ["40 30", "50.5 35"], ["40 30; 50.5 35"], [(40, 30), (50.5, 35)]],
)
def test_however_they_are_written(given):
    assert places(given) == [(20.0, 20.0), (30.5, 25.0)]


def test_one_pair_of_numbers():
    assert places([40.0, 30.0]) == [(20.0, 20.0)]


def test_none():
    assert given_companions(None, band()) == ()
    assert BaseFit().companions is None and BaseFit().find_companions


def test_sky_positions():
    (place,) = places("150.0d 2.0d", wcs=True)
    assert place == pytest.approx((30.0, 25.0), abs=1e-6)
    (place,) = places("10h00m00s +02d00m00s", wcs=True)
    assert place == pytest.approx((30.0, 25.0), abs=1e-6)


def test_sky_needs_a_wcs():
    with pytest.raises(InputError, match="ra and dec need a WCS"):
        places("150.0d 2.0d")


@pytest.mark.parametrize("given", ["-3 30", "40 100", ["40 30; 119.6 50"]])
def test_off_the_frame(given):
    with pytest.raises(InputError, match="must lie on the frame of 120 x 100 pixels"):
        places(given)


def test_beyond_the_crop_is_said(caplog):
    assert places("5 5; 40 30") == [(20.0, 20.0)]
    assert "companion at x = 5.0, y = 5.0 is beyond the crop" in caplog.text


@pytest.mark.parametrize("given", ["40", "one two", "1 2 3", [None]])
def test_what_is_no_position(given):
    with pytest.raises(ParameterError, match="companions must be positions"):
        places(given)


class TestRegions:
    @pytest.fixture(autouse=True)
    def _regions(self):
        pytest.importorskip("regions")

    def write(self, tmp_path, *lines):
        path = tmp_path / "own.reg"
        path.write_text("\n".join(["# Region file format: DS9", *lines, ""]))
        return str(path)

    def test_pixels(self, tmp_path):
        """ds9 counts pixels from 1."""
        path = self.write(
            tmp_path, "image", "point(41,31)", "circle(51,36,3)", "ellipse(51,36,2,6,0)"
        )
        point, circle, ellipse = given_companions([path], band())
        assert (point.x_0, point.y_0, point.r_eff) == (20.0, 20.0, 5.0)
        assert (circle.x_0, circle.y_0, circle.r_eff) == (30.0, 25.0, 3.0)
        assert ellipse.r_eff == pytest.approx(6.0)
        assert ellipse.ellip == pytest.approx(2 / 3)
        assert ellipse.theta == pytest.approx(np.pi / 2)

    def test_sky(self, tmp_path):
        path = self.write(tmp_path, "icrs", 'circle(150.0,2.0,0.108")')
        (circle,) = given_companions([path], band(wcs=True))
        assert (circle.x_0, circle.y_0) == pytest.approx((30.0, 25.0), abs=1e-4)
        assert circle.r_eff == pytest.approx(3.0, rel=1e-3)
        with pytest.raises(InputError, match="the image has no WCS"):
            given_companions([path], band())

    def test_other_shapes(self, tmp_path):
        path = self.write(tmp_path, "image", "box(41,31,5,5,0)")
        with pytest.raises(ParameterError, match="must be points, circles or ellipses"):
            given_companions([path], band())

    def test_no_region(self, tmp_path):
        with pytest.raises(InputError, match="there is no region in it"):
            given_companions([self.write(tmp_path)], band())
        with pytest.raises(InputError, match="none.reg: there is no such file"):
            given_companions([str(tmp_path / "none.reg")], band())

    def test_off_the_frame(self, tmp_path):
        path = self.write(tmp_path, "image", "point(410,31)")
        with pytest.raises(InputError, match=r"a region of own.reg at x = 409.0, y = 30.0"):
            given_companions([path], band())
