"""The fits repeated on other data: the same steps, the same parameters, in silence."""

import logging

import numpy as np
import pytest
from galaxy_checks import galaxy

from galstep.records import PsfKernel
from galstep.steps import BaseFit, ForcedScaleFit, JointFit, ScaleFit
from galstep.steps.refit import refit, with_exact_psf

FILTERS = ("F090W", "F150W", "F277W")


def assert_same(model, other):
    for name in FILTERS:
        assert model.bands[name].fitted == other.bands[name].fitted, name
        if model.bands[name].fitted:
            assert model.bands[name].fit.step == other.bands[name].fit.step
            assert galaxy(model, name).flux == pytest.approx(galaxy(other, name).flux, rel=1e-9)


def test_default_chain(unfitted, joint):
    assert_same(refit(unfitted, {}, "F150W"), joint)


def test_the_steps_that_ran_and_no_others(unfitted, based, scaled):
    assert_same(refit(unfitted, based.meta.parameters, "F150W"), based)
    assert_same(refit(unfitted, scaled.meta.parameters, "F150W"), scaled)


def test_without_the_joint_fit(unfitted, joint, scaled):
    assert_same(refit(unfitted, joint.meta.parameters, "F150W", joint=False), scaled)


def test_forced_filters(unfitted, based):
    run = ForcedScaleFit(filters=["F277W"]).run(ScaleFit(filters=["F090W"]).run(based))
    assert_same(refit(unfitted, run.meta.parameters, "F150W"), run)


def test_parameters_of_the_run_are_used(unfitted):
    run = JointFit(th_min=30, th_max=30, th_near=30).run(BaseFit(th_min=20).run(unfitted))
    again = refit(unfitted, run.meta.parameters, "F150W")
    assert again.meta.parameters["basefit"]["th_min"] == 20
    assert len(again.bands["F150W"].fit.stars) == len(run.bands["F150W"].fit.stars)


def test_priors_on_place_and_angle_are_those_of_one_galaxy(unfitted):
    run = BaseFit(prior_x_0=[44.3, 5], prior_theta=[0.7, 2], prior_n=[1.2, 0.5]).run(unfitted)
    own = refit(unfitted, run.meta.parameters, "F150W").meta.parameters["basefit"]
    assert own["prior_x_0"] is None and own["prior_theta"] is None
    assert np.allclose([float(v) for v in own["prior_n"]], [1.2, 0.5])


def test_nothing_is_said_and_the_level_comes_back(unfitted, caplog):
    logger = logging.getLogger("stpipe.galstep")
    before = logger.level
    with caplog.at_level(logging.INFO):
        refit(unfitted, {"basefit": {}}, "F150W")
    assert not [r for r in caplog.records if r.name.startswith("stpipe.galstep")]
    assert logger.level == before


def test_input_is_not_changed(unfitted):
    refit(unfitted, {"basefit": {}}, "F150W")
    assert not unfitted.bands["F150W"].fitted


def test_exact_psf(unfitted):
    band = unfitted.copy().bands["F150W"]
    assert with_exact_psf(band).psf_kernel is None
    band.psf_kernel = PsfKernel("gaussian", (1.0,), (0.1,), 2.5, 12)
    assert with_exact_psf(band).psf_kernel == PsfKernel("gaussian", (1.0,), (), 2.5, 12)
