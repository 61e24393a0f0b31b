"""What the user is told when parameters, parameter files or input are wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stpipe import Step
from toy_steps import ToyPipeline, toy_model

from galstep.exceptions import GalstepError, InputError, ParameterError, ParameterFileError

PIPELINE = "toy_steps.ToyPipeline"


def steps(parameters, name="add", class_name="toy_steps.Add"):
    """The ``steps`` of a parameter file."""
    return f"steps:\n- {{class: {class_name}, name: {name}, parameters: {parameters}}}\n"


class TestParameters:
    """The same message for every way of giving the parameters."""

    CASES = (
        ("{amuont: 3}", r"unknown parameter steps/add/amuont \(did you mean 'amount'\?\)"),
        ("{factor: 3}", r"unknown parameter steps/add/factor \(did you mean 'steps/double/factor'"),
        ("{zzz: 3}", r"unknown parameter steps/add/zzz$"),
        ("{finder: {fwmh: 3}}", r"unknown parameter steps/add/finder/fwmh \(did you mean 'fwhm'"),
        ("{times: two}", r"parameter 'steps/add/times': the value \"two\" is of the wrong type"),
        ("{times: 99}", r"parameter 'steps/add/times': the value \"99\" is too big"),
        ("{amount: -1}", r"parameter 'steps/add/amount': the value \"-1.0\" is too small"),
        ("{method: good}", r"parameter 'steps/add/method': the value \"good\" is unacceptable"),
        ("{table: no.txt}", r"parameter 'steps/add/table': Path '/.*/data/no.txt' does not exist"),
        ("{amount: {a: 1}}", "parameter steps/add/amount: a single value is needed, got the mapp"),
        ("{finder: 3}", "parameter steps/add/finder: a mapping is needed, got 3"),
    )

    @pytest.mark.parametrize(("parameters", "message"), CASES)
    def test_parameter_file_alone(self, toy_file, write_parameters, parameters, message):
        with pytest.raises(ParameterError, match=message) as caught:
            Step.from_cmdline([write_parameters(steps=steps(parameters))])
        assert caught.value.exit_status == 1

    @pytest.mark.parametrize(("parameters", "message"), CASES)
    def test_class_and_parameter_file(self, toy_file, write_parameters, parameters, message):
        with pytest.raises(ParameterError, match=message) as caught:
            Step.from_cmdline([PIPELINE, write_parameters(steps=steps(parameters))])
        assert caught.value.exit_status == 1

    @pytest.mark.parametrize(("parameters", "message"), CASES)
    def test_python(self, toy_file, write_parameters, parameters, message):
        config = write_parameters(steps=steps(parameters))
        for run in (ToyPipeline.from_config_file, ToyPipeline.call):
            with pytest.raises(ValueError, match=message):
                run(config)

    def test_all_are_named(self, toy_file, write_parameters):
        config = write_parameters("{input_fiel: x}", steps("{amuont: 3, tmes: 2}"))
        with pytest.raises(ParameterError) as caught:
            Step.from_cmdline([PIPELINE, config])
        for name in ("'input_file'", "'amount'", "'times'"):
            assert f"(did you mean {name}?)" in str(caught.value)

    def test_all_wrong_values_are_named(self, toy_file, write_parameters):
        config = write_parameters(steps=steps("{amount: many, times: two}"))
        with pytest.raises(ParameterError, match=r"add/amount.*; .*add/times"):
            Step.from_cmdline([PIPELINE, config])

    def test_unknown_step(self, toy_file, write_parameters):
        config = write_parameters(steps=steps("{}", name="dubble"))
        with pytest.raises(ParameterError, match=r"unknown step steps/dubble .*'double'"):
            Step.from_cmdline([PIPELINE, config])

    def test_missing_input_file(self, write_parameters):
        config = write_parameters("{input_file: nope.h5}")
        with pytest.raises(
            ParameterError, match=r"'input_file': Path '/.*/data/nope.h5' does not exist"
        ) as caught:
            Step.from_cmdline([config])
        assert caught.value.exit_status == 1

    def test_command_line(self, toy_file):
        with pytest.raises(ParameterError, match='"two" is of the wrong type'):
            Step.from_cmdline([PIPELINE, toy_file, "--steps.add.times=two"])

    def test_keywords_of_call(self, toy_file):
        with pytest.raises(ParameterError, match=r"unknown parameter steps/add/amuont.*'amount'"):
            ToyPipeline.call(toy_file, steps={"add": {"amuont": 3}})

    def test_keywords_of_the_class(self):
        with pytest.raises(ParameterError, match=r"unknown parameter steps/add/amuont.*'amount'"):
            ToyPipeline(steps={"add": {"amuont": 3}})

    def test_step_as_keyword(self):
        with pytest.raises(ParameterError, match=r"unknown parameter add .*'steps/add'"):
            ToyPipeline(add={"amount": 3})

    @pytest.mark.parametrize("steps_given", [3, {"add": 3}])
    def test_steps_that_are_no_mapping(self, steps_given):
        with pytest.raises(ParameterError, match=r"parameter steps.*: a mapping is needed, got 3"):
            ToyPipeline(steps=steps_given)
        with pytest.raises(ParameterError, match=r"parameter steps.*: a mapping is needed, got 3"):
            ToyPipeline.call(toy_model(), steps=steps_given)

    def test_step_file(self, toy_file, write_parameters):
        own = write_parameters("{amuont: 3}", name="add.asdf", class_name="toy_steps.Add")
        with pytest.raises(ParameterError, match=r"unknown parameter steps/add/amuont"):
            Step.from_cmdline([PIPELINE, toy_file, f"--steps.add.config_file={own}"])
        with pytest.raises(ParameterFileError, match="nope.asdf: there is no such file"):
            Step.from_cmdline([PIPELINE, toy_file, "--steps.add.config_file=nope.asdf"])


class TestReplacedSteps:
    """A class that cannot stand in for a step."""

    @pytest.mark.parametrize(
        ("class_name", "message"),
        [
            ("nowhere.Fit", "'nowhere.Fit' cannot be used: No module named 'nowhere'"),
            ("toy_steps.Nope", "'toy_steps.Nope' cannot be used: module 'toy_steps' has no attr"),
            ("gal_basfit", r"'gal_basfit' cannot be used \(did you mean 'gal_basefit'\?\)"),
            ("toy_steps.in_words", "'toy_steps.in_words' cannot be used: .*is not a class"),
            ("pathlib.Path", "'pathlib.Path' cannot be used: .*not a subclass of Step"),
            ("toy_steps.Foreign", "'toy_steps.Foreign' does not take and return a GalaxyModel"),
        ],
    )
    def test_one_line_names_file_key_and_class(
        self, toy_file, write_parameters, class_name, message
    ):
        config = write_parameters(steps=steps("{}", class_name=class_name))
        pattern = f"config.asdf: steps/add: class {message}"
        for args in ([config], [PIPELINE, config]):
            with pytest.raises(ParameterError, match=pattern) as caught:
                Step.from_cmdline(args)
            assert caught.value.exit_status == 1
            assert "\n" not in str(caught.value)
        for run in (ToyPipeline.from_config_file, ToyPipeline.call):
            with pytest.raises(ParameterError, match=pattern):
                run(config)

    def test_in_python(self):
        with pytest.raises(ParameterError, match="^steps/add: class 'nowhere.Fit' cannot be used"):
            ToyPipeline(steps={"add": {"class": "nowhere.Fit"}})

    def test_parameters_are_checked_against_its_own_spec(self, toy_file, write_parameters):
        config = write_parameters(steps=steps("{amount: 3}", class_name="toy_steps.AddTen"))
        with pytest.raises(ParameterError, match="unknown parameter steps/add/amount"):
            Step.from_cmdline([PIPELINE, config])

    @pytest.mark.parametrize(
        ("class_name", "parameters", "kind"),
        [("GivesNothing", "{}", "NoneType"), ("Declared", "{by: 0}", "str")],
    )
    def test_result_that_is_no_galaxy(
        self, toy_file, write_parameters, class_name, parameters, kind
    ):
        config = write_parameters(steps=steps(parameters, class_name=f"toy_steps.{class_name}"))
        with pytest.raises(
            GalstepError,
            match=rf"step add \(toy_steps.{class_name}\) must return a GalaxyModel, got {kind}",
        ):
            Step.from_cmdline([PIPELINE, config])


HEADER = "#ASDF 1.0.0\n%YAML 1.1\n---\n"
TOP = "class: toy_steps.ToyPipeline\nname: x\n"


class TestParameterFile:
    """A positional parameter file that cannot be used: exit code 2."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (f"{HEADER}{TOP}...\n", "the top level has no 'parameters'"),
            (f"{HEADER}name: x\nparameters: {{}}\n...\n", "the top level has no 'class'"),
            (f"{HEADER}class: x\nparameters: {{}}\n...\n", "the top level has no 'name'"),
            (f"{HEADER}{TOP}parameters:\n...\n", "needs a mapping .* as 'parameters', got nothing"),
            (f"{HEADER}{TOP}parameters: [1]\n...\n", "needs a mapping .* as 'parameters', got lis"),
            (f"{HEADER}class: 3\nname: x\nparameters: {{}}\n...\n", "a string as 'class', got int"),
            (f"{HEADER}- 1\n...\n", "the top level must be a mapping .*, got list"),
            (f"{TOP}parameters: {{}}\n", "the first line must be '#ASDF 1.0.0'"),
            (f"{HEADER}{TOP}parameters: {{a: [1}}\n...\n", "not valid YAML: .*line "),
            (f"{HEADER}{TOP}parameters: {{}}\n", "not valid YAML: "),
            (f"{HEADER}{TOP}parameters: {{}}\nsteps: {{add: 1}}\n...\n", "needs a list as 'steps'"),
            (
                f"{HEADER}{TOP}parameters: {{}}\nsteps:\n- {{class: x, name: add}}\n...\n",
                r"steps\[0\] has no 'parameters'",
            ),
            (
                f"{HEADER}{TOP}parameters: {{}}\nsteps:\n"
                + 2 * "- {class: toy_steps.Add, name: add, parameters: {}}\n"
                + "...\n",
                "more than one step called 'add'",
            ),
        ],
    )
    def test_faults(self, tmp_path, text, message):
        path = tmp_path / "bad.asdf"
        path.write_text(text)
        pattern = f"parameter file {path}: .*{message}"
        runs = (
            lambda: Step.from_cmdline([PIPELINE, str(path)]),
            lambda: ToyPipeline.call(path),
            lambda: ToyPipeline.call(config_file=path),
            lambda: ToyPipeline.from_config_file(path),
        )
        for run in runs:
            with pytest.raises(ParameterFileError, match=pattern) as caught:
                run()
            assert caught.value.exit_status == 2
            assert "\n" not in str(caught.value)

    def test_not_text(self, tmp_path):
        path = tmp_path / "bad.asdf"
        path.write_bytes(b"#ASDF 1.0.0\n\xff\xfe\x00\x01\n...\n")
        with pytest.raises(ParameterFileError, match="bad.asdf: not valid YAML: "):
            Step.from_cmdline([PIPELINE, str(path)])

    def test_other_class(self, toy_file, write_parameters):
        config = write_parameters(class_name="toy_steps.Double")
        with pytest.raises(
            ParameterFileError, match="it is for class 'toy_steps.Double', not for ToyPipeline"
        ):
            Step.from_cmdline([PIPELINE, config])

    def test_derived_class(self, toy_file, write_parameters):
        config = write_parameters(class_name="toy_steps.DerivedPipeline")
        with pytest.raises(ParameterFileError, match="it is for class 'toy_steps.DerivedPipeline'"):
            ToyPipeline.call(config)

    def test_class_that_is_not_there(self, toy_file, write_parameters):
        config = write_parameters(class_name="nowhere.Pipeline")
        with pytest.raises(
            ParameterFileError, match="class 'nowhere.Pipeline' cannot be used: No module"
        ):
            Step.from_cmdline([PIPELINE, config])

    def test_missing_config_file(self):
        with pytest.raises(ParameterFileError, match="nope.asdf: there is no such file"):
            ToyPipeline.call(config_file="nope.asdf")

    def test_data_of_another_telescope_are_no_parameters(self, tmp_path):
        path = tmp_path / "r001.asdf"
        path.write_text(f"{HEADER}roman:\n  meta: {{}}\n...\n")
        with pytest.raises(InputError, match="r001.asdf"):
            Step.from_cmdline([PIPELINE, str(path)])

    def test_old_format(self, toy_file, tmp_path, elsewhere):
        path = Path(toy_file).with_name("old.cfg")
        path.write_text(
            'class = "toy_steps.ToyPipeline"\nname = "x"\ninput_file = "galaxy.asdf"\n'
            "[steps]\n[[add]]\namount = 3\n"
        )
        assert Step.from_cmdline([PIPELINE, str(path)]).add.amount == 3.0
        path.write_text("[broken\n")
        with pytest.raises(ParameterFileError, match=r"old.cfg: .*line 1"):
            Step.from_cmdline([PIPELINE, str(path)])


