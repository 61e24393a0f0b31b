"""What galstep registers with stpipe and asdf."""

import importlib
import subprocess
import sys

import asdf
import pytest
from stpipe import Pipeline, Step, utilities
from stpipe import entry_points as stpipe_entry_points

from galstep import integration

STEPS = integration.get_steps()
CLASSES = [name for name, _, _ in STEPS]
BUILT_IN = {
    "debug", "logcfg", "verbose", "log_level", "log_file", "log_stream", "help",
    "save-parameters", "disable-crds-steppars", "log", "name", "parent", "config_file", "class",
    "steps", "args",
}  # fmt: skip
# parameters of stpipe's own, without a comment of ours
COMMON = {
    "pre_hooks", "post_hooks", "output_use_model", "output_use_index", "skip", "suffix",
    "search_output_file", "input_dir",
}  # fmt: skip


def load(name):
    """The class of this dotted name."""
    return utilities.import_class(name, Step)


def entries(section, where=""):
    """Name, check and comment of every parameter of a specification."""
    for key, check in section.items():
        if isinstance(check, dict):
            yield from entries(check, f"{where}{key}.")
        else:
            yield f"{where}{key}", check, section.inline_comments.get(key) or ""


@pytest.mark.parametrize(("name", "alias", "is_pipeline"), STEPS)
def test_class_is_what_is_registered(name, alias, is_pipeline):
    step_class = load(name)
    assert step_class.class_alias == alias
    assert issubclass(step_class, Pipeline) == is_pipeline
    assert step_class.__doc__.strip()
    assert utilities.resolve_step_class_alias(alias) == name


def test_every_public_step_is_registered():
    from galstep import pipeline, steps

    public = {f"galstep.steps.{name}" for name in steps.__all__ if name != "GalStep"}
    public |= {f"galstep.pipeline.{name}" for name in pipeline.__all__ if name != "GalPipelineBase"}
    assert public | {"galstep.hooks.Measure"} == set(CLASSES)


def test_stpipe_finds_them():
    found = {info.class_name for info in stpipe_entry_points.get_steps()}
    assert set(CLASSES) <= found


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_are_described(name):
    step_class = load(name)
    for parameter, check, comment in entries(step_class.load_spec_file()):
        own_name = parameter.rpartition(".")[2]
        if parameter.startswith("steps.") and own_name in ("name", "class", "config_file"):
            continue
        assert "(" in check and "default=" in check, parameter
        assert "%" not in comment.replace("%%", ""), parameter
        assert own_name not in BUILT_IN, parameter
        assert not hasattr(Step, own_name) or own_name == "input_dir", parameter
        if own_name not in COMMON:
            assert len(comment.strip("# ")) > 5, f"{parameter} has no comment"


@pytest.mark.parametrize("name", CLASSES)
def test_help(name, capsys):
    with pytest.raises(SystemExit) as caught:
        Step.from_cmdline([name, "--help"])
    assert caught.value.code == 0
    assert "--output_dir" in capsys.readouterr().out


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_pass_their_own_checks(name):
    step = load(name)()
    assert step.get_pars()["output_ext"] == ".asdf"


def test_schemas_are_registered():
    mappings = integration.get_resource_mappings()
    uris = [uri for mapping in mappings for uri in mapping]
    assert uris
    for uri in uris:
        assert uri.startswith("asdf://galstep/")
        assert asdf.schema.load_schema(uri)["id"] == uri


def test_registration_is_light():
    code = (
        "import sys, galstep.integration as i; i.get_steps();"
        "print([m for m in ('numpy', 'asdf', 'stpipe', 'scipy', 'astropy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_steps_do_not_import_what_a_run_may_not_need():
    # photutils takes as long as stpipe, and brings matplotlib where it is installed
    heavy = ("matplotlib", "photutils", "regions", "tqdm", "distributed", "reproject", "tweakwcs")
    code = f"import sys, galstep.pipeline; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_exceptions_are_what_strun_expects():
    exceptions = importlib.import_module("galstep.exceptions")
    for name in exceptions.__all__:
        error = getattr(exceptions, name)("in one line")
        assert str(error) == "in one line"
        assert error.exit_status in (1, 2)
