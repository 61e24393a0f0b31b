"""Paths and tables as parameters: the same text door in steps, calls and pipelines."""

from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galstep.pipeline import GalPipeline
from galstep.steps import ForcedScaleFit, StarPhot, TweakReg
from galstep.steps.framework.given_tables import GivenTable, as_text, table_of

TABLE = Table({"x": [1.0], "y": [2.0]})


@pytest.mark.parametrize("given", [
    TABLE, {"x": [1.0], "y": [2.0]}, TABLE.as_array(),
    SkyCoord([1.0], [2.0], unit="deg"),
], ids=lambda given: type(given).__name__)  # fmt: skip
def test_a_table_stands_behind_its_text(given):
    text = as_text({"catalog": given})["catalog"]
    assert isinstance(text, GivenTable) and type(given).__name__ in text
    assert table_of(text) is given


def test_two_tables_of_one_text_differ():
    one, other = (as_text({"catalog": TABLE})["catalog"] for _ in range(2))
    assert str(one) == str(other) and one != other and len({one, other}) == 2


@pytest.mark.parametrize("value", [None, "a.ecsv", 3, 2.5, True, ["a", "b"], {"a": {"b": 1}}])
def test_what_a_file_can_hold_stays(value):
    assert as_text({"other": value}) == {"other": value}


def test_paths_are_text_wherever_they_are():
    given = {"psf_file": Path("a"), "steps": {"loadcrop": {"psf_file": Path("b")}}}
    assert as_text(given) == {"psf_file": "a", "steps": {"loadcrop": {"psf_file": "b"}}}
    assert isinstance(given["psf_file"], Path)  # the caller's own is as it was


@pytest.mark.parametrize(("step", "name"), [
    (ForcedScaleFit, "catalog"), (TweakReg, "abs_refcat"), (TweakReg, "catfile"),
    (StarPhot, "init_params"), (StarPhot, "psf_file"), (GalPipeline, "output_dir"),
])  # fmt: skip
def test_every_step_takes_a_path(tmp_path, step, name):
    path = tmp_path / "a.ecsv"
    path.touch()
    assert getattr(step(**{name: path}), name) == str(path)
    later = step()
    setattr(later, name, path)
    assert later.get_pars()[name] == str(path)


def test_a_pipeline_hands_tables_on():
    pipeline = GalPipeline(steps={"forcedscalefit": {"catalog": TABLE}})
    assert table_of(pipeline.forcedscalefit.catalog) is TABLE
    assert pipeline.get_pars()["steps"]["forcedscalefit"]["catalog"] == "<Table of 1 rows>"


def test_numbers_are_no_table_of_another_parameter():
    assert isinstance(as_text({"radii": np.ones(2)})["radii"], np.ndarray)
