"""What a fitted kernel is worth: blur or none, PSF or crowd, measured or prior."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.calibration.disc_fit import WorkingPsf, fit_discs, gain_of_kernel
from galstep.core.psf.kernel_families import (
    kernel_of_variance,
    scaled_kernel,
    variance,
    with_covariance,
    with_scale_error,
)
from galstep.flags import BandFlag
from galstep.records import PsfKernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.core.calibration.disc_fit import DiscFit, Frame
    from galstep.core.calibration.kernel_bootstrap import Bootstrap
    from galstep.core.calibration.kernel_fit import KernelFit
    from galstep.core.calibration.options import CalibrationOptions
    from galstep.core.psf.effective import EffectivePSF

__all__ = [
    "borrow_kernel",
    "guessed_kernel",
    "judge_kernel",
    "unmeasured_kernel",
    "variance_error",
]

# With fewer anchors a prior, where there is one, takes its share.
FEW_ANCHORS = 8
# A kernel of so many sigma needs no test against none.
PLAIN_SIGMA = 6.0
# Error of a prior of no blur, px^2: what a relative error cannot say.
LEAST_PRIOR_ERROR = 0.02
# The confusion test: a kernel that grows from discs of 1 to discs of 2 FWHM has measured
# neighbours.
GROWTH_RADII = (1.0, 2.0)
GROWTH_STEPS = 2
# Error of a borrowed kernel's variance, relative: the scatter between the
# filters' own, within this range.
BORROWED_ERROR = (0.5, 1.0)


def variance_error(fit: KernelFit) -> float:
    """1 sigma of a fitted kernel's variance per axis (px^2).

    The larger of the errors for white noise and from the scatter between the
    discs.

    Parameters
    ----------
    fit : galstep.core.calibration.kernel_fit.KernelFit

    Returns
    -------
    float
    """
    gradient = _variance_gradient(fit.kernel)
    return float(np.sqrt(gradient @ _covariance(fit) @ gradient))


def _variance_gradient(kernel):
    """Derivatives of the variance with respect to the fitted parameters."""
    if kernel.family == "elliptical":
        return np.array([0.5, 0.0, 0.5])
    if kernel.family != "moffat":
        return np.ones(1)
    step, values = 1e-4, []
    for moved in np.array(kernel.parameters) + step * np.eye(2):
        values.append(variance(replace(kernel, parameters=tuple(moved))))
    return (np.array(values) - variance(kernel)) / step


def _covariance(fit):
    return max(fit.covariance, fit.sandwich, key=np.trace)


def _excess(fit):
    """Variance of the kernel over that for white noise, at least 1."""
    return max(1.0, np.trace(fit.sandwich) / np.trace(fit.covariance))


def judge_kernel(
    frame: Frame,
    discs: DiscFit,
    kernel: PsfKernel,
    start: PsfKernel | None,
    options: CalibrationOptions,
    how: dict[str, Any],
) -> tuple[PsfKernel, float]:
    """The kernel that is quoted, with errors, flags and a reason.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    discs : galstep.core.calibration.disc_fit.DiscFit
        The last fit.
    kernel : PsfKernel
        That of the fit, its growth bounded.
    start : PsfKernel or None
        The prior.
    options : galstep.core.calibration.options.CalibrationOptions
    how : dict
        Keywords of `fit_discs`.

    Returns
    -------
    kernel : PsfKernel
        All but its ``fwhm``.
    growth : float
        Relative change of the PSF's FWHM from discs of 1 to discs of 2 FWHM,
        NaN if there is no kernel.
    """
    fit, n_anchors = discs.result, len(discs.anchors)
    error, few = variance_error(fit), n_anchors < FEW_ANCHORS
    if variance(kernel) < PLAIN_SIGMA * error and not (few and start is not None):
        gain = gain_of_kernel(frame, discs) / _excess(fit)
        if gain < options.min_delta_chi2:
            reason = f"no blur: chi2 falls by {gain:.1f}, {options.min_delta_chi2:g} are needed"
            return PsfKernel(errors=(error,), n_anchors=n_anchors, reason=reason), np.nan
    growth = _growth(frame, discs, kernel, how)
    flags, reasons = _crowding(growth, fit.kernel, kernel, options)
    covariance = _covariance(fit)
    if start is not None and (few or flags):
        kernel, shrunk = _with_prior(kernel, error, start, options.prior_error)
        covariance = covariance * (shrunk / error) ** 2
        flags |= BandFlag.PSF_FROM_PRIOR
        reasons.append(f"combined with the prior ({n_anchors} anchors)")
    kernel = replace(
        with_covariance(kernel, covariance),
        n_anchors=n_anchors,
        flags=int(flags),
        reason="; ".join(reasons),
    )
    return kernel, growth


def _growth(frame, discs, kernel, how):
    widths = []
    for radius in GROWTH_RADII:
        # from where the fit ended it is not far
        keywords = {**how, "radius_in_fwhm": radius, "max_steps": GROWTH_STEPS, "errors": False}
        again = fit_discs(
            frame, discs.working, discs.stars, discs.anchors, kernel=kernel, **keywords
        )
        widths.append(WorkingPsf(frame.library, again.result.kernel).fwhm)
    return widths[1] / widths[0] - 1.0


def _crowding(growth, fitted, kernel, options):
    """Flags and reasons of a kernel that has taken the crowd for the PSF."""
    flags, reasons = 0, []
    if growth > options.confusion:
        flags |= BandFlag.PSF_CONFUSED
        reasons.append(f"FWHM grows by {100 * growth:.1f} % from discs of 1 to 2 FWHM")
    if variance(fitted) > 1.001 * variance(kernel):
        flags |= BandFlag.PSF_CONFUSED
        reasons.append(f"it still grew by more than {100 * options.max_growth:.0f} % in a loop")
    return flags, reasons


def _with_prior(kernel, error, prior, relative_error):
    """Weighted mean of the measured variance and the prior's, and its error."""
    measured, expected = variance(kernel), variance(prior)
    prior_error = max(2.0 * relative_error * expected, LEAST_PRIOR_ERROR)
    weights = np.array([error, prior_error]) ** -2.0
    mean = float(np.average([measured, expected], weights=weights))
    if measured > 0:
        kernel = scaled_kernel(kernel, mean / measured)
    else:
        kernel = kernel_of_variance(kernel.family, mean, *kernel.parameters[1:2])
    return kernel, float(weights.sum() ** -0.5)


