"""A configuration of tract7dt becomes a parameter file of FieldPipeline."""

import pytest
import yaml

from galstep.cli import main
from galstep.configuration import convert_tract7dt
from galstep.configuration.parameters import pipeline_parameters
from galstep.configuration.tract7dt_keys import TRACT7DT_KEYS
from galstep.exceptions import InputError
from galstep.pipeline import FieldPipeline

PARAMETERS = {p.name: p for p in pipeline_parameters(FieldPipeline)}


def nested(values):
    """Dotted names as nested mappings."""
    tree = {}
    for name, value in values.items():
        own = tree
        *where, last = name.split(".")
        for part in where:
            own = own.setdefault(part, {})
        own[last] = value
    return tree


@pytest.fixture
def convert(tmp_path):
    """Convert keys; the conversion, and the parameters of the pipeline made from the file."""
    for name in ("cat.csv", "list.txt", "gaia.csv"):
        (tmp_path / name).touch()

    def of(values):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(nested(values)))
        (tmp_path / "new").mkdir(exist_ok=True)
        target = tmp_path / "new" / "config.asdf"
        conversion = convert_tract7dt(tmp_path / "config.yaml", target, overwrite=True)
        return conversion, FieldPipeline.from_config_file(target).get_pars()

    return of


def defaults():
    files = {
        "inputs.input_catalog": "cat.csv",
        "inputs.image_list_file": "list.txt",
        "inputs.gaiaxp_synphot_csv": "gaia.csv",
        "outputs.work_dir": "work",
    }
    return {key.name: key.default for key in TRACT7DT_KEYS} | files


def test_every_key_is_mapped_or_superseded_for_a_reason():
    assert len({key.name for key in TRACT7DT_KEYS}) == len(TRACT7DT_KEYS) == 155
    for key in TRACT7DT_KEYS:
        assert key.targets or len(key.note) > 10, key.name
        assert all(name in PARAMETERS for name in key.targets), key.name


def test_all_of_its_defaults(convert, tmp_path):
    conversion, parameters = convert(defaults())
    superseded = {key.name for key in TRACT7DT_KEYS if key.is_superseded}
    assert conversion.absent.keys() == superseded
    assert not conversion.unknown and not conversion.refused
    steps = parameters["steps"]
    assert parameters["catalog"] == str(tmp_path / "cat.csv")
    assert parameters["input_file"] == str(tmp_path / "list.txt")
    assert parameters["reference"] == str(tmp_path / "gaia.csv")
    assert parameters["output_dir"] == str(tmp_path / "work")
    assert steps["loadfield"]["crop_margin"] == 500
    assert steps["loadfield"]["grids"] == "same"
    assert steps["maskfield"]["bright"] == "mask"
    assert steps["maskfield"]["reference_mag"] == [8.0, 18.0]
    assert steps["fieldpsf"]["psf_order"] == 2
    assert steps["fieldfit"]["default_type"] == "exp"
    assert steps["fieldfit"]["n_init"] == 3.0
    assert steps["fieldfit"]["resume"] is False
    assert steps["zeropoint"]["skip"] is False
    assert steps["zeropoint"]["error_in_magnitudes"] is True


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("crop.enabled", False, "loadfield.crop_margin", 0),
        ("crop.margin", 30, "loadfield.crop_margin", 30),
        ("checks.require_wcs_alignment", False, "loadfield.grids", "map"),
        ("source_saturation_cut.enabled", False, "maskfield.saturation_radius", 0.0),
        ("bright_mask.enabled", False, "maskfield.bright", "none"),
        ("epsf.epsf_ngrid", 1, "fieldpsf.psf_order", 0),
        ("epsf.epsf_ngrid", 3, "fieldpsf.psf_order", 1),
        ("patch_run.psf_fallback_model", "ncircular_gaussian", "fieldpsf.psf_fallback", "gaussian"),
        ("patch_run.pos_max_shift_pix", None, "fieldfit.pos_max_shift", 1000.0),
        ("patch_run.dlnp_stop", 0.1, "fieldfit.tolerance", 0.2),
        ("patch_run.gal_model", "SERSIC", "fieldfit.default_type", "sersic"),
        ("zp.enabled", False, "zeropoint.skip", True),
        ("zp.gaia_mag_max", 20, "maskfield.reference_mag", [8.0, 20.0]),
        ("zp.gaia_pos_err_pix", None, "maskfield.reference_pos_err", 0.0),
        ("zp.zp_err_method", "bright_std", "zeropoint.error", "scatter"),
    ],
)
def test_values_that_mean_something_else_here(convert, key, value, name, expected):
    _, parameters = convert({key: value})
    step, parameter = name.split(".")
    assert parameters["steps"][step][parameter] == expected


def test_a_section_that_is_off_wins(convert):
    _, parameters = convert({"crop.enabled": False, "crop.margin": 500})
    assert parameters["steps"]["loadfield"]["crop_margin"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop: {margn: 3}", "unknown key 'crop.margn'.*did you mean 'crop.margin'"),
        ("cropp: {margin: 3}", "unknown key 'cropp'"),
        ("checks: {wcs_tolerance: {crvall: 1}}", "unknown key 'checks.wcs_tolerance.crvall'"),
        ("crop: 3", "unknown key 'crop'"),
        ("crop: {margin: wide}", "crop.margin = 'wide'"),
        ("patch_run: {gal_model: gauss}", "patch_run.gal_model = 'gauss'"),
        ("- a\n- b", "a mapping of sections is needed"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_cannot_be_converted_is_an_error(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        convert_tract7dt(tmp_path / "config.yaml", tmp_path / "x.asdf")
    assert not (tmp_path / "x.asdf").exists()


def test_an_empty_section_is_none(convert):
    conversion, _ = convert({"crop": None})
    assert not conversion.absent


def test_on_the_command_line(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("zp: {clip_sigma: 4}\noverlay: {enabled: true}\n")
    assert main(["convert-config", str(tmp_path / "c.yaml"), str(tmp_path / "c.asdf")]) == 0
    said = capsys.readouterr().err
    assert "not there: overlay.enabled: one picture" in said
    (tmp_path / "d.yml").write_text("zpp: {clip_sigma: 4}\n")
    assert main(["convert-config", str(tmp_path / "d.yml"), str(tmp_path / "d.asdf")]) == 2
    assert "unknown key 'zpp'" in capsys.readouterr().err


def test_a_parameter_file_with_all_parameters(tmp_path):
    path = tmp_path / "field.asdf"
    assert main(["make-config", str(path), "--field"]) == 0
    step = FieldPipeline.from_config_file(path)
    assert step.get_pars()["steps"]["fieldfit"] == FieldPipeline().get_pars()["steps"]["fieldfit"]
