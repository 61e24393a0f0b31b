"""NaN is no value of any parameter, infinity of few, and sizes are those of images."""

import numpy as np
import pytest
from astropy.nddata import CCDData

from galstep.core.align.catalog import FinderOptions, find_positions
from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import (
    AperPhot,
    BaseFit,
    ForcedScaleFit,
    LoadCrop,
    PSFCalibrate,
    ScaleFit,
    StarPhot,
    TweakReg,
)
from galstep.steps.framework.validation import check_structure
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.star_frames import star_frame

PSF = (GaussianMixturePSF.gaussian(1.3).sampled(4, 61), 4)
IMAGE = CCDData(np.random.default_rng(1).normal(0, 1, (61, 61)), unit="adu")
PARAMETERS = [
    (StarPhot, "threshold"),
    (StarPhot, "gain"),
    (StarPhot, "separation"),
    (StarPhot, "psf_error"),
    (StarPhot, "aperture_radius"),
    (TweakReg, "tolerance"),
    (TweakReg, "searchrad"),
    (TweakReg, "abs_tolerance"),
    (LoadCrop, "sigma_guess"),
    (LoadCrop, "pixel_scale"),
    (LoadCrop, "ab_zero_point"),
    (LoadCrop, "x_guess"),
    (PSFCalibrate, "calib_xy_bounds"),
    (BaseFit, "th_min"),
    (ScaleFit, "th_min"),
    (AperPhot, "petro"),
]


@pytest.mark.parametrize("value", [float("nan"), "nan", "-NaN"])
@pytest.mark.parametrize(("step", "name"), PARAMETERS, ids=lambda v: getattr(v, "__name__", v))
def test_nan_is_no_number(step, name, value):
    with pytest.raises(ParameterError, match=f"parameter {name}: a number is needed, got"):
        step(**{name: value})


def test_nan_is_no_number_in_a_list():
    for value in ([5.0, float("nan")], "5, nan"):
        with pytest.raises(ParameterError, match="parameter local_radii: a number is needed"):
            StarPhot(local_radii=value)


def test_nan_is_no_number_of_a_step_of_a_pipeline(toy_file):
    with pytest.raises(ParameterError, match="parameter steps/basefit/th_min: a number is needed"):
        GalPipeline.call(str(toy_file), steps={"basefit": {"th_min": float("nan")}})


def test_text_may_be_called_nan():
    assert ForcedScaleFit(catalog_id="nan").catalog_id == "nan"


def numbers_of(step, spec=None, where=()):
    """(step, path) of every parameter of a step that holds numbers, sections included."""
    for name, check in (step.load_spec_file() if spec is None else spec).items():
        path = (*where, {"__many__": "F150W"}.get(name, name))
        if isinstance(check, dict):
            yield from numbers_of(step, check, path)
        elif check.startswith("float"):
            yield step, path


STEPS = (*GalPipeline.step_defs.values(), StarPhot, GalPipeline)
NUMBERS = [found for step in STEPS for found in numbers_of(step)]
# where it means "no bound", and the help says so
TAKE_INFINITY = {
    "sharplo", "sharphi", "roundlo", "roundhi", "peakmax", "sharpness_range", "roundness_range",
    "peak_max",
}  # fmt: skip


def given(path, value):
    """Nested parameters with one value."""
    for name in reversed(path):
        value = {name: value}
    return value


def ids(value):
    return value.__name__ if isinstance(value, type) else "-".join(value)


@pytest.mark.parametrize(("step", "path"), NUMBERS, ids=ids)
def test_every_number_is_finite_or_says_what_infinity_is(step, path):
    """As a number and as text, also text that is too large for a number; and in lists."""
    spec = step.load_spec_file()
    for name in path[:-1]:
        spec = spec.get(name, spec.get("__many__"))
    key = path[-1] if path[-1] in spec else "__many__"
    is_list = spec[key].startswith("float_list")
    for value in (np.inf, -np.inf, "inf", "-Infinity", "1e999"):
        for form in [[value, 1.0], f"1, {value}"] if is_list else [value]:
            config = given(path, form)
            if path[-1] in TAKE_INFINITY:
                check_structure(config, step.load_spec_file())
                assert "inf" in spec.inline_comments[key]
            else:
                name = "/".join(path)
                with pytest.raises(ParameterError, match=f"{name}: a finite number is needed"):
                    check_structure(config, step.load_spec_file())


def test_there_are_numbers_in_every_step():
    assert len(NUMBERS) > 200
    assert {step for step, _ in NUMBERS} >= {*STEPS}


@pytest.mark.parametrize("finder", ["dao", "iraf"])
def test_infinity_is_no_bound(finder):
    """The finders of TweakReg and of BaseFit take it."""
    options = FinderOptions(
        starfinder=finder, sharplo=-np.inf, sharphi=np.inf, roundlo=-np.inf, roundhi=np.inf,
        peakmax=np.inf, bkg_boxsize=30,
    )  # fmt: skip
    frame = star_frame(
        IMAGE.shape, GaussianMixturePSF.gaussian(1.3), [20.0, 40], [30.0, 31], [900.0, 900]
    )
    found = find_positions(frame + IMAGE.data, np.zeros(IMAGE.shape, dtype=bool), options)
    assert len(found.x) >= 2


@pytest.mark.parametrize("radii", [[2.0, 1e12], [1e300, 1e301], [5.0, 5.0]])
def test_a_ring_has_a_size(radii):
    step = StarPhot(background="local", local_radii=radii)
    with pytest.raises(ParameterError, match="local_radii must be an inner and a larger outer"):
        step.run(IMAGE, PSF)


@pytest.mark.parametrize("side", [1003, 10**12 + 1])
def test_a_box_has_a_size(side):
    with pytest.raises(ParameterError, match="fit_shape.*too big.*max=1001"):
        StarPhot(fit_shape=side)
