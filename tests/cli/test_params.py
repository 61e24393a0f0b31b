"""``galstep params``: a table of what can be set."""

import pytest

from galstep.cli.main import main
from galstep.configuration.parameters import parameters_of, pipeline_parameters
from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline


def said(capsys, *arguments):
    """What the command prints."""
    assert main(["params", *arguments]) == 0
    return capsys.readouterr().out


def test_all_of_them(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    lines = said(capsys, "--all").splitlines()
    first = {line.split()[0] for line in lines if line.strip()}
    assert {parameter.name for parameter in pipeline_parameters()} <= first
    assert max(map(len, lines)) <= 150


@pytest.mark.parametrize("step", ["pipeline", *GalPipeline.step_defs, "starphot"])
def test_of_one_step(step, capsys):
    few, every = parameters_of(step, only_most_used=True), parameters_of(step)
    assert 3 < len(few) < len(every)
    assert all(parameter in every for parameter in few)
    assert all(parameter.text for parameter in every)
    said(capsys, step)
    short = said(capsys, step).splitlines()
    assert short[-1].endswith(f"galstep params {step} --all")


def test_the_dozen_or_two_one_touches(capsys):
    assert 12 <= len(parameters_of(only_most_used=True)) <= 26
    text = said(capsys)
    assert "basefit.th_min" in text and "aperphot.petro" in text
    assert text.splitlines()[0].split() == ["parameter", "default", "unit", "meaning"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("loadcrop.pixel_scale", "arcsec"), ("loadcrop.ra", "degrees"), ("loadcrop.unit", ""),
        ("basefit.th_min", "sigma"), ("basefit.prior_r_eff", "pixels"), ("basefit.prior_n", ""),
    ],
)  # fmt: skip
def test_units(name, unit):
    (parameter,) = (p for p in pipeline_parameters() if p.name == name)
    assert parameter.unit == unit


def test_a_step_that_there_is_not(capsys):
    with pytest.raises(ParameterError, match="did you mean 'basefit'"):
        parameters_of("basfit")
    assert main(["params", "basfit"]) == 1
    assert "did you mean 'basefit'" in capsys.readouterr().err
