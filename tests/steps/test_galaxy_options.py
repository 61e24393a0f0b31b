"""Parameters that BaseFit and JointFit share: from what users write to what is fitted."""

from math import log
from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.engine.priors import PRIOR_NAMES, ShapePrior
from galstep.exceptions import ParameterError
from galstep.records import PsfKernel
from galstep.steps import BaseFit, JointFit
from galstep.steps.galaxy.galaxy_options import displaced, log_wavelength, shape_priors

BAND = SimpleNamespace(origin=(20, 7))


@pytest.mark.parametrize("step", [BaseFit, JointFit])
@pytest.mark.parametrize("given", [["12", "0.5"], [12, 0.5], "12, 0.5", ["12,0.5"]])
def test_however_it_is_written(step, given):
    assert shape_priors(step(prior_r_eff=given), BAND) == (ShapePrior("r_eff", 12.0, 0.5),)


def test_none_by_default():
    assert shape_priors(BaseFit(), BAND) == ()


def test_the_centre_is_given_in_the_input_frame():
    step = BaseFit(prior_x_0=[120, 1], prior_y_0=[100, 2])
    assert shape_priors(step, BAND) == (ShapePrior("x_0", 100.0, 1.0), ShapePrior("y_0", 93.0, 2.0))


@pytest.mark.parametrize("name", PRIOR_NAMES)
@pytest.mark.parametrize("given", [["1"], ["1", "2", "3"], ["one", "two"]])
def test_what_is_not_two_numbers(name, given):
    step = BaseFit(**{f"prior_{name}": given})
    with pytest.raises(ParameterError, match=f"prior_{name} must be two numbers, mean and sigma"):
        shape_priors(step, BAND)


def test_wavelengths():
    assert log_wavelength("F277W", "F150W") == pytest.approx(log(2.77 / 1.5))
    assert log_wavelength("F555W", "F150W") == pytest.approx(log(0.555 / 1.5))
    assert log_wavelength("F150W", "F150W") == 0
    assert log_wavelength("visible", "F150W") == log_wavelength("F150W", "visible") == 0


def test_a_kernel_with_errors_displaces_the_psf():
    psf = np.exp(-0.5 * (np.hypot(*np.mgrid[-20:21, -20:21]) / 4) ** 2)
    band = SimpleNamespace(psf=psf, oversample=4, name="F150W", psf_kernel=None)
    assert displaced(band) == ()
    band.psf_kernel = PsfKernel("gaussian", (0.2,), (0.05,))
    (moved,) = displaced(band)
    assert moved.fwhm > 2.3548 * np.sqrt(1 + 0.2)
