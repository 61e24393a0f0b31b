"""NaN is no value of any parameter, and sizes are those of images."""

import numpy as np
import pytest
from astropy.nddata import CCDData

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
from galstep.testing.psfs import GaussianMixturePSF

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


@pytest.mark.parametrize("radii", [[2.0, np.inf], [2.0, 1e12], [np.inf, np.inf], [5.0, 5.0]])
def test_a_ring_has_a_size(radii):
    step = StarPhot(background="local", local_radii=radii)
    with pytest.raises(ParameterError, match="local_radii must be an inner and a larger outer"):
        step.run(IMAGE, PSF)


@pytest.mark.parametrize("side", [1003, 10**12 + 1])
def test_a_box_has_a_size(side):
    with pytest.raises(ParameterError, match="fit_shape.*too big.*max=1001"):
        StarPhot(fit_shape=side)
