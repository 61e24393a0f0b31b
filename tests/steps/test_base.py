"""GalStep: input, results, status and saving of a single step."""

import logging
import os
import re
from pathlib import Path

import numpy as np
import pytest
from stpipe import Step
from toy_steps import Add, AddTen, Double, GivesNothing, Host, toy_model

from galstep import __version__
from galstep.datamodels import GalaxyModel
from galstep.exceptions import GalstepError, InputError, ParameterError


def value_of(model, name="F150W"):
    """The one value of a toy model's image."""
    return float(np.unique(model.bands[name].data).item())


def saved(folder="."):
    """Names of the files in a folder."""
    return sorted(os.listdir(folder))


def test_step_leaves_the_callers_model_alone():
    model = toy_model()
    result = Add(amount=3.0).run(model)
    assert value_of(result) == 4.0
    assert value_of(model) == 1.0
    assert vars(model.meta.cal_step) == {}
    assert model.meta.history == []


def test_prepare_output_copies_only_without_parent():
    model = toy_model()
    assert Add().prepare_output(model) is not model
    assert Add(parent=Host()).prepare_output(model) is model


@pytest.mark.parametrize("kind", [str, Path])
def test_prepare_output_opens_a_path(toy_file, kind):
    assert value_of(Add().run(kind(toy_file))) == 2.0


@pytest.mark.parametrize(("thing", "kind"), [(3, "int"), ([1, 2], "int"), ({1, 2}, "set")])
def test_other_input_is_refused(thing, kind):
    with pytest.raises(InputError, match=f"GalaxyModel, got {kind}"):
        Add().run(thing)


def test_missing_input_is_named():
    with pytest.raises(InputError, match=r"input file 'nowhere.h5' does not exist") as caught:
        Add().run("nowhere.h5")
    assert caught.value.exit_status == 2


def test_no_input_at_all():
    with pytest.raises(InputError, match="Add: no input: give a file or set input_file"):
        Add().run()


def test_input_file_is_used_and_result_saved(toy_file, elsewhere):
    assert value_of(Add(input_file=toy_file).run()) == 2.0
    assert saved() == ["galaxy_add.asdf"]


def test_result_from_input_file_not_saved_if_asked_not_to(toy_file, elsewhere):
    Add(input_file=toy_file, save_results=False).run()
    assert saved() == []


def test_data_given_win_over_input_file(toy_file, elsewhere):
    assert value_of(Add(input_file=toy_file).run(toy_model(value=5.0))) == 6.0
    assert saved() == []


def test_saving_because_of_input_file_is_for_that_run_only(toy_file, elsewhere):
    step = Add(input_file=toy_file)
    step.run()
    step.run(toy_model("other"))
    assert saved() == ["galaxy_add.asdf"]


def test_two_galaxies_with_one_step_get_two_names(toy_file, elsewhere):
    step = Add(save_results=True)
    step.run(toy_file)
    step.run(toy_model("other"))
    assert saved() == ["galaxy_add.asdf", "other_add.asdf"]


def test_second_input_is_not_looked_for_beside_the_first(toy_file, elsewhere):
    toy_model(value=8.0).save("near.asdf")
    step = Add()
    step.run(toy_file)
    assert value_of(step.run("near.asdf")) == 9.0


def test_input_dir_is_where_bare_names_are_looked_for(toy_file, elsewhere):
    step = Add(input_dir=os.path.dirname(toy_file))
    assert value_of(step.run("galaxy.asdf")) == 2.0
    assert step.get_pars()["input_dir"] == os.path.dirname(toy_file)
    assert Add().get_pars()["input_dir"] is None


@pytest.mark.parametrize(
    ("first", "step", "expected"),
    [
        ("galaxy", Add, "galaxy_add.asdf"),
        ("galaxy_basefit", Add, "galaxy_add.asdf"),
        ("galaxy_gal", Add, "galaxy_add.asdf"),
        ("ngc_4258_b", Add, "ngc_4258_b_add.asdf"),
        ("gal", Add, "gal_add.asdf"),
    ],
)
def test_known_suffix_is_replaced(elsewhere, first, step, expected):
    step(save_results=True).run(toy_model(first).save(f"{first}.asdf"))
    assert expected in saved()


def test_output_file_gives_name_and_folder(elsewhere):
    Add(output_file="sub/mine.asdf").run(toy_model())
    assert saved("sub") == ["mine_add.asdf"]


def test_output_dir_is_made_before_the_work(elsewhere):
    Path("taken").touch()
    step = Add(output_dir="taken/deep")
    with pytest.raises(GalstepError, match=r"output_dir 'taken/deep' cannot be made: "):
        step.run(toy_model())


def test_saved_result_is_the_input_of_the_next_step(elsewhere):
    Add(save_results=True).run(toy_model())
    result = Double(save_results=True).run("toy_add.asdf")
    assert value_of(result) == 4.0
    again = GalaxyModel.open("toy_add_double.asdf")  # "add" is none of galstep's suffixes
    assert vars(again.meta.cal_step) == {"toy_add": "COMPLETE", "toy_double": "COMPLETE"}
    assert list(again.meta.parameters) == ["add", "double"]


def test_status_parameters_and_time_are_recorded():
    result = Add(amount=2.5, finder={"fwhm": 3.0}).run(toy_model())
    assert result.meta.cal_step.toy_add == "COMPLETE"
    assert result.meta.parameters["add"] == {
        "amount": 2.5,
        "times": 1,
        "method": "plain",
        "table": None,
        "names": None,
        "finder": {"fwhm": 3.0, "label": "x"},
    }
    assert type(result.meta.parameters["add"]["finder"]) is dict
    assert 0 < result.meta.timings["add"] < 10
    assert result.meta.history == [f"add: complete (galstep {__version__})"]


