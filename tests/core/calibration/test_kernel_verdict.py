"""What a fitted kernel is worth, and what stands in for one that is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from galstep.core.calibration.kernel_verdict import borrow_kernel, unmeasured_kernel, variance_error
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import variance
from galstep.flags import BandFlag
from galstep.records import PsfKernel
from galstep.testing.psfs import default_psf

NARROW, WIDE = default_psf("F150W"), default_psf("F160W")
SMALL = PsfKernel("gaussian", (0.8,), (0.01,), 3.0, 30)
LARGE = PsfKernel("gaussian", (4.0,), (0.1,), 8.0, 20)


def effective(psf):
    return EffectivePSF.from_array(psf.sampled(4, 161), 4)


MEASURED = {"F150W": (effective(NARROW), SMALL), "F160W": (effective(WIDE), LARGE)}


def as_fit(kernel, white, sandwich=None):
    white = np.atleast_2d(white)
    sandwich = 0.5 * white if sandwich is None else np.atleast_2d(sandwich)
    return SimpleNamespace(kernel=kernel, covariance=white, sandwich=sandwich)


def test_larger_of_both_errors_counts():
    assert variance_error(as_fit(SMALL, 0.04, 0.01)) == pytest.approx(0.2)
    assert variance_error(as_fit(SMALL, 0.04, 0.09)) == pytest.approx(0.3)


def test_error_of_an_ellipses_mean_variance():
    covariance = np.array([[0.04, 0.0, 0.02], [0.0, 9.0, 0.0], [0.02, 0.0, 0.06]])
    error = variance_error(as_fit(PsfKernel("elliptical", (1.0, 0.0, 2.0)), covariance))
    assert error == pytest.approx(np.sqrt((0.04 + 0.06 + 2 * 0.02) / 4))


def test_error_of_a_moffats_variance():
    kernel, covariance = PsfKernel("moffat", (0.5, 1.0)), np.array([[0.04, 0.03], [0.03, 0.05]])
    draws = np.random.default_rng(0).multivariate_normal((0.5, 1.0), 1e-4 * covariance, 4000)
    scatter = np.std([variance(PsfKernel("moffat", tuple(draw))) for draw in draws])
    assert 0.01 * variance_error(as_fit(kernel, covariance)) == pytest.approx(scatter, rel=0.05)


def test_borrowed_kernel_is_that_of_the_most_similar_psf():
    missing = unmeasured_kernel(None, 1, "1 isolated bright stars")
    similar = effective(WIDE.blurred(0.5))
    kernel = borrow_kernel(similar, missing, MEASURED)
    assert kernel.parameters == LARGE.parameters
    assert kernel.flags == BandFlag.PSF_NOT_CALIBRATED | BandFlag.PSF_FROM_PRIOR
    assert kernel.reason == "1 isolated bright stars; kernel of F160W"
    assert kernel.n_anchors == 1
    # as badly known as the two that were measured differ
    assert kernel.errors[0] == pytest.approx(4.0 * np.log(5.0) / 2, rel=1e-6)
    assert kernel.fwhm == pytest.approx(WIDE.blurred(np.sqrt(0.25 + 4.0)).fwhm, rel=0.01)
    assert borrow_kernel(effective(NARROW), missing, MEASURED).parameters == SMALL.parameters


def test_nothing_is_borrowed_where_there_is_nothing():
    missing = unmeasured_kernel(None, 0, "no stars")
    assert borrow_kernel(effective(NARROW), missing, {}) is missing
    sharp = {"F160W": (effective(WIDE), PsfKernel(n_anchors=20))}
    kernel = borrow_kernel(effective(NARROW), missing, sharp)
    assert kernel.family == "none"
    assert kernel.flags == BandFlag.PSF_NOT_CALIBRATED
    assert kernel.reason == "no stars; no blur in F160W either"


def test_prior_stands_in_for_a_measurement():
    kernel = unmeasured_kernel(SMALL, 2, "2 isolated bright stars")
    assert kernel.parameters == SMALL.parameters
    assert kernel.flags == BandFlag.PSF_FROM_PRIOR
    assert kernel.n_anchors == 2
    assert kernel.reason == "2 isolated bright stars; kernel from the prior"
    known = unmeasured_kernel(SMALL, 2, "2 isolated bright stars", prior_error=0.1)
    assert known.errors == pytest.approx((0.16,), rel=1e-3)
