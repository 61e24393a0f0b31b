"""Help shows what one touches; every parameter stays where it was for all else."""

import sys

import pytest
from stpipe import Step, utilities

from galstep import steps
from galstep.integration import get_steps
from galstep.pipeline import GalPipeline
from galstep.steps.framework.short_help import MOST_USED, asks_for_help, shortened

OWN = {alias: name for name, alias, _ in get_steps() if alias != "gal_measure"}


def names(spec, where=""):
    """Dotted names of all parameters in a spec."""
    for key, check in spec.items():
        if isinstance(check, dict):
            yield from names(check, f"{where}{key}.")
        else:
            yield f"{where}{key}"


@pytest.mark.parametrize("alias", OWN)
def test_what_is_shown_is_there(alias):
    step_class = utilities.import_class(OWN[alias], Step)
    spec = step_class.load_spec_file()
    short = shortened(spec, alias)
    assert list(dict.fromkeys(MOST_USED[alias])) == sorted(names(short), key=MOST_USED[alias].index)
    assert set(names(short)) < set(names(spec))
    for section, whole in ((short, spec), (short.get("steps", {}), spec.get("steps", {}))):
        for key in section:
            if not isinstance(section[key], dict):
                assert section[key] == whole[key]
                assert section.inline_comments[key] == whole.inline_comments[key]


@pytest.mark.parametrize("alias", OWN)
def test_help_is_short_and_says_where_the_rest_is(alias, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/some/bin/strun", alias, "--help"])
    with pytest.raises(SystemExit) as caught:
        Step.from_cmdline(sys.argv[1:])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) < (140 if alias in ("gal_pipeline", "gal_field") else 90)
    assert "galstep params" in " ".join(said.split())
    for name in MOST_USED[alias]:
        assert f"--{name}" in said


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["strun", "gal_basefit", "-h"], True),
        (["strun", "galstep.steps.BaseFit", "--help"], True),
        (["strun", "gal_scalefit", "--help"], False),
        (["strun", "gal_basefit", "x.asdf"], False),
        (["pytest", "gal_basefit", "--help"], False),
    ],
)
def test_when_it_is_shortened(arguments, asked):
    assert asks_for_help(steps.BaseFit, arguments) is asked


def test_a_parameter_file_shows_the_pipelines_help(tmp_path):
    path = tmp_path / "config.asdf"
    path.touch()
    assert asks_for_help(GalPipeline, ["strun", str(path), "--help"])
    assert not asks_for_help(steps.BaseFit, ["strun", str(path), "--help"])
