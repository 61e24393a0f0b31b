"""Every way of running a pipeline: which parameters, which data, what is saved."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import toy_steps
from stpipe import Pipeline, Step
from toy_steps import AddTen, ToyPipeline, toy_model

from galstep.datamodels import GalaxyModel
from galstep.exceptions import InputError

PIPELINE = "toy_steps.ToyPipeline"


def value_of(model):
    """The one value of a toy model's images: (1 + amount) * factor."""
    return float(np.unique(model.bands["F150W"].data).item())


def saved_value(path):
    """The same, of a saved model."""
    return value_of(GalaxyModel.open(path))


def saved(folder="."):
    """Names of the files in a folder."""
    return sorted(os.listdir(folder))


@pytest.fixture
def config(toy_file, write_parameters):
    """Parameter file: amount 3, so that the result is 8; names its data."""
    return write_parameters(
        steps="steps:\n- {class: toy_steps.Add, name: add, parameters: {amount: 3}}\n"
    )


@pytest.fixture
def other_file(tmp_path):
    """A galaxy that no parameter file names; its result with defaults is 22."""
    return toy_model("other", value=10.0).save(tmp_path / "other.asdf")


class TestCommandLine:
    """``strun``; the current folder is not that of any file."""

    def run(self, *args):
        """Run it in this process."""
        return Step.from_cmdline(list(args))

    def test_class_and_parameter_file(self, config, elsewhere):
        self.run(PIPELINE, config)
        assert saved_value("galaxy_gal.asdf") == 8.0
        assert saved() == ["galaxy_gal.asdf"]

    def test_option_wins_over_parameter_file(self, config, elsewhere):
        self.run(PIPELINE, config, "--steps.add.amount=4")
        assert saved_value("galaxy_gal.asdf") == 10.0

    def test_class_parameter_file_and_data(self, config, other_file, elsewhere):
        self.run(PIPELINE, config, other_file)
        assert saved_value("other_gal.asdf") == 26.0
        assert saved() == ["other_gal.asdf"]

    def test_parameter_file_alone(self, config, elsewhere):
        self.run(config)
        assert saved_value("galaxy_gal.asdf") == 8.0

    def test_parameter_file_alone_not_saved_if_asked_not_to(self, config, elsewhere):
        self.run(config, "--save_results=false")
        assert saved() == []

    def test_parameter_file_and_data(self, config, other_file, elsewhere):
        self.run(config, other_file, "--steps.double.factor=10")
        assert saved_value("other_gal.asdf") == 130.0

    def test_class_and_data(self, other_file, elsewhere):
        self.run(PIPELINE, other_file)
        assert saved_value("other_gal.asdf") == 22.0

    @pytest.mark.parametrize(("key", "expected"), [("add", 20.0), ("double", 11.0)])
    def test_step_skipped(self, other_file, elsewhere, key, expected):
        self.run(PIPELINE, other_file, f"--steps.{key}.skip=true")
        model = GalaxyModel.open("other_gal.asdf")
        assert value_of(model) == expected
        assert getattr(model.meta.cal_step, f"toy_{key}") == "SKIPPED"
        assert key not in model.meta.timings

    def test_options_before_the_files(self, config, elsewhere):
        self.run("--steps.add.amount=4", PIPELINE, config)
        assert saved_value("galaxy_gal.asdf") == 10.0

    def test_output_dir_is_relative_to_the_current_folder(self, config, elsewhere):
        self.run(PIPELINE, config, "--output_dir=out")
        assert saved("out") == ["galaxy_gal.asdf"]

    def test_input_dir(self, other_file, elsewhere):
        self.run(PIPELINE, "other.asdf", f"--input_dir={os.path.dirname(other_file)}")
        assert saved() == ["other_gal.asdf"]

    def test_input_dir_with_a_parameter_file(self, config, elsewhere):
        self.run(PIPELINE, "config.asdf", f"--input_dir={os.path.dirname(config)}")
        assert saved_value("galaxy_gal.asdf") == 8.0

    def test_input_file_is_relative_to_the_current_folder(self, config, elsewhere):
        toy_model("here", value=10.0).save("here.asdf")
        self.run(PIPELINE, config, "--input_file=here.asdf")
        assert saved_value("here_gal.asdf") == 26.0

    def test_step_of_a_pipeline_saves_its_own_result(self, config, elsewhere):
        self.run(PIPELINE, config, "--steps.add.save_results=true")
        assert saved() == ["galaxy_add.asdf", "galaxy_gal.asdf"]

    def test_single_step(self, other_file, elsewhere):
        self.run("toy_steps.Add", other_file, "--amount=5", "--finder.fwhm=3")
        assert saved_value("other_add.asdf") == 15.0

    def test_single_step_with_its_parameter_file(self, toy_file, write_parameters, elsewhere):
        own = write_parameters("{input_file: galaxy.asdf, amount: 7}", class_name="toy_steps.Add")
        self.run(own)
        self.run("toy_steps.Add", own, "--suffix=again")
        assert saved_value("galaxy_add.asdf") == saved_value("galaxy_again.asdf") == 8.0

    def test_list_of_one_needs_no_comma(self, other_file, elsewhere):
        pipeline = self.run(PIPELINE, other_file, "--filters=F150W")
        assert pipeline.filters == ["F150W"]

    def test_parameter_file_for_a_base_class(self, config, elsewhere):
        self.run("toy_steps.DerivedPipeline", config)
        assert saved_value("galaxy_gal.asdf") == 8.0