def test_step_that_records_nothing_is_complete():
    result = Double().run(toy_model())
    assert result.meta.cal_step.toy_double == "COMPLETE"
    assert result.meta.parameters["double"] == {"factor": 2.0}


def test_step_that_cannot_run_says_why(caplog):
    model = toy_model(value=-1.0)
    result = Double().run(model)
    assert value_of(result) == -1.0
    assert result.meta.cal_step.toy_double == "SKIPPED"
    assert "double: skipped: an image is negative" in caplog.text
    assert result.meta.history[-1].startswith("double: skipped: an image is negative (galstep")


def test_numbers_are_logged_in_one_line(caplog):
    with caplog.at_level(logging.INFO, logger="stpipe.galstep.add"):
        Add(amount=2.0).run(toy_model())
    (said,) = [r.getMessage() for r in caplog.records if r.name == "stpipe.galstep.add"]
    assert re.fullmatch(r"add: amount 2 \(\d+\.\d s\)", said)


def test_step_without_result_is_refused(elsewhere):
    with pytest.raises(
        GalstepError, match=r"GivesNothing \(toy_steps.GivesNothing\) must return a GalaxyModel"
    ):
        GivesNothing(save_results=True).run(toy_model())
    assert saved() == []


def test_class_without_alias_records_its_key():
    assert AddTen().run(toy_model()).meta.cal_step.toy_add_ten == "COMPLETE"

    class Nameless(AddTen):
        class_alias = None
        spec = ""

    assert Nameless().run(toy_model()).meta.cal_step.gal_nameless == "COMPLETE"


def test_skip_is_ignored_on_its_own():
    assert value_of(Add(skip=True).run(toy_model())) == 2.0


class TestParametersAsKeywords:
    """``Step(**keywords)`` explains as the parameter file does."""

    def test_unknown(self):
        with pytest.raises(ParameterError, match=r"unknown parameter amuont \(did you mean 'amou"):
            Add(amuont=3)

    def test_every_unknown_is_named(self):
        with pytest.raises(
            ParameterError, match=r"amuont.*; unknown parameter finder/fhwm.*'fwhm'"
        ):
            Add(amuont=3, finder={"fhwm": 1})

    def test_wrong_type(self):
        with pytest.raises(
            ParameterError, match=r"'times': the value \"two\" is of the wrong type"
        ):
            Add(times="two")

    def test_out_of_range(self):
        with pytest.raises(ParameterError, match=r"'amount': the value \"-1.0\" is too small"):
            Add(amount=-1.0)

    def test_mapping_where_a_value_is_needed(self):
        with pytest.raises(ParameterError, match="parameter amount: a single value is needed"):
            Add(amount={"F150W": 2.0})

    def test_value_where_a_mapping_is_needed(self):
        with pytest.raises(ParameterError, match="parameter finder: a mapping is needed, got 3"):
            Add(finder=3)

    def test_interpolation(self):
        with pytest.raises(ParameterError, match="a parameter cannot be read: missing option"):
            Add(finder={"label": "%(nothing)s"})

    def test_name_of_another_section(self):
        with pytest.raises(
            ParameterError, match=r"unknown parameter fwhm \(did you mean 'finder/f"
        ):
            Add(fwhm=3)

    def test_set_later(self):
        step = Add()
        step.times = "two"
        with pytest.raises(
            ParameterError, match=r"'times': the value \"two\" is of the wrong type"
        ):
            step.run(toy_model())


class TestHooks:
    """A GalStep as the hook of a host that writes another format."""

    @pytest.mark.parametrize("hook", ["toy_steps.Add", Add, "toy_steps.Add(amount=1)"])
    def test_class(self, hook):
        result = Host(post_hooks=[hook]).run(toy_model())
        assert value_of(result) == 2.0

    def test_function(self):
        assert value_of(Add(post_hooks=["toy_steps.times_hundred"]).run(toy_model())) == 200.0

    def test_instance_keeps_its_parameters(self):
        assert value_of(Host(pre_hooks=[Add(amount=4.0)]).run(toy_model())) == 5.0

    def test_saved_as_asdf_whatever_the_host_writes(self, elsewhere, caplog):
        step = Add(output_ext=".fits", save_results=True)
        step.run(toy_model())
        assert saved() == ["toy_add.asdf"]
        assert "output_ext '.fits' cannot hold a galaxy, .asdf is written" in caplog.text

    @pytest.mark.parametrize("extension", [".asdf", "h5", ".h5"])
    def test_format_that_can_hold_a_galaxy(self, elsewhere, extension):
        Add(output_ext=extension, save_results=True).run(toy_model())
        assert saved() == [f"toy_add.{extension.lstrip('.')}"]

    def test_result_that_is_no_galaxy(self):
        with pytest.raises(GalstepError, match="must return a GalaxyModel, got str"):
            Add(post_hooks=["toy_steps.in_words"]).run(toy_model())


def test_no_parameters_are_looked_up_for_a_host():
    assert dict(Add._get_config_from_parameters({"instrument": "NIRCAM"}, "jwst")) == {}
    assert dict(Add.get_config_from_reference(toy_model(), disable=False)) == {}


def test_open_model_reads_a_galaxy(toy_file):
    assert value_of(Add().open_model(toy_file)) == 1.0


def test_log_attribute_is_not_used(recwarn):
    Add().run(toy_model())
    assert not [w for w in recwarn if issubclass(w.category, DeprecationWarning)]


def test_loggers_reach_a_host():
    assert isinstance(Add(), Step)
    assert Add()._logger.name.startswith("stpipe.")
    assert {"galstep", "stpipe"} <= set(Add.get_stpipe_loggers())
