"""The files beside the model."""

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.products.galaxy_products import write_products
from galstep.exceptions import GalstepError, InputError

TRUTH = Path(__file__).parents[3] / "shared" / "truth"


def test_all_files_are_written_and_listed(model, tmp_path):
    pytest.importorskip("regions")
    kinds = "sersic phot stars knots apertures forced injection completeness".split()
    tables = [f"g001_{kind}.ecsv" for kind in kinds]
    names = [*tables, "g001_aper.reg"]
    assert write_products(model, tmp_path, "g001") == [str(tmp_path / name) for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert len(QTable.read(tmp_path / "g001_stars.ecsv")) == 4


@pytest.mark.parametrize(("tables", "regions", "n"), [(True, False, 8), (False, False, 0)])
def test_files_can_be_left_out(model, tmp_path, tables, regions, n):
    assert len(write_products(model, tmp_path, "g", tables=tables, regions=regions)) == n


@pytest.fixture
def on_pixels(model):
    """The model without any WCS: its regions are in pixels."""
    for band in model.bands.values():
        band.wcs = None
    return model


def test_region_is_on_the_sky(model, tmp_path):
    regions = pytest.importorskip("regions")
    (path,) = write_products(model, tmp_path, "g", tables=False)
    (ellipse,) = regions.Regions.read(path)
    assert isinstance(ellipse, regions.EllipseSkyRegion)
    # through the WCS it is the aperture in the pixels of the crop
    back = ellipse.to_pixel(model.bands["F150W"].wcs)
    assert (back.center.x, back.center.y) == pytest.approx((15.25, 11.5), abs=1e-3)
    assert (back.width, back.height) == pytest.approx((24.0, 16.8), rel=1e-3)
    assert back.angle.to_value("rad") % np.pi == pytest.approx(0.75, abs=1e-3)
    text = Path(path).read_text()
    assert "icrs" in text or "fk5" in text
    assert "tag={petrosian} tag={F150W} tag={F090W}" in text and "color=#56b4e9" in text


def test_braces_in_a_filter_do_not_end_the_text(model, tmp_path):
    regions = pytest.importorskip("regions")
    band = model.bands.pop("F150W")
    band.name = "a{b}c"
    model.bands = {"a{b}c": band}
    model.meta.base_filter = "a{b}c"
    (path,) = write_products(model, tmp_path, "g", tables=False)
    (ellipse,) = regions.Regions.read(path)
    assert ellipse.meta["text"] == "petrosian a(b)c"


def test_region_without_a_wcs_is_the_aperture_in_the_input_frame(on_pixels, tmp_path):
    regions = pytest.importorskip("regions")
    model = on_pixels
    (path,) = write_products(model, tmp_path, "g", tables=False)
    (ellipse,) = regions.Regions.read(path)
    assert (ellipse.center.x, ellipse.center.y) == pytest.approx((15.25 + 40, 11.5 + 30))
    assert (ellipse.width, ellipse.height) == pytest.approx((24.0, 16.8))
    assert ellipse.angle.to_value("rad") == pytest.approx(0.75)
    # ds9 counts from 1
    assert "ellipse(56.25" in Path(path).read_text()


def test_each_distinct_aperture_is_one_region(on_pixels, tmp_path):
    model = on_pixels
    regions = pytest.importorskip("regions")
    band = model.bands["F090W"]
    band.aperture = replace(band.aperture, aperture=replace(band.aperture.aperture, a=20.0))
    (path,) = write_products(model, tmp_path, "g", tables=False)
    found = regions.Regions.read(path)
    assert {(r.meta["text"], float(r.width)) for r in found} == {
        ("petrosian F150W", 24.0),
        ("petrosian F090W", 40.0),
    }


def test_further_apertures_are_regions_but_a_curve_of_growth_is_not(on_pixels, tmp_path):
    model = on_pixels
    regions = pytest.importorskip("regions")
    for band in model.bands.values():
        if band.aperture is not None:
            kron, step = (
                replace(band.aperture, kind=kind, aperture=replace(band.aperture.aperture, a=a))
                for kind, a in (("kron", 30.0), ("growth", 50.0))
            )
            band.aperture = replace(band.aperture, others=(kron, step))
    (path,) = write_products(model, tmp_path, "g", tables=False)
    found = {r.meta["text"]: float(r.width) for r in regions.Regions.read(path)}
    assert found == {"petrosian F150W F090W": 24.0, "kron F150W F090W": 60.0}


def test_no_region_file_without_aperture(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for band in model.bands.values():
        band.aperture = None
    assert write_products(model, tmp_path, "g", tables=False) == []
    assert "no aperture was measured" in caplog.text


def test_no_region_file_without_the_package(model, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(sys.modules, "regions", None)
    assert write_products(model, tmp_path, "g", tables=False) == []
    assert "'regions' is not installed, so g_aper.reg is not written" in caplog.text


@pytest.mark.parametrize("name", ["", "a/b", "../g", "."])
def test_name_must_stay_in_the_folder(model, tmp_path, name):
    with pytest.raises(InputError, match="must be a plain file name, got"):
        write_products(model, tmp_path, name)


def test_folder_must_exist(model, tmp_path):
    with pytest.raises(InputError, match="g_sersic.ecsv: the folder .*nowhere is not there"):
        write_products(model, tmp_path / "nowhere", "g")


def test_earlier_table_survives_a_failure(model, tmp_path, monkeypatch):
    path = tmp_path / "g_sersic.ecsv"
    path.write_text("earlier")

    def fail_in_the_middle(self, path, **kwargs):
        Path(path).write_text("half a ta")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(QTable, "write", fail_in_the_middle)
    with pytest.raises(GalstepError, match="g_sersic.ecsv: cannot be written .*No space left"):
        write_products(model, tmp_path, "g")
    assert [p.name for p in tmp_path.iterdir()] == ["g_sersic.ecsv"]
    assert path.read_text() == "earlier"


def test_replacing_leaves_nothing_behind_after_any_failure(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_run_leaves_no_half_file(tmp_path):
    path = tmp_path / "g_phot.ecsv"
    path.write_text("earlier")
    code = (
        "import os, sys\n"
        "from galstep.datamodels.files.atomic import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half a table')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode != 0
    assert path.read_text() == "earlier"
    # what is left is hidden and no product
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["g_phot.ecsv"]


@pytest.mark.skipif(not TRUTH.exists(), reason="the truth set is not here")
def test_the_scorer_reads_the_products(model, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TRUTH)
    adapt_products = pytest.importorskip("score").adapt_products
    model.save(tmp_path / "g001_gal.asdf")
    write_products(model, tmp_path, "g001")
    result = adapt_products("g001", tmp_path, ["F090W", "F150W", "F277W"])
    scored = result["filters"]["F150W"]
    assert (scored["x0"], scored["y0"]) == (55.25, 41.5)
    assert (scored["r_eff"], scored["r_eff_err"]) == (5.5, 0.055)
    assert (scored["flux"], scored["theta"], scored["sky"]) == (1000.0, 0.75, 0.105)
    assert scored["stars"]["x"] == [42.5, 60.125]
    assert scored["stars"]["footprint"] == [41, 70, 31, 52]
    residual = model.bands["F150W"].residual.astype(np.float32)
    np.testing.assert_array_equal(scored["residual"][30:54, 40:72], residual)
    assert np.isnan(result["filters"]["F277W"]["flux"])
