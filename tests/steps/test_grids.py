"""The relation of two filters' pixels: from their WCS, or from their frames."""

import numpy as np
import pytest
from astropy.wcs import Sip

from galstep.datamodels import BandData
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.pixel_map import PixelMap
from galstep.records import Registration
from galstep.steps.galaxy.grids import box_in, mask_unseen, on_band, pixel_map_between
from galstep.testing.grids import PixelGrid

SCENE = PixelGrid((120, 140))
COARSE = PixelGrid((80, 90), 0.063, np.radians(20), (0.3, -0.2))
PSF = np.ones((9, 9)) / 81


def band_of(name, grid, wcs=True, **options):
    data = np.random.default_rng(1).normal(size=grid.shape)
    options = {"pixel_scale": grid.pixel_scale} | options
    return BandData(name, data, PSF, 1, wcs=grid.wcs() if wcs is True else wcs, **options)


@pytest.fixture(name="base")
def _base():
    return band_of("F150W", SCENE)


def distorted(grid, quadratic):
    """Its WCS with the image bent by quadratic * (x - middle)^2 pixels."""
    wcs = grid.wcs()
    a, zeros = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0] = quadratic
    wcs.sip = Sip(a, zeros, None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    return wcs


class TestRegistered:
    """What TweakReg has measured is part of the map, if a fit could not find it."""

    def map_with(self, base, grid, status, offset):
        other = band_of("F277W", grid)
        other.registration = Registration(status, offset)
        return pixel_map_between(base, other)[0]

    def test_a_large_offset_counts(self, base):
        plain, _ = pixel_map_between(base, band_of("F277W", COARSE))
        registered = self.map_with(base, COARSE, "aligned", (6.0, -2.5))
        assert registered.points(30, 40) == pytest.approx(plain.points(36, 37.5))
        assert registered.matrix == plain.matrix

    @pytest.mark.parametrize(
        ("status", "offset"),
        [("aligned", (0.3, 0.2)), ("failed", (6.0, 1.0)), ("reference", (0.0, 0.0))],
    )
    def test_others_are_left_to_the_fit(self, base, status, offset):
        assert self.map_with(base, SCENE, status, offset) == PixelMap()


class TestWithWCS:
    def test_where_a_pixel_of_the_base_lies(self, base):
        other = band_of("F277W", COARSE)
        pixel_map, reason = pixel_map_between(base, other)
        x, y = np.random.default_rng(2).uniform(0, 120, (2, 9))
        np.testing.assert_allclose(pixel_map.points(x, y), COARSE.place(SCENE, x, y), atol=1e-5)
        np.testing.assert_allclose(on_band(base, other, x, y), COARSE.place(SCENE, x, y), atol=1e-5)
        assert reason == ""

    def test_crops_of_both(self, base):
        other = band_of("F277W", COARSE).crop(10, 5, 60, 70)
        pixel_map, _ = pixel_map_between(base.crop(20, 30, 80, 70), other)
        x, y = COARSE.place(SCENE, 45.0, 61.0)
        assert pixel_map.points(25.0, 31.0) == pytest.approx((x - 10, y - 5), abs=1e-5)

    def test_the_same_pixels_are_exactly_the_same(self, base):
        other = band_of("F277W", SCENE)
        assert pixel_map_between(base, other) == (PixelMap(), "")
        moved, _ = pixel_map_between(base.crop(7, 3, 50, 50), other.crop(2, 4, 90, 90))
        assert moved == PixelMap(origin=(5, -1))

    def test_the_base_itself(self, base):
        assert pixel_map_between(base, base) == (PixelMap(), "")

    def test_pixels_of_another_size_than_is_said(self, base):
        other = band_of("F277W", COARSE, pixel_scale=0.03)
        message = "'F277W' against 'F150W': pixels must be as wide as the WCS says"
        with pytest.raises(InputError, match=message):
            pixel_map_between(base, other)

    def test_a_slight_distortion_is_said(self, base):
        bent = band_of("F277W", COARSE, wcs=distorted(COARSE, 5e-5))
        _, reason = pixel_map_between(base, bent)
        assert "distorted: the affine map to F150W misses by 0.0" in reason

    def test_a_distortion_that_matters_is_refused(self, base):
        bent = band_of("F277W", COARSE, wcs=distorted(COARSE, 1e-3))
        with pytest.raises(InputError, match="which misses the WCS by .* crop closer"):
            pixel_map_between(base, bent)

    def test_the_other_side_of_the_sky(self, base):
        wcs = COARSE.wcs()
        wcs.wcs.crval = [330, -2]
        other = band_of("F277W", COARSE, wcs=wcs)
        for ask in (pixel_map_between, lambda *two: box_in(*two, TestCrop.BOX)):
            with pytest.raises(
                InputError, match="'F277W' against 'F150W': a part of the base has no"
            ):
                ask(base, other)

    def test_a_distortion_without_an_inverse(self, base):
        bent = band_of("F277W", COARSE, wcs=distorted(COARSE, 0.5))
        with pytest.raises(InputError, match="has no place on the filter's pixels: its distortion"):
            pixel_map_between(base, bent)

    def test_another_part_of_the_sky_is_no_error(self, base):
        wcs = COARSE.wcs()
        wcs.wcs.crval = [150.2, 2.2]
        other = band_of("F277W", COARSE, wcs=wcs)
        rows, columns = box_in(base, other, TestCrop.BOX)
        assert rows.stop - rows.start > 1 and columns.stop - columns.start > 1
        mask_unseen(base, other)
        assert other.mask.all()


class TestWithoutWCS:
    def test_one_frame_is_one_grid(self):
        one, two = (band_of(name, SCENE, wcs=None) for name in ("F150W", "F277W"))
        assert pixel_map_between(one, two) == (PixelMap(), "")
        moved, _ = pixel_map_between(one.crop(7, 3, 50, 50), two.crop(2, 4, 90, 90))
        assert moved == PixelMap(origin=(5, -1))

    def test_cutouts_of_the_same_field_share_their_centre(self):
        one = band_of("F150W", PixelGrid((126, 126)), wcs=None)
        two = band_of("F277W", PixelGrid((60, 60), 0.063), wcs=None)
        pixel_map, _ = pixel_map_between(one.crop(10, 20, 50, 50), two.crop(5, 5, 50, 50))
        assert pixel_map.points(52.5, 42.5) == pytest.approx((24.5, 24.5))

    def test_fields_of_other_sizes_are_refused(self):
        one = band_of("F150W", SCENE, wcs=None)
        two = band_of("F277W", COARSE, wcs=None)
        with pytest.raises(InputError, match="'F277W' against 'F150W': without a WCS, frames"):
            pixel_map_between(one, two)


class TestCrop:
    BOX = (slice(40, 90), slice(30, 100))

    def test_a_box_on_the_same_pixels(self, base):
        assert box_in(base, base, self.BOX) == self.BOX
        assert box_in(base, band_of("F277W", SCENE), self.BOX) == self.BOX

    def test_a_box_on_other_pixels_holds_the_same_sky(self, base):
        other = band_of("F277W", COARSE)
        rows, columns = box_in(base, other, self.BOX)
        x, y = COARSE.place(SCENE, *np.meshgrid([29.5, 99.5], [39.5, 89.5]))
        assert columns.start - 0.5 <= x.min() < columns.start + 0.5
        assert columns.stop - 1.5 <= x.max() < columns.stop + 0.5
        assert rows.start - 0.5 <= y.min() < rows.start + 0.5
        assert rows.stop - 1.5 <= y.max() < rows.stop + 0.5

    def test_a_filter_without_data_asks_for_no_relation(self, base):
        empty = band_of("F277W", COARSE, wcs=None)
        empty.mask[:] = True
        assert box_in(base, empty, self.BOX) == (slice(0, 80), slice(0, 90))
        same = band_of("F090W", SCENE, wcs=None)
        same.mask[:] = True
        assert box_in(base, same, self.BOX) == self.BOX

    def test_corners_beyond_the_base_are_masked(self, base):
        other = band_of("F277W", COARSE)
        part = base.crop(30, 40, 70, 50)
        mask_unseen(part, other)
        yy, xx = np.indices(COARSE.shape)
        x, y = pixel_map_between(part, other)[0].inverse().points(xx, yy)
        inside = (np.abs(x - 34.5) < 35) & (np.abs(y - 24.5) < 25)
        np.testing.assert_array_equal(other.mask, ~inside)
        assert other.flags == 0

    def test_a_distorted_filter_is_flagged_once(self, base):
        bent = band_of("F277W", COARSE, wcs=distorted(COARSE, 5e-5))
        for _ in range(2):
            mask_unseen(base, bent)
        assert bent.flags == BandFlag.DISTORTED
        assert len(bent.reasons) == 1
