"""What a log says of a run, and that nobody else's log is changed."""

import logging
import threading

import pytest
from stpipe import Step
from toy_steps import Add, ToyPipeline, toy_model

from galstep import __version__
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline
from galstep.steps.framework.run_log import (
    differing_parameters,
    framework_lines_demoted,
    say_always,
)


class Foreign(Step):
    """A step that is not of galstep."""

    spec = """
    width = float(default=1.0)            # Width
    output_ext = string(default='.asdf')  # stpipe wants it
    """

    def process(self, input):
        """Nothing."""
        return input


@pytest.fixture
def said(caplog):
    """The lines of the log at INFO, as they are."""
    caplog.set_level(logging.INFO, logger="stpipe")
    return lambda: [record.getMessage() for record in caplog.records]


def test_parameters_that_differ_are_told_and_no_others(said):
    ToyPipeline(steps={"add": {"amount": 7.0, "finder": {"fwhm": 3.5}}}).run(toy_model())
    lines = said()
    assert f"galstep {__version__}, ToyPipeline: GalaxyModel" in lines
    assert [line for line in lines if line.startswith("not the default")] == [
        "not the default: add: amount = 7.0, finder.fwhm = 3.5"
    ]
    assert not any("parameters are" in line or "running with args" in line for line in lines)
    assert lines[-1].startswith("ToyPipeline: done in ")


def test_at_debug_there_is_all_of_it(caplog):
    caplog.set_level(logging.DEBUG, logger="stpipe")
    Add(amount=2.0).run(toy_model())
    dumped = [r for r in caplog.records if "parameters are" in r.getMessage()]
    assert [r.levelname for r in dumped] == ["DEBUG"]
    assert "amount: 2.0" in dumped[0].getMessage()


def test_steps_of_others_log_as_ever(said):
    Add().run(toy_model())
    before = len(said())
    Foreign().run(1)
    lines = said()[before:]
    assert any(line.startswith("Step Foreign parameters are:") for line in lines)
    assert lines[-1] == "Step Foreign done"


def test_nothing_is_left_on_the_logger():
    logger = logging.getLogger("stpipe.step")
    before = list(logger.filters)
    Add().run(toy_model())
    with pytest.raises(InputError, match="no input"):
        Add().run()
    assert logger.filters == before


def test_another_thread_is_not_concerned(said):
    with framework_lines_demoted():
        other = threading.Thread(target=lambda: Foreign().run(1))
        other.start()
        other.join()
    assert any(line.startswith("Step Foreign parameters are:") for line in said())


def test_defaults_do_not_differ():
    pipeline = GalPipeline()
    assert differing_parameters(GalPipeline, pipeline.get_pars()) == {}
    pipeline.basefit.th_min = 4.0
    pipeline.aperphot.radii = [5.0]
    assert differing_parameters(GalPipeline, pipeline.get_pars()) == {
        "steps.basefit.th_min": 4.0,
        "steps.aperphot.radii": [5.0],
    }


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR])
def test_the_result_is_seen_at_every_level_of_a_log_that_is_read(level, tmp_path):
    host, path = logging.getLogger("stpipe"), tmp_path / "run.log"
    handler = logging.FileHandler(path)
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    before = host.level
    host.addHandler(handler)
    host.setLevel(level)
    try:
        say_always(logging.getLogger("stpipe.galstep.toy"), "F150W 23.1")
    finally:
        host.removeHandler(handler)
        host.setLevel(before)
        handler.close()
    word = "INFO" if level <= logging.INFO else "RESULT"
    assert path.read_text() == f"{word} F150W 23.1\n"


def test_where_nobody_reads_the_log_the_result_is_no_warning(caplog):
    caplog.set_level(logging.WARNING, logger="stpipe")
    say_always(logging.getLogger("stpipe.galstep.toy"), "F150W 23.1")
    assert caplog.records == []
