"""Kernel families: sizes, starts, and steps held within reason."""

import numpy as np
import pytest

from galstep.core.kernel_families import (
    FAMILIES,
    bounded_step,
    kernel_of_variance,
    n_free,
    scaled_kernel,
    variance,
)
from galstep.core.psf import EffectivePSF
from galstep.exceptions import ParameterError
from galstep.records import PsfKernel
from galstep.testing.psfs import GaussianMixturePSF

POINT = EffectivePSF.from_array(GaussianMixturePSF.gaussian(0.3).sampled(8, 129), 8)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [0.3, 2.0])
def test_variance_is_what_was_asked_for(family, size):
    assert np.isclose(variance(kernel_of_variance(family, size, 0.5)), size)


@pytest.mark.parametrize("family", ["gaussian", "elliptical", "drizzle"])
def test_variance_is_that_of_the_kernel_itself(family):
    kernel = kernel_of_variance(family, 1.7, 1.0)
    array = POINT.convolved(kernel).array
    offset = (np.arange(array.shape[0]) - (array.shape[0] - 1) / 2) / 8
    measured = (array.sum(axis=0) * offset**2).sum() - 0.3**2
    assert np.isclose(measured, 1.7, rtol=1e-3)


def test_moffat_has_the_fwhm_of_the_gaussian():
    # the kernel's own FWHM: what it does to a much narrower PSF
    moffat, gaussian = (kernel_of_variance(f, 4.0) for f in ("moffat", "gaussian"))
    assert np.isclose(POINT.convolved(moffat).fwhm, POINT.convolved(gaussian).fwhm, rtol=0.02)


def test_unknown_family_is_named():
    with pytest.raises(ParameterError, match="kernel family must be one of .* got 'airy'"):
        kernel_of_variance("airy", 1.0)


def test_no_kernel_has_no_size():
    assert variance(PsfKernel()) == 0.0
    assert n_free("none") == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_scaled_kernel(family):
    kernel = kernel_of_variance(family, 1.5, 0.8)
    assert np.isclose(variance(scaled_kernel(kernel, 0.6)), 0.9)


def test_steps_add_up():
    kernel = bounded_step(PsfKernel("elliptical", (1.0, 0.1, 0.8)), np.array([0.2, -0.05, 0.1]))
    np.testing.assert_allclose(kernel.parameters, (1.2, 0.05, 0.9))


@pytest.mark.parametrize(
    ("start", "step", "end"),
    [
        (1.0, 5.0, 2.0),  # by no more than 1 px^2
        (1.0, -0.9, 0.3),  # to no less than 0.3 of itself
        (0.04, -0.5, 0.0),  # but to nothing when it is near
        (0.0, 0.3, 0.3),  # from where it can come back
    ],
)
def test_long_steps_are_cut(start, step, end):
    kernel = bounded_step(PsfKernel("gaussian", (start,)), np.array([step]))
    assert np.isclose(kernel.parameters[0], end)


def test_long_steps_keep_their_direction():
    kernel = bounded_step(PsfKernel("elliptical", (3.0, 0.0, 3.0)), np.array([2.0, 0.5, 1.0]))
    np.testing.assert_allclose(kernel.parameters, (4.0, 0.25, 3.5))


def test_elliptical_kernel_stays_positive_definite():
    kernel = bounded_step(PsfKernel("elliptical", (0.4, 0.0, 0.2)), np.array([-0.1, 0.9, 0.1]))
    xx, xy, yy = kernel.parameters
    assert xx * yy > xy * xy


def test_drizzle_width_is_not_fitted():
    kernel = bounded_step(PsfKernel("drizzle", (0.5, 1.2)), np.array([0.1]))
    assert kernel.parameters == (0.6, 1.2)


def test_cut_slope_of_a_moffat_leaves_its_width():
    start = PsfKernel("moffat", (0.5, float(np.log(20.0))))
    kernel = bounded_step(start, np.array([0.15, 0.3]))
    free = PsfKernel("moffat", (0.65, float(np.log(20.0)) + 0.3))
    assert kernel.parameters[1] == pytest.approx(np.log(20.0))
    assert np.isclose(variance(kernel), variance(free))
