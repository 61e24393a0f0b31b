from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.star_field.rows import StarRows
from galstep.datamodels.star_catalog import star_catalog, star_regions
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
    pytest.importorskip("regions")
    text = star_regions(rows(), 2.5)
    assert text.count("circle") == 3
    # ds9 counts from 1
    assert "circle(2.00000000,2.00000000,2.50000000)" in text


def test_regions_without_the_package(monkeypatch):
    import builtins

    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "regions":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert star_regions(SimpleNamespace(x_fit=[], y_fit=[], id=[]), 1.0) is None
