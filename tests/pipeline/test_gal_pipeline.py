"""GalPipeline on a small synthetic galaxy: the products, and every way to change the run."""

import itertools
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from stpipe import Step

from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError, InputError
from galstep.flags import decode
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

FILTERS = ("F150W", "F277W")
# all that run by default
KEYS = [key for key in GalPipeline.step_defs if key not in ("tweakreg", "inject")]
TABLES = ("sersic", "phot", "stars", "knots")
PRODUCTS = {"small_gal.asdf", *(f"small_{kind}.ecsv" for kind in TABLES)}


@pytest.fixture(scope="module")
def scene():
    """A galaxy of S/N 200 among a few stars."""
    return make_scene(seed=5, shape=(71, 71), n_stars=8, filters=FILTERS, snr=200.0)


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    """Its files, and a parameter file that names them."""
    path = tmp_path_factory.mktemp("small")
    scene.write_hdf5(path / "small.h5")
    scene.write_psf(path / "psf.h5")
    (path / "config.asdf").write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: galstep.pipeline.GalPipeline\nname: GalPipeline\n"
        "parameters: {input_file: small.h5, qa_figure: false}\nsteps:\n"
        "- class: galstep.steps.LoadCrop\n  name: loadcrop\n  parameters: {psf_file: psf.h5}\n...\n"
    )
    return path


@pytest.fixture(scope="module")
def config(folder):
    """The parameter file."""
    return str(folder / "config.asdf")


@pytest.fixture(scope="module")
def loaded(config):
    """The galaxy read, nothing measured."""
    return GalPipeline.from_config_file(config).loadcrop.run(
        GalaxyModel.open(config.replace("config.asdf", "small.h5"), psf_file=_psf(config))
    )


def _psf(config):
    return config.replace("config.asdf", "psf.h5")


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """A whole run: its folder and its result."""
    path = tmp_path_factory.mktemp("run")
    model = GalPipeline.call(config, output_dir=str(path), qa_figure=True, configure_log=False)
    return path, model


def only(*keys):
    """Parameters that skip all steps but these."""
    return {key: {"skip": key not in keys} for key in KEYS}


def test_truth_is_found(run, scene):
    _, model = run
    for name in FILTERS:
        fit = model.bands[name].fit.sersic[0]
        assert fit.flux == pytest.approx(scene.truth.fluxes[name], abs=5 * fit.flux_err)
        assert 0 < fit.flux_err < 0.05 * fit.flux


def test_products(run):
    path, model = run
    assert PRODUCTS <= set(os.listdir(path))
    table = QTable.read(path / "small_sersic.ecsv")
    assert list(table["filter"]) == list(FILTERS)
    for row in table:
        assert row["flux"].value == model.bands[row["filter"]].fit.sersic[0].flux
    again = GalaxyModel.open(path / "small_gal.asdf")
    assert np.array_equal(
        again.bands["F150W"].residual, model.bands["F150W"].residual, equal_nan=True
    )
    assert again.meta.timings == model.meta.timings


def test_pictures(run):
    path, _ = run
    pytest.importorskip("matplotlib")
    assert (path / "small_qa.png").read_bytes().startswith(b"\x89PNG")


def test_all_steps_are_recorded(run):
    _, model = run
    status = vars(model.meta.cal_step)
    assert {f"gal_{key}" for key in KEYS} <= set(status)
    for alias, value in status.items():
        assert value == ("SKIPPED" if alias in ("gal_tweakreg", "gal_inject") else "COMPLETE")
    for key in KEYS:
        assert model.meta.timings[key] > 0
        assert isinstance(model.meta.parameters[key], dict)
    assert model.meta.parameters["loadcrop"]["psf_file"].endswith("psf.h5")


def test_same_result_from_the_command_line(config, run, elsewhere):
    Step.from_cmdline(["gal_pipeline", config])
    assert set(os.listdir()) >= PRODUCTS
    model = GalaxyModel.open("small_gal.asdf")
    for name in FILTERS:
        ours, theirs = model.bands[name].fit.sersic[0], run[1].bands[name].fit.sersic[0]
        assert (ours.params, ours.flux, ours.flux_err) == (
            theirs.params, theirs.flux, theirs.flux_err
        )  # fmt: skip


def test_same_result_step_by_step(folder, run, elsewhere):
    Step.from_cmdline(["gal_loadcrop", str(folder / "small.h5"), f"--psf_file={folder / 'psf.h5'}"])
    for before, key in itertools.pairwise(KEYS):
        Step.from_cmdline([f"gal_{key}", f"small_{before}.asdf"])
    models = {name for name in os.listdir() if name.endswith(".asdf")} - {"small_psf.asdf"}
    assert models == {f"small_{key}.asdf" for key in KEYS}
    model = GalaxyModel.open("small_aperphot.asdf")
    for name in FILTERS:
        ours, theirs = model.bands[name], run[1].bands[name]
        assert ours.fit.sersic[0].flux == theirs.fit.sersic[0].flux
        assert ours.aperture.flux == theirs.aperture.flux


@pytest.mark.parametrize("key", KEYS)
def test_each_step_skipped(config, elsewhere, key):
    try:
        Step.from_cmdline(["gal_pipeline", config, f"--steps.{key}.skip=true"])
    except GalstepError as error:
        # what comes after needs it, and says so
        assert "needs" in str(error)
        assert os.listdir() == []
    else:
        model = GalaxyModel.open("small_gal.asdf")
        assert getattr(model.meta.cal_step, f"gal_{key}") == "SKIPPED"
        assert key not in model.meta.timings


def test_nothing_but_reading(config, elsewhere):
    model = GalPipeline.call(config, steps=only("loadcrop"))
    assert [band.fitted for band in model.bands.values()] == [False, False]
    assert set(os.listdir()) == PRODUCTS


