"""The modes of a PSF's correction: what they must keep, and what they add."""

import numpy as np
import pytest

from galstep.core.psf.cache import displaced_psfs, effective_psf
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.modes import MODES, correction_array, mode_arrays
from galstep.exceptions import ParameterError
from galstep.records import PsfCorrection, PsfKernel
from galstep.testing.psfs import default_psf

PSF = default_psf("F150W").sampled(4, 121)
COEFFICIENTS = tuple(0.01 * np.random.default_rng(1).normal(size=len(MODES)))


@pytest.mark.parametrize("shape", [(81, 81), (80, 82), (81, 40)])
def test_sum_and_first_moments_are_zero(shape):
    modes = mode_arrays(shape, 4, 1.1)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    peak = np.abs(modes).max()
    assert np.abs(modes.sum(axis=(1, 2))).max() < 1e-12 * peak
    assert np.abs((modes * x).sum(axis=(1, 2))).max() < 1e-10 * peak
    assert np.abs((modes * y[:, None]).sum(axis=(1, 2))).max() < 1e-10 * peak


def test_norm_is_that_of_a_gaussian_psf():
    modes, sigma = mode_arrays((161, 161), 4, 1.3), 1.3
    y, x = np.indices((161, 161)) / 4 - 20
    gaussian = np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2 * 16)
    np.testing.assert_allclose(np.square(modes).sum(axis=(1, 2)), np.square(gaussian).sum(), 1e-6)


def test_modes_have_the_symmetry_of_their_number():
    """A turn by a full period of the angle changes nothing."""
    modes = mode_arrays((121, 121), 4, 1.3)
    for mode, (_, m, _) in zip(modes, MODES, strict=True):
        turned = np.rot90(mode, 2)
        np.testing.assert_allclose(turned, mode * (-1) ** m, atol=1e-9 * np.abs(mode).max())


def test_correction_does_not_depend_on_the_size_of_the_array():
    correction = PsfCorrection(0.9, COEFFICIENTS)
    small = correction_array((101, 101), 4, correction)
    large = correction_array((181, 171), 4, correction)
    # the modes are cut where they are 1e-6 of their peak
    np.testing.assert_allclose(large[40:141, 35:136], small, atol=1e-6 * np.abs(small).max())
    assert large.sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kernel", [PsfKernel(), PsfKernel("gaussian", (0.6,))])
def test_effective_psf_carries_the_correction(kernel):
    correction = PsfCorrection(0.9, COEFFICIENTS)
    corrected = PsfKernel(kernel.family, kernel.parameters, correction=correction)
    library = EffectivePSF.from_array(PSF, 4)
    plain, psf = library.convolved(kernel), effective_psf(PSF, 4, corrected)
    assert psf.array.sum() == pytest.approx(1.0)
    y, x = np.indices(psf.array.shape)
    for axis in (x, y):
        assert (psf.array * axis).sum() == pytest.approx((plain.array * axis).sum(), abs=1e-9)
    change = correction_array(plain.array.shape, 4, correction)
    np.testing.assert_allclose(psf.array - plain.array, change, atol=1e-15)
    np.testing.assert_array_equal(library.convolved_with_derivatives(corrected)[0].array, psf.array)


def test_flux_position_and_width_of_a_star_are_left_alone():
    """Modes are orthogonal to what a star and a Gaussian kernel can do."""
    scale, shape = 1.2, (121, 121)
    modes = mode_arrays(shape, 4, scale)
    y, x = (np.indices(shape) - 60) / 4 / scale
    gaussian = np.exp(-(x**2 + y**2) / 2)
    for change in (gaussian, x * gaussian, y * gaussian, (x**2 + y**2) * gaussian):
        norms = np.sqrt(np.square(modes).sum(axis=(1, 2)) * np.square(change).sum())
        products = np.tensordot(modes, change, axes=2) / norms
        np.testing.assert_allclose(products, 0.0, atol=1e-6)


def test_displaced_psfs_keep_the_correction():
    correction = PsfCorrection(0.9, COEFFICIENTS)
    kernel = PsfKernel("gaussian", (0.6,), errors=(0.02,), correction=correction)
    (by_width,) = (psf.array for psf in displaced_psfs(PSF, 4, kernel))
    wider = EffectivePSF.from_array(PSF, 4).convolved(PsfKernel("gaussian", (0.62,)))
    change = correction_array(wider.array.shape, 4, correction)
    np.testing.assert_allclose(by_width, wider.array + change, atol=1e-12)


@pytest.mark.parametrize(
    ("correction", "message"),
    [
        (PsfCorrection(1.0, (0.1, 0.2)), "needs 18 coefficients and a positive scale, not 2 and 1"),
        (PsfCorrection(0.0, COEFFICIENTS), "not 18 and 0"),
    ],
)
def test_impossible_corrections_are_told(correction, message):
    with pytest.raises(ParameterError, match=message):
        correction_array((81, 81), 4, correction)
