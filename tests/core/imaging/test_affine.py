"""The affine map between two grids, and the boxes that follow from it."""

import numpy as np
import pytest
from astropy.wcs import WCS

from galstep.core.imaging.affine import (
    fit_pixel_map,
    frame_points,
    map_about_centres,
    mapped_box,
    outside_of,
)
from galstep.exceptions import InputError
from galstep.pixel_map import PixelMap

SHAPE = (90, 120)
TURNED = PixelMap([[0.45, 0.16], [-0.16, 0.45]], (3.0, 21.5))


def tan_wcs(ra, dec, scale, middle=(60, 45)):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [ra, dec]
    wcs.wcs.crpix, wcs.wcs.cdelt = middle, [-scale / 3600, scale / 3600]
    return wcs


class TestFit:
    def test_an_affine_map_is_found(self):
        x, y = frame_points(SHAPE)
        found, residual = fit_pixel_map(x, y, *TURNED.points(x, y))
        np.testing.assert_allclose(found.matrix, TURNED.matrix, atol=1e-13)
        np.testing.assert_allclose(found.origin, TURNED.origin, atol=1e-11)
        assert residual < 1e-10

    def test_the_points_span_the_frame(self):
        x, y = frame_points(SHAPE)
        assert (x.min(), x.max(), y.min(), y.max()) == (-0.5, 119.5, -0.5, 89.5)

    @pytest.mark.parametrize(
        ("shift", "expected"),
        [((7, -3), (7, -3)), ((7.0004, -3), (7, -3)), ((0.3, 0.1), (0.3, 0.1))],
    )
    def test_the_same_pixels_are_exactly_so(self, shift, expected):
        x, y = frame_points(SHAPE)
        found, residual = fit_pixel_map(x, y, x + shift[0], y + shift[1])
        assert found.is_translation
        assert found.origin == pytest.approx(expected, abs=1e-12)
        assert residual < 1e-3

    def test_tangent_planes_a_degree_apart_are_not_quite_affine(self):
        near, far = tan_wcs(150, 2, 0.03), tan_wcs(150.001, 2.001, 0.06)
        elsewhere = tan_wcs(150.0, 2.0, 0.06)
        # the same sky seen in a plane that touches the sphere one degree away
        elsewhere.wcs.crval = [151, 2]
        x, y = frame_points((2001, 2001))
        place = near.pixel_to_world(x, y)
        _, small = fit_pixel_map(x, y, *far.world_to_pixel(place))
        _, large = fit_pixel_map(x, y, *elsewhere.world_to_pixel(place))
        assert small < 1e-5
        assert 1e-3 < large < 0.1

    def test_a_distortion_is_measured(self):
        x, y = frame_points(SHAPE)
        bent, y_bent = TURNED.points(x, y)
        bent = bent + 1e-5 * (x - 60) ** 2
        _, residual = fit_pixel_map(x, y, bent, y_bent)
        # a parabola of height 0.036 less its best line is off by two thirds of it
        assert residual == pytest.approx(0.024, rel=0.15)

    def test_points_without_a_place_are_refused(self):
        x, y = frame_points(SHAPE)
        with pytest.raises(InputError, match="no finite position on the other pixel grid"):
            fit_pixel_map(x, y, np.where(x > 50, np.nan, x), y)


class TestWithoutWCS:
    def test_the_same_frame(self):
        assert map_about_centres(SHAPE, 0.03, SHAPE, 0.03) == PixelMap()

    def test_cutouts_of_one_field(self):
        found = map_about_centres((126, 126), 0.03, (60, 60), 0.063)
        assert found.points(62.5, 62.5) == pytest.approx((29.5, 29.5))
        assert found.scale == pytest.approx(0.03 / 0.063)

    def test_other_fields_are_refused(self):
        with pytest.raises(
            InputError, match="without a WCS.*120 x 90 pixels of 0.03 arcsec and 120"
        ):
            map_about_centres(SHAPE, 0.03, SHAPE, 0.06)


class TestBoxes:
    def test_the_same_pixels_give_the_same_box(self):
        x, y = frame_points((20, 30))
        box = mapped_box(x + 7 + 1e-6, y + 5 - 1e-6, SHAPE)
        assert box == (slice(5, 25), slice(7, 37))

    def test_every_corner_is_inside_and_nothing_could_go(self):
        x, y = TURNED.points(*frame_points((60, 60)))
        rows, columns = mapped_box(x, y, (60, 60))
        for values, part in ((x, columns), (y, rows)):
            assert part.start - 0.5 <= values.min() < part.start + 0.5
            assert part.stop - 1.5 < values.max() <= part.stop - 0.5

    def test_it_ends_at_the_frame(self):
        x, y = frame_points((50, 50))
        assert mapped_box(x - 20, y + 70, SHAPE) == (slice(70, 90), slice(0, 30))

    def test_a_frame_that_is_missed_keeps_as_many_pixels(self):
        x, y = frame_points((50, 50))
        assert mapped_box(x - 900, y + 900, SHAPE) == (slice(40, 90), slice(0, 50))


def test_pixels_beyond_another_frame():
    shape, frame = (60, 60), (40, 50)
    outside = outside_of(shape, TURNED, frame)
    yy, xx = np.indices(shape)
    x, y = TURNED.inverse().points(xx, yy)
    inside = (x > -0.5) & (x < 49.5) & (y > -0.5) & (y < 39.5)
    np.testing.assert_array_equal(outside, ~inside)
    assert not outside_of(shape, PixelMap(), shape).any()
