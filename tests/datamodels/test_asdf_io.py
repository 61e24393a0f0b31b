"""The product: everything comes back, damage is named, nothing is half written."""

import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace

import asdf
import numpy as np
import pytest
import yaml
from sample_models import FILTERS, ORIGIN, make_model

from galstep import records
from galstep.datamodels import BandData, GalaxyModel
from galstep.datamodels.files.serialise import LATER
from galstep.datamodels.tables.columns import COLUMNS
from galstep.exceptions import GalstepError, InputError
from galstep.schemas import GALAXY_SCHEMA_URI, resource_mappings


def assert_same(first, second, where="model"):
    """Equal in every field, arrays bit for bit (NaN equals NaN) and of one type."""
    assert type(first) is type(second), where
    if is_dataclass(first):
        for field in fields(first):
            name = field.name
            assert_same(getattr(first, name), getattr(second, name), f"{where}.{name}")
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype, where
        np.testing.assert_array_equal(first, second, err_msg=where)
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for i, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}[{key}]")
    elif isinstance(first, float):
        np.testing.assert_equal(first, second, err_msg=where)
    else:
        assert first == second, where


def assert_same_model(first, second):
    assert first.filters == second.filters
    assert_same(first.meta, second.meta, "meta")
    assert_same(first.joint, second.joint, "joint")
    for name, band in first.bands.items():
        twin = second.bands[name]
        if band.wcs is not None:
            sky = [wcs.wcs_pix2world([[3, 4], [20, 1]], 0) for wcs in (band.wcs, twin.wcs)]
            np.testing.assert_allclose(*sky, rtol=1e-13)
        band, twin = replace(band, wcs=None), replace(twin, wcs=None)
        assert_same(band, twin, name)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return make_model().save(tmp_path_factory.mktemp("saved") / "g001_gal.asdf")


@pytest.fixture
def product(saved, tmp_path):
    return shutil.copy(saved, str(tmp_path))


def test_model_comes_back(model, product):
    assert_same_model(model, GalaxyModel.open(product))


def test_unfitted_model_comes_back(model, tmp_path):
    model.joint, model.meta.input_shape = None, None
    for band in model.bands.values():
        band.fit = band.aperture = band.psf_kernel = band.err = None
        band.sky = band.galaxy = band.stars = band.wcs = None
    again = GalaxyModel.open(model.save(tmp_path / "raw.asdf"))
    assert_same_model(model, again)
    assert not any(band.fitted for band in again.bands.values())


def test_saving_twice_gives_the_same_bytes(model, product, tmp_path):
    again = GalaxyModel.open(product).save(tmp_path / "again.asdf")
    with open(product, "rb") as first, open(again, "rb") as second:
        assert first.read() == second.read()


def test_views_do_not_drag_the_arrays_behind_them_along(model, product, tmp_path):
    ny, nx = model.bands["F150W"].shape
    stack = np.zeros((500, ny, nx))
    stack[0] = model.bands["F150W"].sky
    model.bands["F150W"].sky = stack[0]
    other = model.save(tmp_path / "view.asdf")
    with open(product, "rb") as first, open(other, "rb") as second:
        assert len(first.read()) == len(second.read())


def test_tree_is_as_documented(model, product):
    with asdf.open(product) as file:
        assert file["galstep_product"] == 1
        assert file["meta"]["filters"] == list(FILTERS)
        assert file["meta"]["cal_step"] == {"gal_basefit": "COMPLETE"}
        band = file["bands"]["F150W"]
        assert band["origin"] == list(ORIGIN)
        assert band["residual"].dtype == np.float32
        expected = model.bands["F150W"].residual.astype(np.float32)
        np.testing.assert_array_equal(band["residual"], expected)
        assert np.isnan(file["bands"]["F277W"]["residual"]).all()
        assert band["wcs"].startswith("WCSAXES")
        for table, columns in COLUMNS.items():
            assert set(file["tables"][table]["columns"]) == {column.name for column in columns}
        assert file["tables"]["sersic"]["units"]["flux"] == "MJy pix / sr"
        assert file["tables"]["sersic"]["columns"]["filter"] == list(FILTERS)