class TestPython:
    """``call``, ``from_config_file`` and instances."""

    @pytest.mark.parametrize("kind", [str, Path])
    def test_call_with_parameter_file(self, config, elsewhere, kind):
        assert value_of(ToyPipeline.call(kind(config))) == 8.0

    def test_call_keywords_win(self, config, elsewhere):
        assert value_of(ToyPipeline.call(config, steps={"add": {"amount": 4}})) == 10.0

    def test_call_with_parameter_file_and_model(self, config, elsewhere):
        assert value_of(ToyPipeline.call(config, toy_model(value=10.0))) == 26.0
        assert saved() == []

    @pytest.mark.parametrize("kind", [str, Path])
    def test_call_config_file(self, config, elsewhere, kind):
        assert value_of(ToyPipeline.call(config_file=kind(config))) == 8.0

    def test_call_data_and_config_file(self, config, other_file, elsewhere):
        result = ToyPipeline.call(
            other_file, config_file=config, steps={"double": {"factor": 10.0}}
        )
        assert value_of(result) == 130.0
        assert saved() == []

    def test_call_first_argument_then_config_file_then_keywords(
        self, config, write_parameters, elsewhere
    ):
        second = write_parameters(
            "{}",
            "steps:\n- {class: toy_steps.Add, name: add, parameters: {times: 2}}\n"
            "- {class: toy_steps.Double, name: double, parameters: {factor: 3}}\n",
            name="second.asdf",
        )
        result = ToyPipeline.call(config, config_file=second, steps={"double": {"factor": 10}})
        assert value_of(result) == (1 + 2 * 3) * 10

    def test_call_saves_if_asked(self, other_file, elsewhere):
        ToyPipeline.call(other_file, save_results=True)
        assert saved() == ["other_gal.asdf"]

    def test_keyword_paths_are_relative_to_the_current_folder(self, config, elsewhere):
        toy_model("here", value=10.0).save("here.asdf")
        result = ToyPipeline.call(config_file=config, input_file="here.asdf", output_dir="out")
        assert value_of(result) == 26.0
        assert saved("out") == ["here_gal.asdf"]

    def test_keyword_may_be_a_path_object(self, toy_file, elsewhere):
        assert value_of(ToyPipeline.call(input_file=Path(toy_file))) == 4.0

    @pytest.mark.parametrize("kind", [str, Path])
    def test_from_config_file(self, config, elsewhere, kind):
        pipeline = ToyPipeline.from_config_file(kind(config))
        assert value_of(pipeline.run()) == 8.0
        assert value_of(pipeline.run(toy_model(value=10.0))) == 26.0
        assert saved() == ["galaxy_gal.asdf"]

    def test_from_config_file_then_the_file_itself(self, config, elsewhere):
        assert value_of(ToyPipeline.from_config_file(config).run(config)) == 8.0

    def test_parameter_file_of_which_the_instance_knows_nothing(self, config, elsewhere):
        with pytest.raises(InputError, match=r"is a parameter file.*use ToyPipeline.call\("):
            ToyPipeline().run(config)

    def test_instance(self):
        pipeline = ToyPipeline(steps={"add": {"amount": 4}})
        assert value_of(pipeline.run(toy_model())) == 10.0
        pipeline.double.skip = True
        assert value_of(pipeline.run(toy_model())) == 5.0

    def test_users_model_is_unchanged(self):
        model = toy_model()
        ToyPipeline().run(model)
        assert value_of(model) == 1.0
        assert vars(model.meta.cal_step) == {}


