"""North, east and the scale, against the WCS itself."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from matplotlib.figure import Figure

from galstep.plotting.sky_marks import directions, draw_compass, scale_length


def with_wcs(band, angle, parity=-1.0, dec=40.0):
    """A TAN frame turned by ``angle`` degrees; parity -1 has east to the left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [0.0, dec], [45.0, 40.0]  # straddles RA 0
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turned = np.array([[cos, -sin], [sin, cos]])
    wcs.wcs.cd = turned @ np.diag([parity, 1.0]) * band.pixel_scale / 3600
    band.wcs = wcs
    return band


@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0, 270.0])
@pytest.mark.parametrize("parity", [-1.0, 1.0])
@pytest.mark.parametrize("dec", [-70.0, 40.0, 89.0])
def test_directions_are_those_of_the_wcs(model, angle, parity, dec):
    band = with_wcs(model.bands["F150W"], angle, parity, dec)
    north, east = directions(band)
    ny, nx = band.shape
    middle = np.array([(nx - 1) / 2, (ny - 1) / 2])
    ra, dec_0 = band.sky_position(*middle)
    step = 1.0 / 3600
    for vector, place in (
        (north, (ra, dec_0 + step)),
        (east, (ra + step / np.cos(np.radians(dec_0)), dec_0)),
    ):
        moved = np.array(band.pixels_of_sky(*place)).ravel() - middle
        np.testing.assert_allclose(vector, moved / np.hypot(*moved), atol=2e-3)


def test_plain_orientation_has_east_to_the_left(model):
    north, east = directions(with_wcs(model.bands["F150W"], 0.0))
    np.testing.assert_allclose([*north, *east], [0, 1, -1, 0], atol=1e-3)


def test_without_a_wcs_there_is_no_compass(model):
    band = model.bands["F150W"]
    band.wcs = None
    axes = Figure().add_subplot()
    draw_compass(axes, band)
    assert directions(band) is None and not axes.texts


def test_compass_stays_on_the_panel(model):
    for angle in (0.0, 100.0, 220.0):
        axes = Figure().add_subplot()
        band = with_wcs(model.bands["F150W"], angle)
        draw_compass(axes, band)
        letters = [text for text in axes.texts if text.get_text() in "NE" and text.get_text()]
        assert len(letters) == 2
        for text in letters:
            x, y = text.get_position()
            assert 0 < x < band.shape[1] and 0 < y < band.shape[0]


@pytest.mark.parametrize(
    ("scale", "pixels", "name"),
    [(0.03, 0.5 / 0.03, '0.5"'), (0.2, 25, '5"'), (1.0, 20, '20"'), (10.0, 24, "4'")],
)
def test_the_bar_has_a_round_length(model, scale, pixels, name):
    band = model.bands["F150W"]  # 91 pixels wide
    band.pixel_scale = scale
    length, said = scale_length(band)
    assert length <= 0.3 * 91 * (1 + 1e-9)
    if scale < 5:
        assert (length, said) == (pytest.approx(pixels), name)
    else:
        assert said.endswith("'") and length * scale % 60 == pytest.approx(0)


def test_the_bar_is_right_along_x_where_pixels_are_not_square(model):
    band = with_wcs(model.bands["F150W"], 0.0)
    for shear in (np.diag([2.0, 1.0]), np.array([[1.0, 0.0], [0.6, 1.0]])):
        own = with_wcs(band, 30.0)
        own.wcs.wcs.cd = own.wcs.wcs.cd @ shear
        length, name = scale_length(own)
        ny, nx = own.shape
        x, y = (nx - 1) / 2 - length / 2, (ny - 1) / 2
        ends = SkyCoord(*own.sky_position(np.array([x, x + length]), np.array([y, y])), unit="deg")
        apart = ends[0].separation(ends[1]).arcsec
        assert apart == pytest.approx(float(name.rstrip('"')), rel=1e-3)
