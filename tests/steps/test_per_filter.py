"""Parameters that have another value in some filters."""

import logging
import re

import pytest

from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import PSFCalibrate, ScaleFit
from galstep.steps.galaxy.per_filter import check_filters, for_filter

STEPS = {
    key: step_class
    for key, step_class in GalPipeline.step_defs.items()
    if "per_filter" in step_class.load_spec_file()
}


def without_default(check):
    """A check of the spec without its default."""
    return re.sub(r",?\s*default=[^)]*", "", check)


def test_some_steps_have_it():
    assert {"scalefit", "forcedscalefit", "psfcalibrate"} <= set(STEPS)


@pytest.mark.parametrize("step_class", STEPS.values(), ids=STEPS)
def test_checks_are_those_of_the_step(step_class):
    spec = step_class.load_spec_file()
    for name, check in spec["per_filter"]["__many__"].items():
        assert without_default(check) == without_default(spec[name]), name
        assert check.endswith("default=None)"), name


def test_value_of_the_filter_or_of_the_step():
    step = ScaleFit(th_min=4.0, per_filter={"F160W": {"th_min": 6.0, "registration": False}})
    ours, others = for_filter(step, "F160W"), for_filter(step, "F277W")
    assert (ours.th_min, ours.th_max, ours.registration) == (6.0, 7.0, False)
    assert (others.th_min, others.th_max, others.registration) == (4.0, 7.0, True)


def test_from_a_parameter_file(tmp_path):
    path = tmp_path / "config.asdf"
    path.write_text(
        "#ASDF 1.0.0\n%YAML 1.1\n---\nclass: galstep.pipeline.GalPipeline\nname: GalPipeline\n"
        "parameters: {}\nsteps:\n- class: galstep.steps.PSFCalibrate\n  name: psfcalibrate\n"
        "  parameters: {per_filter: {F160W: {kernel_family: moffat}}}\n...\n"
    )
    step = GalPipeline.from_config_file(path).psfcalibrate
    assert for_filter(step, "F160W").kernel_family == "moffat"
    assert for_filter(step, "F150W").kernel_family == "gaussian"
    again = PSFCalibrate(**{"per_filter": step.get_pars()["per_filter"]})
    assert for_filter(again, "F160W").kernel_family == "moffat"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"F160W": {"th_mni": 6}}, r"unknown parameter per_filter/F160W/th_mni .*'th_min'"),
        ({"F160W": 6}, r"per_filter/F160W: a mapping is needed, got 6"),
    ],
)
def test_wrong_entries_are_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        ScaleFit.call(None, per_filter=values)


def test_out_of_range():
    with pytest.raises(ParameterError, match=r"per_filter/F160W/th_min.*too small.*float\(min=1\)"):
        ScaleFit.from_config_section(
            ScaleFit.build_config(None, per_filter={"F160W": {"th_min": 0.5}})[0]
        )


def test_filter_that_is_not_there(unfitted, caplog):
    step = ScaleFit(per_filter={"F27W": {"th_min": 6.0}})
    with caplog.at_level(logging.WARNING):
        check_filters(step, unfitted, logging.getLogger("stpipe.galstep.test"))
    assert (
        "F27W is not among the filters F090W, F150W, F277W (did you mean 'F277W'?)" in caplog.text
    )


def test_only_that_filter_is_fitted_otherwise(based, scaled):
    deaf = {"F277W": {"th_min": 1e4, "th_max": 1e4, "iter_scalefit": 0}}
    model = ScaleFit(per_filter=deaf).run(based)
    same, other = model.bands["F090W"].fit, model.bands["F277W"].fit
    assert same.sersic[0].flux == scaled.bands["F090W"].fit.sersic[0].flux
    assert len(same.stars) == len(scaled.bands["F090W"].fit.stars)
    assert len(other.stars) < len(scaled.bands["F277W"].fit.stars)
