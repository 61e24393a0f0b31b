"""An empirical correction of the calibrated PSF, from the residuals of its stars.

A library PSF and a kernel of few parameters leave a few per cent of a star's
light: asymmetries of the optics, of the image's making, an ellipse. The stars
show them, as coefficients of a few smooth modes (`galstep.core.psf.modes`).
They are fitted with a Gaussian prior of width tau about zero (ridge): a
direction that the stars hardly tell, or one that is left to chance, stays out.
One of a few tau is taken, and the correction itself only, if it lowers the chi2
of stars that it was not fitted to, clearly: their anchors are split into folds,
each is tested with the correction from the others, and the sum of the gains
must exceed its scatter several times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.disc_fit import WorkingPsf
from galstep.core.calibration.psf_discs import disc_equations
from galstep.core.psf.kernel_families import FWHM_OF_SIGMA
from galstep.core.psf.modes import correction_array, mode_arrays, mode_shape
from galstep.flags import BandFlag
from galstep.records import PsfCorrection

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import Frame
    from galstep.core.calibration.field_stars import FieldStars
    from galstep.core.calibration.psf_discs import DiscEquations
    from galstep.records import PsfKernel

__all__ = ["HeldOut", "corrected_kernel", "held_out_gain"]

# Discs as far out as the modes matter.
RADIUS_IN_FWHM = 1.6
LEAST_RADIUS = 4.0
# Prior widths that are tried, as a share of the PSF.
STRENGTHS = (0.003, 0.006, 0.012, 0.025)
# Stars left out in turn: what counts is the residual of stars that a correction was not fitted
# to.
N_FOLDS = 10
LEAST_ANCHORS = 8
# A gain by so many times its scatter between stars is no chance.
SIGNIFICANT = 3.0
# The corrected PSF may be so far below zero, of its peak.
DEEPEST = 5e-4


@dataclass(frozen=True)
class HeldOut:
    """A test of corrections with one prior: the fall of chi2 on stars held out.

    ``strength`` is the prior's width, ``gain`` the sum over the anchors and
    ``gain_err`` its scatter, from that between them.
    """

    strength: float
    gain: float
    gain_err: float


def corrected_kernel(
    frame: Frame, kernel: PsfKernel, stars: FieldStars, anchors: np.ndarray, when: str = "auto"
) -> PsfKernel:
    """The kernel with an empirical correction, if there is a case for one.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    kernel : PsfKernel
        As it is quoted, flags included.
    stars : galstep.core.calibration.field_stars.FieldStars
        All stars, total fluxes, as fitted with it.
    anchors : ndarray of int
        Indices of the anchors.
    when : {"auto", "always", "none"}, optional
        ``"auto"``: if a kernel was measured without reserve (no flag), on at
        least 8 anchors, and the correction lowers the residual of stars held
        out. ``"always"``: without these tests, wherever stars were measured.

    Returns
    -------
    PsfKernel
    """
    measured = not kernel.flags & int(BandFlag.PSF_NOT_CALIBRATED) and len(anchors) > 0
    sound = not kernel.flags and len(anchors) >= LEAST_ANCHORS
    if when == "none" or not (sound if when == "auto" else measured):
        return kernel
    working = WorkingPsf(frame.library, kernel)
    psf = working.renderer.psf
    scale = working.fwhm / FWHM_OF_SIGMA
    modes = mode_arrays(mode_shape(psf.array.shape, psf.oversample, scale), psf.oversample, scale)
    radius = max(LEAST_RADIUS, RADIUS_IN_FWHM * working.fwhm)
    equations = disc_equations(frame, working, stars, anchors, modes, radius)
    best = max((held_out_gain(equations, s) for s in STRENGTHS), key=lambda test: test.gain)
    if when == "auto" and not best.gain > SIGNIFICANT * best.gain_err:
        return kernel
    correction = PsfCorrection(
        scale=float(scale),
        coefficients=_floats(_coefficients(equations, best.strength)),
        gain=best.gain,
        gain_err=best.gain_err,
    )
    return replace(kernel, correction=_not_negative(correction, psf))


def held_out_gain(equations: DiscEquations, strength: float) -> HeldOut:
    """By how much corrections lower chi2 on stars that they were not fitted to.

    Parameters
    ----------
    equations : galstep.core.calibration.psf_discs.DiscEquations
    strength : float
        Width of the prior of each coefficient.

    Returns
    -------
    HeldOut
    """
    n_discs = len(equations.gradient)
    fold = np.arange(n_discs) % N_FOLDS
    gains = np.zeros(n_discs)
    for k in range(min(N_FOLDS, n_discs)):
        gains[fold == k] = equations.gain(_coefficients(equations, strength, fold != k))[fold == k]
    return HeldOut(strength, float(gains.sum()), float(gains.std() * np.sqrt(n_discs)))


def _coefficients(equations, strength, which=slice(None)):
    """Most probable coefficients from some discs; ridge regression."""
    matrix = equations.matrix[which].sum(axis=0)
    return np.linalg.solve(
        matrix + np.eye(len(matrix)) / strength**2, equations.gradient[which].sum(axis=0)
    )


def _not_negative(correction, psf):
    """The correction, made smaller where the PSF would be clearly negative."""
    change = correction_array(psf.array.shape, psf.oversample, correction)
    floor = np.minimum(psf.array, 0.0) - DEEPEST * psf.array.max()
    down = change < 0
    factor = min(1.0, float(((floor - psf.array)[down] / change[down]).min(initial=1.0)))
    return replace(correction, coefficients=_floats(factor * np.array(correction.coefficients)))


def _floats(values):
    return tuple(float(value) for value in values)
