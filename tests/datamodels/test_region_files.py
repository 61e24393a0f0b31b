"""ds9 regions: positions and masks, in pixels and on the sky."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.datamodels.catalogs.region_files import (
    read_regions,
    region_mask,
    region_place,
    region_table,
)
from galstep.datamodels.model.band import BandData
from galstep.exceptions import InputError
from galstep.testing.psfs import default_psf

SHAPE = (80, 100)


def wcs(scale=0.1, turn=0.4):
    made = WCS(naxis=2)
    made.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    made.wcs.crval, made.wcs.crpix = [0.001, 45.0], [51.0, 41.0]
    cos, sin = scale / 3600 * np.cos(turn), scale / 3600 * np.sin(turn)
    made.wcs.cd = [[-cos, sin], [sin, cos]]
    return made


def band(shape=SHAPE, name="F150W", **options):
    psf = default_psf(name).sampled(4, 41)
    return BandData(name, np.ones(shape), psf, 4, **options)


def write(path, *lines):
    path.write_text("# Region file format: DS9\nglobal color=green\n" + "\n".join(lines) + "\n")
    return path


def distance(x, y, shape=SHAPE):
    rows, columns = np.indices(shape)
    return np.hypot(columns - x, rows - y)


def test_pixels_count_from_one_in_the_file(tmp_path):
    path = write(tmp_path / "a.reg", "image", "circle(31,21,5)", "point(5,6) # text={me}")
    table = region_table(path)
    assert list(table["x"]) == [30.0, 4.0]
    assert list(table["y"]) == [20.0, 5.0]
    mask = region_mask(read_regions(path), band(), band())
    np.testing.assert_array_equal(mask, distance(30, 20) < 5)


def test_a_minus_takes_out_of_what_is_before(tmp_path):
    path = write(
        tmp_path / "a.reg", "image", "circle(51,41,12)", "-circle(51,41,6)", "-box(90,70,4,4,0)"
    )
    mask = region_mask(read_regions(path), band(), band())
    expected = (distance(50, 40) < 12) & ~(distance(50, 40) < 6)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("line", ["ellipse(51,41,12,6,30)", "box(51,41,20,8,30)",
                                  "polygon(40,30,60,30,60,50)", "annulus(51,41,4,9)"])  # fmt: skip
def test_other_shapes(tmp_path, line):
    mask = region_mask(read_regions(write(tmp_path / "a.reg", "image", line)), band(), band())
    area = {"e": np.pi * 72, "b": 160, "p": 200, "a": np.pi * 65}[line[0]]
    assert mask.sum() == pytest.approx(area, rel=0.2)


@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic"])
def test_sky_frames_across_ra_zero(tmp_path, frame):
    image = band(wcs=wcs())
    for x, y in ((20.0, 30.0), (90.0, 50.0)):
        place = SkyCoord(*image.sky_position(x, y), unit="deg").transform_to(frame)
        lon, lat = place.spherical.lon.deg, place.spherical.lat.deg
        path = write(tmp_path / "a.reg", frame, f'circle({lon:.9f},{lat:.9f},0.6")')
        found = region_place(path)
        assert image.pixel_position(**found) == pytest.approx((x, y), abs=0.01)
        mask = region_mask(read_regions(path), image, image)
        assert np.mean(mask != (distance(x, y) < 6)) < 0.002
        catalog = read_position_catalog(path)
        assert catalog.on_sky
        assert image.pixel_position(catalog.first[0], catalog.second[0]) == pytest.approx(
            (x, y), abs=0.01
        )


def test_pixels_of_the_base_are_carried_to_other_pixels(tmp_path):
    path = write(tmp_path / "a.reg", "image", "circle(61,51,8)")
    base, other = band(wcs=wcs()), band(name="F277W", wcs=wcs(0.2))
    mask = region_mask(read_regions(path), other, base)
    x, y = other.pixel_position(*map(float, base.sky_position(60.0, 50.0)))
    assert np.mean(mask != (distance(x, y) < 4)) < 0.002
    # a crop keeps the numbers of the input frame
    cropped = base.crop(30, 20, 60, 50)
    mask = region_mask(read_regions(path), cropped, cropped)
    np.testing.assert_array_equal(mask, distance(30, 30, (50, 60)) < 8)
    bare = replace(cropped, wcs=None)
    np.testing.assert_array_equal(region_mask(read_regions(path), bare, bare), mask)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image"], "there is no region in it"),
        (["image", "circle(1,2,3)", "circle(4,5,6)"], "one region is needed, it has 2"),
        (["image; circle(1,2,3)", 'fk5; circle(1,2,3")'], "all on the sky or all in pixels"),
        (["image", "circle(1,2)"], "cannot be read as ds9 regions"),
        (["image", "line(1,2,3,4)"], "no region in it has a centre"),
    ],
)
def test_what_gives_no_place(tmp_path, lines, message):
    path = write(tmp_path / "a.reg", *lines)
    with pytest.raises(InputError, match=message) as told:
        region_place(path)
    assert str(told.value).startswith(f"galaxy_region {path}")


def test_no_file_and_no_wcs(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_regions(tmp_path / "none.reg")
    regions = read_regions(write(tmp_path / "a.reg", 'fk5; circle(1,2,3")'))
    with pytest.raises(InputError, match="regions on the sky need a WCS"):
        region_mask(regions, band(), band())


def test_binary_rubbish_is_told(tmp_path):
    path = tmp_path / "a.reg"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="cannot be read as ds9 regions"):
        read_regions(path)
