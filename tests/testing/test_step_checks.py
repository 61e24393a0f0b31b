"""The battery: every step passes it, and it sees what it is there to see."""

import re

import numpy as np
import pytest
from toy_steps import Add, toy_model

from galstep import steps
from galstep.exceptions import GalstepError
from galstep.records import SersicParams
from galstep.steps import BaseFit, GalStep, PSFCalibrate, ScaleFit
from galstep.testing import make_scene, step_checks
from galstep.testing.differences import differences
from galstep.testing.models import unfitted_model
from galstep.testing.step_checks import CHECKS, check_step

STEPS = [name for name in steps.__all__ if name != "GalStep"]
# what a step needs to have behind it, and parameters with which it has something to do
STAGE = {
    "LoadCrop": "unfitted",
    "TweakReg": "unfitted",
    "StarPhot": "unfitted",
    "Inject": "scaled",
    "PSFCalibrate": "unfitted",
    "BaseFit": "unfitted",
    "ScaleFit": "based",
    "ForcedScaleFit": "based",
    "JointFit": "scaled",
    "AperPhot": "scaled",
    **dict.fromkeys(("LoadField", "MaskField", "FieldPSF", "FieldFit", "ZeroPoint"), "unfitted"),
}
PARAMETERS = {
    "LoadCrop": {"min_crop_size": 41},
    "Inject": {"n_galaxies": 3, "n_stars": 12},
    "ForcedScaleFit": {"filters": ["F277W"]},
    "TweakReg": {"minobj": 3},
}


@pytest.fixture(scope="module")
def stages():
    """A small galaxy in two filters at every stage."""
    scene = make_scene(
        7,
        (61, 61),
        10,
        ("F150W", "F277W"),
        snr=200.0,
        sersic=SersicParams(30.3, 29.8, 4.0, 1.2, 0.3, 0.7),
        star_separation=7,
        star_snr=(30, 300),
        psf_size=81,
    )
    unfitted = unfitted_model(scene)
    based = BaseFit().run(unfitted)
    return {"unfitted": unfitted, "based": based, "scaled": ScaleFit().run(based)}


# what a step for images, which has no use for a galaxy, can pass
WITHOUT_RUN = (
    step_checks.check_parameters_described,
    step_checks.check_parameters_round_trip,
    step_checks.check_wrong_input,
)


def checks_of(name):
    """The checks that concern this step."""
    return CHECKS if getattr(steps, name).works_on_galaxy_model else WITHOUT_RUN


def is_long(name, check):
    """Injection measures the galaxy anew for every source."""
    return name == "Inject" and check.__name__ in ("check_alone_as_in_pipeline", "check_repeatable")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        pytest.param(name, check, marks=[pytest.mark.slow] if is_long(name, check) else [])
        for name in STEPS
        for check in checks_of(name)
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_every_step(name, check, stages, tmp_path, monkeypatch):
    if name == "TweakReg":
        pytest.importorskip("tweakwcs", reason="the extra align is not installed")
    monkeypatch.chdir(tmp_path)
    check(getattr(steps, name), stages[STAGE[name]], tmp_path, **PARAMETERS.get(name, {}))


def test_steps_have_something_to_do(stages):
    model = PSFCalibrate().run(stages["unfitted"])
    assert all(band.psf_kernel is not None for band in model.bands.values())
    assert all(band.fitted for band in stages["scaled"].bands.values())


class Changes(Add):
    """Works on the caller's model."""

    class_alias = "toy_changes"
    spec = ""

    def process(self, input):
        """Add in place."""
        for band in input.bands.values():
            band.data += 1
        self.complete(input)
        return input


class Dices(Add):
    """Adds what numpy's global state gives."""

    class_alias = "toy_dices"
    spec = ""

    def process(self, input):
        """Add a random number."""
        model = self.prepare_output(input)
        for band in model.bands.values():
            band.data = band.data + np.random.random()
        self.complete(model)
        return model


class Depends(Add):
    """Does something else in a pipeline."""

    class_alias = "toy_depends"
    spec = ""

    def process(self, input):
        """Add 1 if there is a parent."""
        model = self.prepare_output(input)
        for band in model.bands.values():
            band.data = band.data + (self.parent is not None)
        self.complete(model)
        return model


class Unsound(Add):
    """Makes what no product can hold."""

    class_alias = "toy_unsound"
    spec = ""

    def process(self, input):
        """Put text where an image should be."""
        model = self.prepare_output(input)
        model.meta.base_filter = 3
        self.complete(model)
        return model


class Undescribed(Add):
    """Has a number without unit."""

    class_alias = "toy_undescribed"
    spec = """
    fwhm = float(default=1.0)    # Width (pixels)
    width = float(default=1.0)   # How wide it is
    """


CAUGHT = {
    Changes: (step_checks.check_input_untouched, "/bands/F150W/data: 400 of 400 elements"),
    Dices: (step_checks.check_repeatable, "two runs differ: /bands/F150W/data"),
    Depends: (
        step_checks.check_alone_as_in_pipeline,
        "alone and in a pipeline differ: /bands/F150W/data",
    ),
    Undescribed: (
        step_checks.check_parameters_described,
        "width: no unit in 'How wide it is'",
    ),
}


def test_a_sound_step_passes(tmp_path):
    check_step(Add, toy_model(), tmp_path)


@pytest.mark.parametrize("step_class", CAUGHT, ids=lambda step_class: step_class.__name__)
def test_what_is_caught(step_class, tmp_path):
    check, message = CAUGHT[step_class]
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(step_class, toy_model(), tmp_path)


def test_product_that_is_not_sound(tmp_path):
    with pytest.raises(GalstepError, match="not a sound model"):
        step_checks.check_product(Unsound, toy_model(), tmp_path)


def test_differences():
    first = {"a": [1, {"b": np.array([1.0, np.nan])}], "c": np.nan, "d": "x"}
    assert list(differences(first, {**first, "c": float("nan")})) == []
    second = {"a": [1, {"b": np.array([1.0, 2.0])}, 3], "c": 1.0, "e": "x"}
    assert list(differences(first, second)) == [
        "/a: 2 and 3 entries",
        "/a/1/b: 1 of 2 elements",
        "/c: nan and 1.0",
        "/d: only in the first",
        "/e: only in the second",
    ]
    assert list(differences(np.zeros(3), np.zeros(4))) == [": shapes (3,) and (4,)"]


def test_every_step_is_listed():
    assert {*STEPS} <= {*STAGE}
    assert all(issubclass(getattr(steps, name), GalStep) for name in STEPS)