def test_missing_input(elsewhere):
    for name in ("missing.asdf", "missing.h5"):
        with pytest.raises(InputError, match=f"input file '{name}' does not exist") as caught:
            Step.from_cmdline([PIPELINE, name])
        assert caught.value.exit_status == 2


def test_no_input(elsewhere):
    with pytest.raises(InputError, match="no input: give a file or set input_file"):
        Step.from_cmdline([PIPELINE])


def test_error_before_the_run_is_logged_once(toy_file, write_parameters, caplog):
    config = write_parameters(steps=steps("{amuont: 3}"))
    with pytest.raises(ParameterError):
        Step.from_cmdline([PIPELINE, config])
    assert sum("amuont" in record.getMessage() for record in caplog.records) == 1


class TestShell:
    """``strun`` as the user runs it: exit code, one line, no traceback."""

    def strun(self, *args, cwd):
        """Run it in a process of its own."""
        program = os.path.join(os.path.dirname(sys.executable), "strun")
        here = os.path.dirname(os.path.dirname(__file__))
        return subprocess.run(
            [program, *args],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": here},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_good(self, toy_file, write_parameters, elsewhere):
        result = self.strun(PIPELINE, write_parameters(), cwd=elsewhere)
        assert result.returncode == 0
        assert os.listdir(elsewhere) == ["galaxy_gal.asdf"]

    def test_unknown_parameter(self, toy_file, write_parameters, elsewhere):
        config = write_parameters(steps=steps("{amuont: 3}"))
        result = self.strun(PIPELINE, config, cwd=elsewhere)
        assert result.returncode == 1
        assert "unknown parameter steps/add/amuont (did you mean 'amount'?)" in result.stderr
        assert "Traceback" not in result.stderr + result.stdout

    def test_broken_parameter_file(self, elsewhere):
        (elsewhere / "bad.asdf").write_text(f"{HEADER}{TOP}...\n")
        result = self.strun(PIPELINE, "bad.asdf", cwd=elsewhere)
        assert result.returncode == 2
        assert "bad.asdf: the top level has no 'parameters'" in result.stderr
        assert "Traceback" not in result.stderr + result.stdout

    def test_missing_input(self, elsewhere):
        result = self.strun(PIPELINE, "missing.asdf", cwd=elsewhere)
        assert result.returncode == 2
        assert "input file 'missing.asdf' does not exist" in result.stdout
        assert "Traceback" not in result.stderr + result.stdout

    def test_unknown_option(self, elsewhere):
        toy_model().save(elsewhere / "toy.asdf")
        result = self.strun(PIPELINE, "toy.asdf", "--steps.add.amuont=2", cwd=elsewhere)
        assert result.returncode == 1
        assert "--steps.add.amuont (did you mean --steps.add.amount?)" in result.stderr
        assert "Traceback" not in result.stderr + result.stdout
