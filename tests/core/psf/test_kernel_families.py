"""Kernel families: sizes, starts, and steps held within reason."""

import numpy as np
import pytest

from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import (
    FAMILIES,
    bounded_step,
    displaced_kernels,
    distance,
    kernel_of_variance,
    n_free,
    scaled_kernel,
    variance,
    with_covariance,
    with_scale_error,
)
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


class TestErrors:
    COVARIANCE = np.array([[0.04, 0.03], [0.03, 0.09]])

    @pytest.mark.parametrize("family", FAMILIES)
    def test_error_of_the_size_alone(self, family):
        kernel = with_scale_error(kernel_of_variance(family, 0.9, 1.2), 0.1)
        moved = [variance(other) for other in displaced_kernels(kernel)]
        assert moved == pytest.approx([0.99], rel=2e-2)

    def test_errors_and_correlation_are_kept(self):
        kernel = with_covariance(PsfKernel("moffat", (0.5, 1.0)), self.COVARIANCE)
        assert kernel.errors == pytest.approx((0.2, 0.3))
        assert kernel.covariance == pytest.approx((0.04, 0.03, 0.03, 0.09))
        assert with_covariance(PsfKernel("drizzle", (0.5, 1.0)), [[0.04]]).errors == (0.2, 0.0)

    def test_displacements_make_up_the_covariance(self):
        kernel = with_covariance(PsfKernel("moffat", (0.5, 1.0)), 0.01 * self.COVARIANCE)
        moves = [np.subtract(k.parameters, kernel.parameters) for k in displaced_kernels(kernel)]
        total = sum(np.outer(move, move) for move in moves)
        np.testing.assert_allclose(total, 0.01 * self.COVARIANCE, rtol=1e-10)

    def test_a_variance_does_not_fall_below_zero(self):
        covariance = np.array([[0.5, 0.0, -0.45], [0.0, 0.01, 0.0], [-0.45, 0.0, 0.5]])
        kernel = with_covariance(PsfKernel("elliptical", (0.05, 0.0, 0.05)), covariance)
        for moved in displaced_kernels(kernel):
            assert min(moved.parameters[0], moved.parameters[2]) >= 0
            POINT.convolved(moved)

    def test_no_kernel_is_uncertain_by_a_gaussian(self):
        assert displaced_kernels(PsfKernel(errors=(0.02,))) == [PsfKernel("gaussian", (0.02,))]
        assert displaced_kernels(PsfKernel()) == displaced_kernels(None) == []


def test_distance():
    one, other = PsfKernel("elliptical", (1.0, 0.0, 1.0)), PsfKernel("elliptical", (1.3, 0.4, 1.0))
    assert distance(one, other) == pytest.approx(0.5)
    assert distance(one, one) == 0
    assert distance(PsfKernel(), PsfKernel("gaussian", (0.7,))) == pytest.approx(0.7)