def test_loadcrop_skipped_still_reads_with_its_parameters(config, elsewhere):
    model = GalPipeline.call(
        config, filters=["F277W"], steps={**only(), "loadcrop": {"skip": True, "unit": "Jy"}}
    )
    assert list(model.bands) == ["F277W"]
    band = model.bands["F277W"]
    assert band.unit == "MJy/sr" and band.origin == (0, 0)
    plain = GalPipeline.call(config, filters=["F277W"], steps=only()).bands["F277W"]
    np.testing.assert_allclose(band.data, plain.data * 1e-6 / band.pixel_area_sr)


@pytest.mark.parametrize("keys", [(), ("loadcrop",)])
def test_filters(config, elsewhere, keys):
    pipeline = GalPipeline.from_config_file(config)
    pipeline.filters = ["F277W"]
    for key in KEYS:
        getattr(pipeline, key).skip = key not in keys
    assert list(pipeline.run().bands) == ["F277W"]
    assert pipeline.loadcrop.filters is None
    pipeline.loadcrop.filters = ["F150W"]
    assert list(pipeline.run().bands) == ["F150W"]


@pytest.mark.parametrize("keys", [(), ("loadcrop",)])
def test_filter_that_is_not_there(config, elsewhere, keys):
    with pytest.raises(InputError, match="F999W"):
        GalPipeline.call(config, filters="F999W", steps=only(*keys))


def test_filters_of_a_model(loaded):
    for keys in ((), ("loadcrop",)):
        result = GalPipeline(filters=["F277W"], steps=only(*keys)).run(loaded)
        assert list(result.bands) == ["F277W"]
    assert list(loaded.bands) == list(FILTERS)


def test_users_model_is_unchanged(loaded):
    before = loaded.copy()
    result = GalPipeline(steps=only("loadcrop", "basefit"), qa_figure=False).run(loaded)
    assert result.bands["F150W"].fitted
    assert not loaded.bands["F150W"].fitted
    assert vars(loaded.meta.cal_step) == vars(before.meta.cal_step)
    for name in FILTERS:
        assert np.array_equal(loaded.bands[name].data, before.bands[name].data)


def test_other_suffix_names_all_products(config, elsewhere):
    GalPipeline.call(config, suffix="v2", steps=only("loadcrop"))
    tables = {f"small_v2_{kind}.ecsv" for kind in TABLES}
    assert set(os.listdir()) == {"small_v2.asdf", *tables}


def test_sphots_layout(config, elsewhere):
    GalPipeline.call(config, output_ext=".h5", steps=only("loadcrop"))
    assert "small_gal.h5" in os.listdir()


def test_earlier_products_survive_a_failure(config, elsewhere):
    GalPipeline.call(config, steps=only("loadcrop"))
    before = {name: Path(name).read_bytes() for name in os.listdir()}
    hook = {"skip": True, "post_hooks": ["toy_steps.in_words"]}
    steps = {**only("loadcrop"), "aperphot": hook}
    with pytest.raises(GalstepError, match="must return a GalaxyModel, got str"):
        GalPipeline.call(config, steps=steps)
    assert {name: Path(name).read_bytes() for name in os.listdir()} == before


def test_a_product_is_an_input(run, elsewhere):
    path, model = run
    shutil.copy(path / "small_gal.asdf", "small_gal.asdf")
    result = GalPipeline.call("small_gal.asdf", steps=only(), save_results=True, qa_figure=False)
    assert set(os.listdir()) >= PRODUCTS
    assert result.bands["F150W"].fit.sersic[0].flux == model.bands["F150W"].fit.sersic[0].flux


def test_base_fit_replaced_by_a_class_of_the_users(config, elsewhere):
    steps = {**only("loadcrop", "basefit"), "basefit": {"class": "toy_steps.AddTen", "tens": 2}}
    model = GalPipeline.call(config, steps=steps)
    plain = GalPipeline.call(config, steps=only("loadcrop"))
    difference = model.bands["F150W"].data - plain.bands["F150W"].data
    assert np.allclose(difference, 20.0)
    assert model.meta.parameters["basefit"] == {"tens": 2}


def test_summary_is_logged(run, caplog):
    with caplog.at_level(logging.INFO, "stpipe"):
        GalPipeline(steps=only()).run(run[1])
    lines = [r.getMessage() for r in caplog.records if r.name == "stpipe.galstep.pipeline"]
    start = next(i for i, line in enumerate(lines) if line.startswith("filter"))
    for name, line in zip(FILTERS, lines[start + 1 :], strict=True):
        assert line.startswith(name)
        for flag in decode(run[1].bands[name].all_flags):
            assert flag.replace("_", " ") in line


def test_without_matplotlib(config, elsewhere, monkeypatch, caplog):
    from galstep.steps.galaxy import products

    monkeypatch.setattr(products.importlib.util, "find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, "stpipe"):
        GalPipeline.call(config, qa_figure=True, steps=only("loadcrop"), configure_log=False)
    assert set(os.listdir()) == PRODUCTS
    assert "matplotlib is not installed, so small_qa.png is not written" in caplog.text


def test_strun_in_a_process_of_its_own(config, elsewhere):
    program = os.path.join(os.path.dirname(sys.executable), "strun")
    environment = {
        **os.environ,
        "CRDS_SERVER_URL": "https://jwst-crds.stsci.edu",
        "CRDS_PATH": str(elsewhere / "crds_cache"),
    }
    skipped = [f"--steps.{key}.skip=true" for key in KEYS if key not in ("loadcrop", "basefit")]
    result = subprocess.run(
        [program, "gal_pipeline", config, "--output_dir=out", *skipped],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert set(os.listdir("out")) >= PRODUCTS
    assert os.listdir() == ["out"]