class TestPaths:
    """Relative paths in a parameter file are relative to that file."""

    @pytest.fixture
    def with_paths(self, toy_file, write_parameters):
        """A parameter file full of relative paths."""
        (Path(toy_file).parent / "table.txt").touch()
        return write_parameters(
            "{input_file: galaxy.asdf, output_dir: out}",
            "steps:\n- {class: toy_steps.Add, name: add, parameters: {table: table.txt}}\n",
        )

    def check(self, pipeline, toy_file):
        """All are in the folder of the parameter file."""
        folder = os.path.dirname(toy_file)
        assert pipeline.input_file == toy_file
        assert pipeline.output_dir == os.path.join(folder, "out")
        assert pipeline.add.table == os.path.join(folder, "table.txt")

    def test_strun_parameter_file(self, with_paths, toy_file, elsewhere):
        self.check(Step.from_cmdline([with_paths]), toy_file)
        assert saved(os.path.join(os.path.dirname(toy_file), "out")) == ["galaxy_gal.asdf"]

    def test_strun_class_parameter_file(self, with_paths, toy_file, elsewhere):
        self.check(Step.from_cmdline([PIPELINE, with_paths]), toy_file)

    def test_relative_parameter_file(self, with_paths, toy_file, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.check(Step.from_cmdline([PIPELINE, "data/config.asdf"]), toy_file)
        self.check(Step.from_cmdline(["data/config.asdf"]), toy_file)
        monkeypatch.chdir(tmp_path / "data")
        self.check(Step.from_cmdline(["config.asdf"]), toy_file)

    @pytest.mark.parametrize("kind", [str, Path])
    def test_from_config_file(self, with_paths, toy_file, elsewhere, kind):
        self.check(ToyPipeline.from_config_file(kind(with_paths)), toy_file)

    def test_home_is_expanded(self, toy_file, write_parameters, elsewhere, monkeypatch):
        monkeypatch.setenv("HOME", os.path.dirname(toy_file))
        config = write_parameters("{input_file: ~/galaxy.asdf}")
        assert ToyPipeline.from_config_file(config).input_file == toy_file

    def test_file_of_a_step_has_a_folder_of_its_own(
        self, config, write_parameters, tmp_path, elsewhere
    ):
        folder = tmp_path / "step"
        folder.mkdir()
        (folder / "table.txt").touch()
        (folder / "add.asdf").write_text(
            "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: toy_steps.Add\nname: whatever\n"
            "parameters: {table: table.txt, amount: 50, times: 2}\n...\n"
        )
        relative = os.path.relpath(folder / "add.asdf")
        pipeline = Step.from_cmdline([config, f"--steps.add.config_file={relative}"])
        assert pipeline.add.table == str(folder / "table.txt")
        # the main file wins over the step's file
        assert (pipeline.add.amount, pipeline.add.times) == (3.0, 2)
        pipeline = Step.from_cmdline(
            [config, f"--steps.add.config_file={relative}", "--steps.add.times=1"]
        )
        assert pipeline.add.times == 1
        result = ToyPipeline.call(
            toy_model(), steps={"add": {"config_file": str(folder / "add.asdf"), "times": 1}}
        )
        assert value_of(result) == 102.0

    def test_file_of_a_step_named_in_the_main_file(self, toy_file, write_parameters, elsewhere):
        write_parameters("{amount: 6}", name="add.asdf", class_name="toy_steps.Add")
        config = write_parameters(
            steps="steps:\n- {class: '', name: add, parameters: {config_file: add.asdf}}\n"
        )
        for step in (
            Step.from_cmdline([config]),
            Step.from_cmdline([PIPELINE, config]),
            ToyPipeline.from_config_file(config),
        ):
            assert step.add.amount == 6.0


class TestReplacedSteps:
    """The class of a step in the parameters is the class that is run."""

    def config(self, write_parameters, class_name, parameters="{}", key="add"):
        """A parameter file that replaces a step."""
        return write_parameters(
            steps=f"steps:\n- {{class: {class_name}, name: {key}, parameters: {parameters}}}\n"
        )

    def test_runs_in_its_place(self, toy_file, write_parameters, elsewhere, caplog):
        config = self.config(write_parameters, "toy_steps.AddTen", "{tens: 3}")
        Step.from_cmdline([PIPELINE, config])
        model = GalaxyModel.open("galaxy_gal.asdf")
        assert value_of(model) == 62.0
        assert model.meta.parameters["add"] == {"tens": 3}
        assert model.meta.cal_step.toy_add_ten == "COMPLETE"

    def test_all_ways_of_asking(self, toy_file, write_parameters, elsewhere):
        config = self.config(write_parameters, "toy_steps.AddTen", "{tens: 3}")
        pipelines = [
            Step.from_cmdline([config]),
            Step.from_cmdline([PIPELINE, toy_file, "--steps.add.class=toy_steps.AddTen"]),
            ToyPipeline.from_config_file(config),
            ToyPipeline(steps={"add": {"class": "toy_steps.AddTen"}}),
        ]
        assert {type(p.add) for p in pipelines} == {AddTen}
        assert value_of(ToyPipeline.call(config, steps={"add": {"tens": 4}})) == 82.0

    def test_the_class_itself_is_as_it_was(self, toy_file, write_parameters, elsewhere):
        ToyPipeline.from_config_file(self.config(write_parameters, "toy_steps.AddTen"))
        assert type(ToyPipeline().add) is toy_steps.Add
        assert ToyPipeline.step_defs["add"] is toy_steps.Add

    def test_pipeline_is_still_of_its_class(self):
        pipeline = ToyPipeline(steps={"add": {"class": "toy_steps.AddTen"}})
        assert isinstance(pipeline, ToyPipeline)
        assert type(pipeline).__qualname__ == "ToyPipeline"

    def test_module_beside_the_parameter_file(self, toy_file, write_parameters, elsewhere):
        config = self.config(write_parameters, "my_fit.MyFit", "{by: 7}")
        Path(config).with_name("my_fit.py").write_text(
            "from galstep.steps import GalStep\n"
            "class MyFit(GalStep):\n"
            "    spec = 'by = float(default=0)   # What is added'\n"
            "    def process(self, input):\n"
            "        for band in input.bands.values():\n"
            "            band.data = band.data + self.by\n"
            "        return input\n"
        )
        assert value_of(Step.from_cmdline([PIPELINE, config]).run()) == 16.0

    def test_step_of_another_package_that_declares_itself(
        self, toy_file, write_parameters, elsewhere
    ):
        model = ToyPipeline.call(self.config(write_parameters, "toy_steps.Declared"))
        assert value_of(model) == 202.0
        assert model.meta.cal_step.other_step == "COMPLETE"
        assert model.meta.parameters["add"]["by"] == 100.0
        assert model.meta.timings["add"] > 0

    def test_exported_and_read_again(self, toy_file, write_parameters, elsewhere):
        config = self.config(write_parameters, "toy_steps.AddTen", "{tens: 3}")
        Step.from_cmdline([config, "--save-parameters=saved.asdf"])
        again = ToyPipeline.from_config_file("saved.asdf")
        assert type(again.add) is AddTen
        assert again.add.tens == 3

    def test_step_of_another_place_is_run_but_told(
        self, toy_file, write_parameters, elsewhere, caplog
    ):
        config = self.config(write_parameters, "toy_steps.Double")
        assert value_of(ToyPipeline.call(config, configure_log=False)) == 4.0
        assert "Step add: its class toy_steps.Double is that of step double" in caplog.text


class TestSavedParameters:
    """``--save-parameters`` writes what gives the same run again."""

    def test_round_trip(self, config, elsewhere, tmp_path, monkeypatch):
        first = Step.from_cmdline(
            [PIPELINE, config, "--output_dir=out", "--steps.add.finder.fwhm=9.5",
             "--steps.add.names=a", "--save-parameters=saved.asdf"]
        )  # fmt: skip
        (tmp_path / "third").mkdir()
        Path("saved.asdf").rename(tmp_path / "third" / "saved.asdf")
        monkeypatch.chdir(tmp_path / "third")
        again = Step.from_cmdline([PIPELINE, "saved.asdf"])
        assert again.get_pars() == first.get_pars()
        assert again.add.finder["fwhm"] == 9.5
        assert again.output_dir == str(elsewhere / "out")

    def test_with_another_galaxy(self, config, other_file, elsewhere):
        Step.from_cmdline([PIPELINE, config, "--save-parameters=saved.asdf"])
        Step.from_cmdline(["saved.asdf", other_file])
        assert saved_value("other_gal.asdf") == 26.0

    def test_plain_values_only(self):
        parameters = ToyPipeline().get_pars()
        assert type(parameters["steps"]["add"]["finder"]) is dict
        assert parameters["input_dir"] is None


def test_galaxy_saved_by_a_run_is_data_not_parameters(config, elsewhere):
    Step.from_cmdline([PIPELINE, config])
    assert value_of(ToyPipeline.call("galaxy_gal.asdf")) == 18.0


def test_pipeline_inside_a_pipeline():
    class Outer(ToyPipeline):
        spec = ""
        step_defs = {"inner": ToyPipeline, "double": toy_steps.Double}

    outer = Outer(steps={"inner": {"steps": {"add": {"amount": 4}}}})
    assert value_of(outer.run(toy_model())) == 20.0


def test_steps_inside_the_pipeline_of_another_package():
    class Other(Pipeline):
        spec = "output_ext = string(default='.fits')   # Format"
        step_defs = {"plus": toy_steps.Add, "galaxy": ToyPipeline}

        def process(self, model):
            return self.galaxy.run(self.plus.run(model))

    other = Other(steps={"plus": {"amount": 2}, "galaxy": {"steps": {"add": {"amount": 4}}}})
    model = other.run(toy_model())
    assert value_of(model) == 14.0
    assert set(model.meta.parameters) == {"plus", "add", "double", "galaxy"}
    # what such a pipeline would look up for ours on a reference server
    assert ToyPipeline._get_config_from_parameters({}, "jwst") == {"steps": {}}


def test_failed_run_leaves_the_earlier_product(config, elsewhere):
    Step.from_cmdline([PIPELINE, config])
    before = Path("galaxy_gal.asdf").read_bytes()
    with pytest.raises(ZeroDivisionError):
        Step.from_cmdline([PIPELINE, config, "--steps.double.post_hooks=toy_steps.fail,"])
    assert Path("galaxy_gal.asdf").read_bytes() == before
    assert saved() == ["galaxy_gal.asdf"]


def test_no_network(config, elsewhere, monkeypatch):
    monkeypatch.setenv("CRDS_SERVER_URL", "https://jwst-crds.stsci.edu")
    monkeypatch.setenv("CRDS_PATH", str(elsewhere / "crds_cache"))
    monkeypatch.setenv("CRDS_CONTEXT", "jwst_1234.pmap")

    def refuse(*args, **kwargs):
        raise AssertionError(f"a socket was asked for: {args}")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    Step.from_cmdline([PIPELINE, config])
    ToyPipeline.call(toy_model())
    assert saved() == ["galaxy_gal.asdf"]
