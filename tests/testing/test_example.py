"""The packaged example is what its generator makes, and its commands work."""

import re
import subprocess
import sys
from pathlib import Path

import asdf
import h5py
import numpy as np
import pytest
from astropy.table import Table

from galstep.core.imaging._kernels import COMPILED
from galstep.data import example_path
from galstep.datamodels.products.galaxy_products import write_products
from galstep.exceptions import InputError
from galstep.testing import make_example, run_example
from galstep.testing.models import fitted_model, true_model
from galstep.testing.structured_score import known, score_galaxy


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_example.main([str(folder)])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["example.h5", "example_psf.h5", "structured.h5"])
def test_packaged_images_are_what_the_generator_makes(made, name):
    with h5py.File(example_path(name)) as packaged, h5py.File(made / name) as fresh:
        assert dict(packaged.attrs) == dict(fresh.attrs)
        assert set(packaged) == set(fresh)
        names = []
        packaged.visititems(
            lambda key, item: names.append(key) if isinstance(item, h5py.Dataset) else None
        )
        for key in names:
            assert packaged[key].dtype == np.float32
            scale = np.abs(fresh[key][()]).max()
            np.testing.assert_allclose(packaged[key], fresh[key], rtol=3e-7, atol=1e-7 * scale)


@pytest.mark.parametrize("name", [name for name in make_example.FILES if "ecsv" in name])
def test_packaged_tables_are_what_the_generator_makes(made, name):
    packaged, fresh = Table.read(example_path(name)), Table.read(made / name)
    assert packaged.colnames == fresh.colnames
    assert packaged.meta == fresh.meta
    for column in packaged.colnames:
        if packaged[column].dtype.kind == "f":
            np.testing.assert_allclose(packaged[column], fresh[column], rtol=1e-9)
        else:
            assert list(packaged[column]) == list(fresh[column])


def test_packaged_files_are_small():
    total = sum(example_path(name).stat().st_size for name in make_example.FILES)
    assert total < 2_000_000


@pytest.mark.parametrize("galaxy", run_example.EXAMPLES)
def test_parameter_file_names_the_packaged_files(galaxy):
    with asdf.open(example_path(f"{galaxy}.asdf")) as file:
        tree = file.tree
        assert tree["class"] == "galstep.pipeline.GalPipeline"
        assert example_path(tree["parameters"]["input_file"]).is_file()
        step = tree["steps"][0]
        assert (step["name"], step["class"]) == ("loadcrop", "galstep.steps.LoadCrop")
        assert example_path(step["parameters"]["psf_file"]).is_file()


def test_library_psf_is_sharper_than_the_true_one_in_every_filter():
    truth = make_example.example_scene().truth
    for name in truth.filters:
        assert truth.psfs[name].fwhm > truth.library[name].fwhm + 0.3


def test_command_prints_the_path(tmp_path):
    # the same package as here, wherever the command is given (see conftest.py)
    result = subprocess.run(
        [sys.executable, "-m", "galstep.data"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert result.stdout.strip() == str(example_path())


def test_says_beforehand_how_long_the_run_takes():
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    seconds = re.search(r"takes about (\d+) s,\s+every later one (\d+) s", readme)
    line = run_example.expected_time()
    assert "\n" not in line
    if COMPILED:
        assert re.findall(r"(\d+) s", line) == list(seconds.groups())


def test_unknown_file():
    with pytest.raises(InputError, match=r"name must be one of example.asdf, .*got 'nothing'"):
        example_path("nothing")


def test_report_is_made_from_the_products(tmp_path):
    """With the truth in the products every pull is zero and every star is found."""
    write_products(fitted_model(make_example.example_scene()), tmp_path, "example")
    text = run_example.report(tmp_path)
    rows = [line.split() for line in text.splitlines() if line.startswith("  ")]
    stars = [row for row in rows if row[-1].isdigit()]
    assert len(stars) == 6
    assert all(int(row[-1]) == int(row[-2]) > 40 for row in stars)
    # the shape in the table is rounded nowhere, so a pull is zero, whatever its sign
    assert all(abs(float(row[-1])) < 0.01 for row in rows if row not in stars)


@pytest.mark.slow
def test_report_of_the_spiral_is_made_from_the_products(tmp_path):
    """With the truth in the products nothing is lost and no star is false."""
    synthetic = make_example.structured_scene()
    write_products(true_model(synthetic, "structured"), tmp_path, "structured")
    true_model(synthetic, "structured").save(tmp_path / "structured_gal.asdf")
    lines = run_example.report(tmp_path, "structured").splitlines()
    assert lines[0].startswith("spiral: per cent")
    assert [line.split()[0] for line in lines[1:]] == ["F090W", "F150W", "F277W"]
    for line in lines[1:]:
        assert "dF    +0.0" in line or "dF    -0.0" in line
        assert "false   0 (knots 0 core 0)" in line
        assert "right   aper right" in line


@pytest.mark.slow
def test_no_filter_of_the_spiral_is_wrong_without_a_warning(tmp_path):
    run_example.main([str(tmp_path), "--galaxy", "structured"])
    rows = score_galaxy(known(make_example.structured_scene(), "structured"), tmp_path)
    assert "silent" not in {row["verdict"] for row in rows.values()}
    assert "silent" not in {row["verdict_aper"] for row in rows.values()}


@pytest.mark.slow
def test_example_runs_and_the_answer_is_the_truth(tmp_path, capsys):
    run_example.main([str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "example_qa.png" in printed
    truth = Table.read(example_path("example_truth.ecsv"))
    sersic = Table.read(tmp_path / "out" / "example_sersic.ecsv")
    assert list(sersic["filter"]) == list(truth["filter"])
    pull = (sersic["flux"] - truth["flux"]) / sersic["flux_err"]
    assert np.all(np.abs(pull) < 5)
    np.testing.assert_allclose(sersic["flux"], truth["flux"], rtol=0.05)
