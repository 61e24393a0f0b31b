from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.star_field.rows import StarRows
from galstep.datamodels.sky.star_catalog import star_catalog, star_regions
from galstep.testing.star_frames import tan_wcs


def rows(n=3):
    values = {name: np.arange(1.0, n + 1) for name in StarRows.__dataclass_fields__}
    for name in ("id", "group_id", "group_size", "iter_detected", "n_pixels_fit", "flags"):
        values[name] = np.arange(1, n + 1)
    return StarRows(**values)


def test_columns_are_those_of_photutils():
    table = star_catalog(rows())
    names = (
        "id group_id group_size iter_detected local_bkg x_init y_init flux_init x_fit y_fit "
        "flux_fit x_err y_err flux_err n_pixels_fit qfit cfit reduced_chi2 flags"
    ).split()
    assert table.colnames == names
    assert table["id"].dtype.kind == "i"
    assert str(table["x_fit"].unit) == "pix"


def test_sky_and_magnitudes():
    wcs = tan_wcs((20, 20))
    table = star_catalog(rows(), "MJy/sr", wcs, 1e-12, meta={"image": "a"})
    assert table.meta == {"image": "a"}
    ra, dec = wcs.pixel_to_world_values(1.0, 1.0)
    assert table["ra"][0].to_value("deg") == pytest.approx(float(ra))
    assert table["dec"][0].to_value("deg") == pytest.approx(float(dec))
    # 1 MJy/sr in 1e-12 sr is a microjansky
    assert table["mag_ab"][0].value == pytest.approx(23.9, abs=1e-2)


def test_counts_have_no_magnitude():
    assert "mag_ab" not in star_catalog(rows(), "adu", None, 1e-12).colnames


def test_empty():
    assert len(star_catalog(rows(0), "MJy/sr", tan_wcs((20, 20)), 1e-12)) == 0


def test_regions():
    regions = pytest.importorskip("regions")
    found = regions.Regions.parse(star_regions(rows(), 2.5), format="ds9")
    assert [type(region) for region in found] == [regions.CirclePixelRegion] * 3
    assert (found[0].center.x, found[0].center.y) == (rows().x_fit[0], rows().y_fit[0])
    assert found[0].radius == 2.5 and str(found[0].meta["text"]) == str(rows().id[0])


def test_regions_on_the_sky():
    regions = pytest.importorskip("regions")
    wcs, own = tan_wcs((20, 20)), rows()
    sky = wcs.pixel_to_world_values(own.x_fit, own.y_fit)
    found = regions.Regions.parse(star_regions(own, 2.5, sky, 0.031), format="ds9")
    for region, x, y in zip(found, own.x_fit, own.y_fit, strict=True):
        back = region.to_pixel(wcs)
        assert (back.center.x, back.center.y) == pytest.approx((x, y), abs=1e-3)
        assert back.radius == pytest.approx(2.5, rel=1e-3)


def test_regions_of_flagged_stars_and_of_stars_without_a_place():
    own = SimpleNamespace(
        x_fit=np.array([1.0, np.nan, 3.0]), y_fit=np.array([1.0, 2.0, 3.0]), id=[1, 2, 3],
        flags=[0, 0, 4],
    )  # fmt: skip
    lines = star_regions(own, 2.0).splitlines()
    assert [line for line in lines if "circle" in line] == [
        "circle(2.0000,2.0000,2.00) # text={1} tag={star}",
        "circle(4.0000,4.0000,2.00) # text={3} tag={star} tag={flagged} color=#d55e00",
    ]


def test_regions_of_no_star():
    none = SimpleNamespace(x_fit=[], y_fit=[], id=[], flags=[])
    assert star_regions(none, 1.0).splitlines()[-1] == "image"