def unmeasured_kernel(
    start: PsfKernel | None, n_anchors: int, reason: str, prior_error: float = 0.0
) -> PsfKernel:
    """The prior if there is one, else none: flagged, with the reason.

    Parameters
    ----------
    start : PsfKernel or None
        The prior.
    n_anchors : int
    reason : str
        Why nothing was measured.
    prior_error : float, optional
        Relative error of the prior's sigma.

    Returns
    -------
    PsfKernel
        All but its ``fwhm``.
    """
    if start is None:
        flag, kernel = BandFlag.PSF_NOT_CALIBRATED, PsfKernel()
    else:
        flag, reason = BandFlag.PSF_FROM_PRIOR, f"{reason}; kernel from the prior"
        kernel = with_scale_error(start, 2 * prior_error) if prior_error else start
    return replace(kernel, n_anchors=n_anchors, flags=int(flag), reason=reason)


def guessed_kernel(bootstrap: Bootstrap, n_anchors: int, reason: str) -> PsfKernel:
    """The best of a grid of widths, where no star is alone: flagged, with the reason.

    Parameters
    ----------
    bootstrap : galstep.core.calibration.kernel_bootstrap.Bootstrap
    n_anchors : int
    reason : str
        Why nothing better was measured.

    Returns
    -------
    PsfKernel
        All but its ``fwhm``.
    """
    return replace(
        bootstrap.kernel,
        n_anchors=n_anchors,
        flags=int(BandFlag.PSF_BOOTSTRAPPED),
        reason=f"{reason}; best of a grid of widths for {bootstrap.n_stars} bright stars",
    )


def borrow_kernel(
    library: EffectivePSF, kernel: PsfKernel, measured: Mapping[str, tuple[EffectivePSF, PsfKernel]]
) -> PsfKernel:
    """A kernel for a filter without a measurement, from its neighbours.

    The kernel of the filter whose library PSF has the most similar FWHM is
    taken, in pixels, as it is. What blurs a library PSF (detector, resampling)
    is alike in filters that are alike; the result remains a guess, whose error
    is the scatter between the filters.

    Parameters
    ----------
    library : galstep.core.psf.effective.EffectivePSF
        The filter's library PSF.
    kernel : PsfKernel
        What its calibration gave; keeps its reason.
    measured : dict of str to (EffectivePSF, PsfKernel)
        Library PSF and measured kernel of other filters.

    Returns
    -------
    PsfKernel
        With the flags ``PSF_NOT_CALIBRATED`` and ``PSF_FROM_PRIOR``; as it was,
        but for the reason, if ``measured`` is empty or shows no blur there.
    """
    if not measured:
        return kernel
    own = np.log(library.fwhm)
    name = min(measured, key=lambda n: abs(np.log(measured[n][0].fwhm) - own))
    taken = measured[name][1]
    if taken.family == "none":
        return replace(kernel, reason=f"{kernel.reason}; no blur in {name} either")
    return replace(
        with_scale_error(taken, _scatter([k for _, k in measured.values()])),
        fwhm=WorkingPsf(library, taken).fwhm,
        n_anchors=kernel.n_anchors,
        correction=None,  # that of other optics
        flags=int(BandFlag.PSF_NOT_CALIBRATED | BandFlag.PSF_FROM_PRIOR),
        reason=f"{kernel.reason}; kernel of {name}",
    )


def _scatter(kernels):
    """Relative scatter of the variances of some kernels, within `BORROWED_ERROR`."""
    sizes = [variance(kernel) for kernel in kernels if variance(kernel) > 0]
    return float(np.clip(np.std(np.log(sizes)), *BORROWED_ERROR))
