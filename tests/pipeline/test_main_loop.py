"""The main loop: kernels and fits in turn until the kernels stand still."""

from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.psf.kernel_families import variance
from galstep.pipeline import GalPipeline
from galstep.pipeline.main_loop import MAIN_LOOP, main_loop
from galstep.records import PsfKernel
from galstep.steps import BaseFit, PSFCalibrate
from galstep.testing import make_scene
from galstep.testing.models import unfitted_model


class Toy:
    """A pipeline whose calibration halves the distance to a kernel of variance 1."""

    def __init__(self, still_after=99, **parameters):
        self.psfcalibrate = SimpleNamespace(skip=False, **parameters)
        self.ran, self.still_after = [], still_after

    def run_step(self, key, model):
        self.ran.append(key)
        band = model.bands["F"]
        if key == "psfcalibrate" and self.ran.count(key) <= self.still_after:
            value = band.psf_kernel.parameters[0]
            band.psf_kernel = PsfKernel("gaussian", (0.5 * (1 + value),))
        model.meta.timings[key] = 1.0
        return model


def toy_model(fitted=True):
    band = SimpleNamespace(psf_kernel=PsfKernel("gaussian", (3.0,)), fitted=fitted)
    meta = SimpleNamespace(timings=dict.fromkeys(MAIN_LOOP, 1.0))
    return SimpleNamespace(bands={"F": band}, meta=meta)


def test_as_often_as_asked():
    pipeline = Toy(in_mainloop=True, mainloop_calibrations=2)
    model = main_loop(pipeline, toy_model())
    assert pipeline.ran == list(MAIN_LOOP) * 2
    assert model.bands["F"].psf_kernel.parameters == (1.5,)
    assert model.meta.timings == dict.fromkeys(MAIN_LOOP, 3.0)


def test_until_the_kernels_stand_still():
    pipeline = Toy(still_after=2, in_mainloop=True, mainloop_calibrations=9)
    model = main_loop(pipeline, toy_model())
    # the third calibration changes nothing: the fits stand
    assert pipeline.ran == [*MAIN_LOOP, *MAIN_LOOP, "psfcalibrate"]
    assert model.meta.timings == {**dict.fromkeys(MAIN_LOOP, 3.0), "psfcalibrate": 4.0}


@pytest.mark.parametrize(
    ("parameters", "fitted"),
    [
        ({"in_mainloop": False, "mainloop_calibrations": 3}, True),
        ({}, True),  # another step in its place
        ({"in_mainloop": True, "mainloop_calibrations": 3}, False),
    ],
)
def test_not_asked_for_or_nothing_fitted(parameters, fitted):
    pipeline = Toy(**parameters)
    main_loop(pipeline, toy_model(fitted))
    assert pipeline.ran == []


def test_a_skipped_calibration_is_not_repeated():
    pipeline = Toy(in_mainloop=True, mainloop_calibrations=3)
    pipeline.psfcalibrate.skip = True
    main_loop(pipeline, toy_model())
    assert pipeline.ran == []


@pytest.fixture(name="fitted", scope="module")
def _fitted():
    """A filter with a kernel, and a fit."""
    scene = make_scene(
        seed=4, shape=(81, 81), n_stars=25, filters=("F150W",), star_snr=(20.0, 300.0),
        psf_blur={"F150W": 0.9},
    )  # fmt: skip
    model = PSFCalibrate(empirical_correction="none").run(unfitted_model(scene))
    return BaseFit(th_iter=3, iter_basefit=1).run(model)


def kernel_of(model, **parameters):
    step = PSFCalibrate(empirical_correction="none", **parameters)
    return step.run(model).bands["F150W"].psf_kernel


class TestStep:
    """PSFCalibrate on a filter that has been fitted."""

    def test_the_fit_counts_only_if_asked_for(self, fitted):
        before = fitted.bands["F150W"].psf_kernel
        assert kernel_of(fitted) == before
        beside = kernel_of(fitted, in_mainloop=True)
        assert beside.parameters != before.parameters
        assert np.sqrt(variance(beside)) == pytest.approx(0.9, rel=0.06)

    def test_what_was_fitted_is_taken_out(self, fitted):
        """A model image that is off shows in the kernel beside it, and nowhere else."""
        off = fitted.copy()
        off.bands["F150W"].sky += 0.5 * off.bands["F150W"].stars
        assert kernel_of(off) == kernel_of(fitted)
        beside = kernel_of(off, in_mainloop=True)
        assert beside.parameters != kernel_of(fitted, in_mainloop=True).parameters

    def test_a_kernel_that_hardly_moves_stays(self, fitted):
        before = fitted.bands["F150W"].psf_kernel
        skip = {"in_mainloop": True, "kernel_fit_skip_on_convergence": True}
        assert kernel_of(fitted, **skip, kernel_skip_threshold=1.0) == before
        assert kernel_of(fitted, **skip, kernel_skip_threshold=1e-9) != before
        assert kernel_of(fitted, in_mainloop=True, kernel_skip_threshold=1.0) != before


@pytest.mark.slow
def test_a_pipeline_repeats_calibration_and_fits(tmp_path):
    scene = make_scene(
        seed=4, shape=(81, 81), n_stars=25, filters=("F150W", "F277W"), star_snr=(20.0, 300.0),
        psf_blur={"F150W": 0.9, "F277W": 1.7},
    )  # fmt: skip
    scene.write_hdf5(tmp_path / "loop.h5")
    scene.write_psf(tmp_path / "psf.h5")
    model = GalPipeline.call(
        str(tmp_path / "loop.h5"),
        save_results=False,
        steps={
            "loadcrop": {"psf_file": str(tmp_path / "psf.h5")},
            "psfcalibrate": {"in_mainloop": True, "mainloop_calibrations": 2},
            "jointfit": {"skip": True},
            "aperphot": {"skip": True},
        },
    )
    steps = [line.split(":")[0] for line in model.meta.history]
    assert steps.count("psfcalibrate") == steps.count("basefit") == steps.count("scalefit") == 3
    assert np.sqrt(variance(model.bands["F150W"].psf_kernel)) == pytest.approx(0.9, rel=0.06)
    assert np.sqrt(variance(model.bands["F277W"].psf_kernel)) == pytest.approx(1.7, rel=0.1)
