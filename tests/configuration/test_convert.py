"""A configuration of sphot becomes a parameter file."""

import json

import pytest

from galstep.configuration import convert_config
from galstep.configuration.parameters import pipeline_parameters
from galstep.configuration.sphot_keys import ALWAYS_WRITTEN, KEYS, SECTIONS, found_targets
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline


def toml(value):
    """A value as TOML: JSON is the same, but for mappings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def convert(tmp_path):
    """Convert a text; the conversion and the parameters of the pipeline made from the file."""
    (tmp_path / "PSFdata.h5").touch()

    def of(text):
        (tmp_path / "sphot_config.toml").write_text(text)
        (tmp_path / "new").mkdir()
        conversion = convert_config(tmp_path / "sphot_config.toml", tmp_path / "new/config.asdf")
        return conversion, GalPipeline.from_config_file(tmp_path / "new/config.asdf").get_pars()

    return of


def test_all_of_sphots_defaults(convert):
    lines = []
    for section in SECTIONS:
        lines.append(f"[{section}]")
        lines += [f"{k.name} = {toml(k.default)}" for k in KEYS if k.section == section]
    conversion, parameters = convert("\n".join(lines))
    assert conversion.unknown == conversion.refused == {}
    there = {key.full_name for key in KEYS if found_targets(key)}
    assert conversion.absent.keys() == {key.full_name for key in KEYS} - there
    steps = parameters["steps"]
    assert steps["loadcrop"]["filters"][0] == "F555W"
    assert steps["basefit"]["th_max"] == 30.0
    # a threshold of its own
    assert steps["scalefit"]["th_max"] == GalPipeline().get_pars()["steps"]["scalefit"]["th_max"]
    assert steps["basefit"]["iter_basefit"] == 10


def test_paths_follow_the_file(convert, tmp_path):
    _, parameters = convert("[prep]\nPSF_file = 'PSFdata.h5'\n")
    assert parameters["steps"]["loadcrop"]["psf_file"] == str(tmp_path / "PSFdata.h5")
    assert "psf_file: ../PSFdata.h5" in (tmp_path / "new/config.asdf").read_text()


def test_what_sphot_ships_beside_its_documentation(convert):
    conversion, parameters = convert(
        "[psf-calib]\nin_mainloop = true\ncenter_mask_r_in_galaxy_size = 2.5\n"
        "calib_xy_bounds = 0.25\n[psf]\nth_min = 1\n"
    )
    assert conversion.unknown == conversion.refused == conversion.absent == {}
    steps = parameters["steps"]
    assert steps["psfcalibrate"]["center_mask_r_in_r_eff"] == 2.5
    assert steps["psfcalibrate"]["calib_xy_bounds"] == 0.25
    # the last fit is what counts: a threshold that it does not know would change nothing
    for key in ("basefit", "scalefit", "jointfit"):
        assert steps[key]["th_min"] == 1.0


def test_one_key_for_several_steps(convert):
    _, parameters = convert("[core]\nbase_filter = 'F277W'\n[psf]\nth_min = 4\n")
    steps = parameters["steps"]
    for key in ("loadcrop", "psfcalibrate", "basefit"):
        assert steps[key]["base_filter"] == "F277W"
    assert steps["basefit"]["th_min"] == steps["scalefit"]["th_min"] == 4.0


def test_what_the_user_is_told(convert):
    conversion, _ = convert(
        "[core]\niter_basfit = 3\niter_basefit = 1000\n[aperture]\ncenter_mask = 3.0\n"
        "[prep]\nPSF_file = 3\n"
    )
    said = list(conversion.lines())
    assert "unknown: [core] iter_basfit: (did you mean 'iter_basefit'?)" in said
    assert any(line.startswith("refused: [core] iter_basefit: ") for line in said)
    assert "too big" in conversion.refused["[core] iter_basefit"]
    assert conversion.refused["[prep] PSF_file"] == "a path is needed, got 3"
    assert "changed: [aperture] center_mask: in semi-axes of the aperture, not in pixels" in said
    assert conversion.values == {"aperphot.center_mask": 3.0, "aperphot.petro": 0.5}


@pytest.mark.parametrize(("text", "petro"), [("", 0.5), ("[aperture]\npetro = 0.3\n", 0.3)])
def test_a_converted_configuration_keeps_its_aperture(convert, text, petro):
    _, parameters = convert(text)
    assert parameters["steps"]["aperphot"]["petro"] == petro
    # of whatever else differs in what a number is, the table must say so
    assert {key.full_name for key in KEYS} >= set(ALWAYS_WRITTEN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[core\n", "not valid TOML"),
        ("[cor]\nx = 1\n", r"'cor' is no section of sphot, .*did you mean 'core'"),
        ("iter_basefit = 3\n", r"'iter_basefit' is no section of sphot"),
    ],
)
def test_file_that_is_no_configuration(convert, text, message):
    with pytest.raises(InputError, match=message):
        convert(text)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"configuration .*none.toml: there is no such file"):
        convert_config(tmp_path / "none.toml", tmp_path / "c.asdf")


def test_targets_name_steps_that_exist():
    known = {*GalPipeline.step_defs, "pipeline"}
    for key in KEYS:
        assert {target.partition(".")[0] for target in key.candidates} <= known
    # a target written by hand is there, or the table would promise what is not
    names = [parameter.name for parameter in pipeline_parameters()]
    for key in KEYS:
        for target in key.targets:
            assert any(f"{name}.".startswith(f"{target}.") for name in names), target


def test_keys_are_listed_once():
    names = [key.full_name for key in KEYS]
    assert len(names) == len(set(names)) == 88


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.full_name)
def test_every_key_has_become_a_parameter(key):
    assert found_targets(key)
