"""Parameter files that galstep writes, read by stpipe."""

import pytest
import yaml
from stpipe import Step

from galstep.configuration.parameters import pipeline_parameters
from galstep.configuration.writer import parameter_text, write_parameter_file
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline
from galstep.testing import make_scene

# these are the file's and the run's, not the pipeline's
VARYING = ("input_dir",)


def parameters_of(path):
    """The parameters of a pipeline made from a file."""
    values = GalPipeline.from_config_file(path).get_pars()
    return {key: value for key, value in values.items() if key not in VARYING}


@pytest.fixture
def everything(tmp_path):
    """A file with every parameter at its default."""
    path = tmp_path / "all.asdf"
    write_parameter_file(path)
    return path


def test_defaults_are_those_of_the_pipeline(everything):
    defaults = GalPipeline().get_pars()
    found = parameters_of(everything)
    for step in found["steps"].values():
        step.pop("input_dir", None)
    for step in defaults["steps"].values():
        step.pop("input_dir", None)
    assert found == {key: value for key, value in defaults.items() if key not in VARYING}


def test_every_parameter_has_its_comment(everything):
    lines = everything.read_text().splitlines()
    for parameter in pipeline_parameters():
        indent = " " * (2 if parameter.step == "pipeline" else 4) + "  " * (len(parameter.path) - 1)
        places = [
            i for i, line in enumerate(lines) if line.startswith(f"{indent}{parameter.path[-1]}: ")
        ]
        assert places, parameter.name
        assert all(lines[i - 1].strip().startswith("#") for i in places), parameter.name
        assert len(parameter.text) > 5, parameter.name
    assert max(map(len, lines)) <= 100


def test_every_step_and_section_is_there(everything):
    content = yaml.safe_load("\n".join(everything.read_text().splitlines()[2:]))
    assert [step["name"] for step in content["steps"]] == list(GalPipeline.step_defs)
    calibration = next(s for s in content["steps"] if s["name"] == "psfcalibrate")
    assert calibration["parameters"]["blur_psf"] == {}
    assert "suffix" in content["parameters"]


def test_strun_reads_it(everything, elsewhere, capsys):
    with pytest.raises(SystemExit) as caught:
        Step.from_cmdline([str(everything), "--help"])
    assert caught.value.code == 0
    assert "--steps.basefit.th_min" in capsys.readouterr().out


def test_strun_runs_with_it(elsewhere):
    scene = make_scene(1, (41, 41), 0, ("F150W",), snr=100.0, psf_size=41)
    scene.write_psf("psf.h5")
    scene.write_hdf5("galaxy.h5")
    values = {p.name: p.default for p in pipeline_parameters()}
    values |= {f"{key}.skip": key != "loadcrop" for key in GalPipeline.step_defs}
    values |= {"loadcrop.psf_file": "psf.h5", "pipeline.qa_figure": False}
    write_parameter_file(elsewhere / "config.asdf", values)
    Step.from_cmdline(["config.asdf", "galaxy.h5"])
    assert (elsewhere / "galaxy_gal.asdf").is_file()


def test_only_what_is_given(tmp_path):
    path = tmp_path / "some.asdf"
    values = {
        "basefit.th_min": 4,
        "psfcalibrate.blur_psf": {"F150W": 1.5},
        "pipeline.filters": ["A"],
    }
    write_parameter_file(path, values, {"basefit.th_min": "lower than usual"})
    assert "    # lower than usual\n    th_min: 4\n" in path.read_text()
    assert "th_max" not in path.read_text()
    found = parameters_of(path)
    assert found["steps"]["basefit"]["th_min"] == 4.0
    assert found["steps"]["psfcalibrate"]["blur_psf"] == {"F150W": 1.5}
    assert found["filters"] == ["A"]
    assert found["steps"]["scalefit"] == GalPipeline().get_pars()["steps"]["scalefit"]


def test_nothing_given(tmp_path):
    write_parameter_file(tmp_path / "none.asdf", {})
    assert parameters_of(tmp_path / "none.asdf").keys() == GalPipeline().get_pars().keys() - {
        "input_dir"
    }


@pytest.mark.parametrize("value", ["007", "yes", "a: b", "#x", "", "é", 1e-7, 1e300, True, None])
def test_values_stay_what_they_are(value):
    text = parameter_text({"loadcrop.unit": value})
    content = yaml.safe_load("\n".join(text.splitlines()[2:]))
    assert content["steps"][0]["parameters"] == {"unit": value}


def test_existing_file_is_kept(everything):
    before = everything.read_text()
    with pytest.raises(InputError, match="it exists already, and overwrite is not set"):
        write_parameter_file(everything, {})
    assert everything.read_text() == before
    write_parameter_file(everything, {}, overwrite=True)
    assert everything.read_text() != before


def test_extension(tmp_path):
    with pytest.raises(InputError, match=r"config.yaml: the extension must be .asdf"):
        write_parameter_file(tmp_path / "config.yaml")