def test_product_opens_without_galstep(product):
    # a child without our plug-ins: any use of galstep or asdf-astropy would fail or warn
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "sys.modules['galstep'] = sys.modules['asdf_astropy'] = None\n"
        "import asdf, numpy as np\n"
        f"with asdf.open({product!r}) as file:\n"
        "    band = file['bands']['F150W']\n"
        "    print(file['meta']['name'], band['data'].shape, np.isnan(band['residual']).sum())\n"
        "    print(file['tables']['stars']['columns']['flux'][0])\n"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["g001 (24, 32) 72", "12.5"]


def test_info_shows_the_product_without_galstep(product):
    code = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "sys.modules['galstep'] = sys.modules['asdf_astropy'] = None\n"
        f"import asdf; asdf.info({product!r}, max_rows=400)\n"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    for word in ("bands", "F150W", "noise_err", "fit_step"):
        assert word in run.stdout


def test_some_filters_of_a_product(product, caplog):
    caplog.set_level("INFO")
    model = GalaxyModel.open(product, filters=["F277W", "F090W"])
    assert model.filters == ("F277W", "F090W")
    assert model.meta.base_filter is None
    assert model.joint is None
    assert "the joint result is left out" in caplog.text
    assert GalaxyModel.open(product, filters=["F090W", "F150W"]).joint is not None


def test_filter_that_the_product_lacks(product):
    message = r"g001_gal.asdf: filter 'F151W' is not there; it has F150W.*did you mean 'F150W'"
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(product, filters=["F151W"])


def test_psf_file_is_not_used_and_that_is_said(product, caplog):
    caplog.set_level("INFO")
    GalaxyModel.open(product, psf_file="any.h5")
    assert "a product carries its PSFs, so psf_file is not used" in caplog.text


def set_item(*keys, value):
    def change(tree):
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return change


def drop(*keys):
    def change(tree):
        for key in keys[:-1]:
            tree = tree[key]
        del tree[keys[-1]]

    return change


