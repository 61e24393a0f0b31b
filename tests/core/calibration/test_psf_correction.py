"""The empirical correction, on stars of a PSF that no kernel gives."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from galstep.core.calibration.disc_fit import Frame
from galstep.core.calibration.field_stars import FieldStars
from galstep.core.calibration.kernel_verdict import borrow_kernel
from galstep.core.calibration.psf_correction import corrected_kernel, held_out_gain
from galstep.core.calibration.psf_discs import DiscEquations
from galstep.core.calibration.psf_stack import stack_stars
from galstep.core.psf.effective import EffectivePSF
from galstep.flags import BandFlag
from galstep.records import PsfKernel
from galstep.testing.star_frames import star_frame, star_positions

SIGMA = 1.15  # of the true PSF's core, pixels
KERNEL = PsfKernel("gaussian", (SIGMA**2 - 0.8**2,), errors=(0.01,), n_anchors=30)


def true_psf(dx, dy, lopsided=0.0, oval=0.0):
    """A Gaussian core with a lopsided and an elliptic part; sum 1, first moments 0.

    The lopsided part is orthogonal to a shift: stars stay where they are.
    """
    square = (dx**2 + dy**2) / SIGMA**2
    core = np.exp(-square / 2) / (2 * np.pi * SIGMA**2)
    side = (12 - 9 * square + square**2) * dx / SIGMA
    return core * (1 + lopsided * side + oval * (dx**2 - dy**2) / SIGMA**2)


@cache
def frame_of(lopsided=0.0, oval=0.0, seed=0, n_stars=24):
    shape, rng = (170, 170), np.random.default_rng(seed)
    x, y = star_positions(rng, n_stars, shape, 22.0, border=14.0)
    flux = rng.uniform(200, 900, n_stars)
    sigma = 0.15
    image = star_frame(shape, lambda dx, dy: true_psf(dx, dy, lopsided, oval), x, y, flux)
    image += rng.normal(0, sigma, shape)
    yy, xx = np.indices((81, 81)) / 4 - 10
    library = np.exp(-(xx**2 + yy**2) / (2 * 0.8**2))
    frame = Frame(
        image, np.full(shape, sigma**2), np.ones(shape, bool), EffectivePSF.from_array(library, 4)
    )
    return frame, FieldStars(x, y, flux)


def corrected(kernel=KERNEL, when="auto", anchors=24, **psf):
    frame, stars = frame_of(**psf)
    return corrected_kernel(frame, kernel, stars, np.arange(anchors), when)


def test_a_lopsided_oval_psf_is_found():
    frame, stars = frame_of(lopsided=0.005, oval=0.03)
    kernel = corrected(lopsided=0.005, oval=0.03)
    correction = kernel.correction
    assert correction.gain > 10 * correction.gain_err > 0
    library = frame.library
    psf, plain = (library.convolved(k).array for k in (kernel, KERNEL))
    y, x = ((np.arange(n) - (n - 1) / 2) / 4 for n in psf.shape)
    truth = true_psf(x, y[:, None], 0.005, 0.03) / 16
    before, after = (np.abs(p - truth).max() / truth.max() for p in (plain, psf))
    assert before > 0.02
    assert after < 0.006
    assert psf.min() > -1e-3 * psf.max()
    stack = stack_stars(frame, kernel, stars, np.arange(24))
    assert stack.rms_after < 0.6 * stack_stars(frame, KERNEL, stars, np.arange(24)).rms_after


def test_a_psf_that_is_right_is_left_alone():
    assert all(corrected(seed=seed) == KERNEL for seed in range(3))


@pytest.mark.parametrize("n_odd", [4, 5])
def test_a_defect_that_few_anchors_share_is_not_the_psf(n_odd):
    """Four or five of 24 are oval the same way, galaxies among the stars, and the brightest.

    They confirm one another, the others do not: a gain of about one scatter.
    """
    frame, stars = frame_of()
    odd = np.arange(24) < n_odd
    flux = np.where(odd, 3000.0, stars.flux)
    image = frame.image.copy()
    image += star_frame(image.shape, true_psf, stars.x[odd], stars.y[odd], (flux - stars.flux)[odd])
    image += star_frame(
        image.shape,
        lambda dx, dy: true_psf(dx, dy, oval=0.01) - true_psf(dx, dy),
        stars.x[odd],
        stars.y[odd],
        flux[odd],
    )
    seen = replace(frame, image=image)
    known = FieldStars(stars.x, stars.y, flux)
    assert corrected_kernel(seen, KERNEL, known, np.arange(24)) == KERNEL
    # where all are, it is the PSF
    assert corrected(oval=0.03).correction is not None


def test_none_is_none_and_always_is_always():
    assert corrected(when="none", oval=0.03) == KERNEL
    kernel = corrected(when="always")
    correction = kernel.correction
    # nothing to gain: what noise makes of it is small, within its error
    assert abs(correction.gain) < 5 * correction.gain_err
    assert np.abs(correction.coefficients).max() < 0.01
    assert replace(kernel, correction=None) == KERNEL


def test_few_or_doubtful_stars_give_no_correction():
    doubtful = replace(KERNEL, flags=int(BandFlag.PSF_CONFUSED))
    assert corrected(anchors=7, oval=0.03) == KERNEL
    assert corrected(kernel=doubtful, oval=0.03) == doubtful
    assert corrected(kernel=doubtful, when="always", oval=0.03).correction is not None
    unmeasured = PsfKernel(flags=int(BandFlag.PSF_NOT_CALIBRATED))
    assert corrected(kernel=unmeasured, when="always", oval=0.03) == unmeasured


def test_a_correction_is_not_borrowed():
    library = frame_of()[0].library
    kernel = corrected(when="always")
    missing = PsfKernel(flags=int(BandFlag.PSF_NOT_CALIBRATED), reason="no stars")
    borrowed = borrow_kernel(library, missing, {"F150W": (library, kernel)})
    assert borrowed.parameters == kernel.parameters
    assert borrowed.correction is None


def test_corrected_psf_is_never_clearly_negative():
    kernel = corrected(when="always", lopsided=0.2)
    psf = frame_of(lopsided=0.2)[0].library.convolved(kernel)
    assert psf.array.min() > -6e-4 * psf.array.max()
    # such a PSF can be written and read again
    EffectivePSF.from_array(psf.array, 4)


def test_gain_is_tested_on_other_discs():
    """Discs that contradict one another: each fit fails on the next."""
    matrix = np.tile(np.eye(2) * 1e4, (12, 1, 1))
    gradient = 100.0 * np.array([[(-1.0) ** k, 0.0] for k in range(12)])
    contradicting = DiscEquations(matrix, gradient)
    assert held_out_gain(contradicting, 0.01).gain < 0
    agreeing = DiscEquations(matrix, np.abs(gradient))
    test = held_out_gain(agreeing, 1.0)
    assert test.gain == pytest.approx(12.0, rel=1e-3)
    assert test.gain_err == pytest.approx(0.0, abs=1e-2)