BAND = ("bands", "F150W")
DAMAGE = {
    "no data": (drop(*BAND, "data"), "bands/F150W: 'data' is a required property"),
    "no fit key": (drop(*BAND, "fit", "sky"), "bands/F150W/fit: 'sky' is a required"),
    "no band": (drop("bands", "F090W"), "bands: 'F090W' is missing"),
    "no tables": (drop("tables"), "'tables' is a required property"),
    "version": (set_item("galstep_product", value=2), r"galstep_product: 2 is not one of \[1\]"),
    "text": (set_item(*BAND, "data", value="lost"), "bands/F150W/data: mismatched tags"),
    "cube": (
        set_item(*BAND, "psf", value=np.ones((2, 2, 2))),
        "bands/F150W/psf: Wrong number of dimensions: Expected 2, got 3",
    ),
    "single precision": (
        set_item(*BAND, "psf", value=np.ones((2, 2), "f4")),
        "bands/F150W/psf: Expected datatype 'float64', got 'float32'",
    ),
    "shape": (
        set_item(*BAND, "sky", value=np.ones((4, 4))),
        r"bands/F150W: sky of filter 'F150W' must have the shape of data \(24, 32\)",
    ),
    "stars": (
        set_item(*BAND, "fit", "stars", "flux", value=np.ones(5)),
        "bands/F150W: fit/stars: arrays must be of one length",
    ),
    "unit": (
        set_item(*BAND, "unit", value="furlongs"),
        "bands/F150W: unit: unit must be one that astropy knows",
    ),
    "wcs": (set_item(*BAND, "wcs", value="no header"), "bands/F150W: wcs: the WCS must be"),
    "kernel": (
        drop(*BAND, "psf_kernel", "family"),
        "bands/F150W/psf_kernel: 'family' is a required",
    ),
    "origin": (set_item(*BAND, "origin", value=[1]), r"bands/F150W/origin: \[1\] is too short"),
    "sersic": (
        drop(*BAND, "fit", "sersic", 0, "params", "n"),
        "bands/F150W/fit/sersic/0/params: .n. is a required property",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_by_file_and_key(product, tmp_path, case):
    change, message = DAMAGE[case]
    with asdf.open(product, lazy_load=False) as file:
        tree = file.tree
    change(tree)
    path = tmp_path / "damaged.asdf"
    asdf.AsdfFile(tree).write_to(path)
    with pytest.raises(InputError, match=r"damaged.asdf: not a sound product: .*" + message):
        GalaxyModel.open(path)


def test_asdf_file_of_another_kind(tmp_path):
    path = tmp_path / "config.asdf"
    asdf.AsdfFile({"class": "x", "parameters": {}}).write_to(path)
    message = "config.asdf: an ASDF file, but no product of galstep"
    with pytest.raises(InputError, match=message):
        GalaxyModel.open(path)


@pytest.mark.parametrize("n_bytes", [300, 5000, -8000])
def test_truncated_file(product, tmp_path, n_bytes):
    path = tmp_path / "short.asdf"
    with open(product, "rb") as file:
        path.write_bytes(file.read()[:n_bytes])
    with pytest.raises(InputError, match=r"short.asdf: .*damaged"):
        GalaxyModel.open(path)


def test_earlier_product_survives_a_failure(model, product, monkeypatch, tmp_path):
    with open(product, "rb") as file:
        before = file.read()
    write = asdf.AsdfFile.write_to

    def fail_late(self, path, *args, **kwargs):
        write(self, path, *args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(asdf.AsdfFile, "write_to", fail_late)
    with pytest.raises(GalstepError, match="cannot be written .*No space left on device"):
        model.save(product)
    with open(product, "rb") as file:
        assert file.read() == before
    assert [path.name for path in tmp_path.iterdir()] == ["g001_gal.asdf"]


def test_model_that_does_not_fit_the_schema_is_not_written(model, tmp_path):
    model.bands["F150W"].psf_kernel = records.PsfKernel("box")
    message = "g.asdf: not a sound model: bands/F150W/psf_kernel"
    with pytest.raises(GalstepError, match=message):
        model.save(tmp_path / "g.asdf")
    assert list(tmp_path.iterdir()) == []


def test_folder_must_exist(model, tmp_path):
    with pytest.raises(InputError, match="the folder .*nowhere is not there"):
        model.save(tmp_path / "nowhere" / "g.asdf")


def test_schema_is_a_resource_and_covers_every_field():
    content = resource_mappings()[0][GALAXY_SCHEMA_URI]
    schema = yaml.safe_load(content)
    assert schema["id"] == GALAXY_SCHEMA_URI
    band = schema["definitions"]["band"]
    names = {field.name for field in fields(BandData)} - {"name"} | {"residual"}
    # products of earlier versions have no forced photometry, knots and companions
    later = {"forced", "knots", "companions"}
    assert set(band["required"]) | later == set(band["properties"]) == names
    asdf.schema.check_schema(schema)


def test_schema_covers_every_record_field():
    schema = yaml.safe_load(resource_mappings()[0][GALAXY_SCHEMA_URI])
    parts = schema["definitions"]["band"]["properties"]
    fit = schema["definitions"]["fit"]
    required = {
        "PsfKernel": parts["psf_kernel"]["anyOf"][1]["required"],
        "ApertureFlux": schema["definitions"]["aperture"]["required"],
        "BandFit": fit["required"],
        "SersicFit": fit["properties"]["sersic"]["items"]["required"],
        "SkyModel": fit["properties"]["sky"]["required"],
        "StarList": schema["definitions"]["star_list"]["required"],
        "JointSummary": schema["properties"]["joint"]["anyOf"][1]["required"],
        "Aperture": schema["definitions"]["aperture"]["properties"]["aperture"]["required"],
    }
    # products of earlier versions lack these
    for name, keys in required.items():
        known = {field.name for field in fields(getattr(records, name))}
        assert set(keys) == known - set(LATER.get(name, ())), name
    # what came later has a place in the schema all the same
    assert set(LATER["BandFit"]) <= set(fit["properties"])
    assert set(LATER["SersicFit"]) <= set(fit["properties"]["sersic"]["items"]["properties"])
