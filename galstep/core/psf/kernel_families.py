"""Kernel families as the fit sees them: start, limits, size.

`galstep.core.psf.effective` knows what a kernel does to a PSF; here stands how its
parameters may move. The Gaussian's is sigma^2, not sigma: the derivative with
respect to sigma vanishes at no blur, where a fit in sigma would stick.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from galstep.exceptions import ParameterError
from galstep.records import PsfKernel

__all__ = [
    "FAMILIES",
    "FWHM_OF_SIGMA",
    "bounded_step",
    "displaced_kernels",
    "distance",
    "kernel_of_variance",
    "n_free",
    "scaled_kernel",
    "variance",
    "with_covariance",
    "with_scale_error",
]

#: FWHM of a Gaussian over its sigma, sqrt(8 ln 2), as far as kernels and discs need it.
FWHM_OF_SIGMA = 2.3548
FAMILIES = ("gaussian", "elliptical", "moffat", "drizzle")

# ln(beta - 1) at the start, and its range: a core with wings ... a Gaussian
START_LN_SLOPE = np.log(3.0)
LN_SLOPE_RANGE = (np.log(0.5), np.log(20.0))
# ln of the core radius in pixels: 0.14 to 20.
LN_ALPHA_RANGE = (-2.0, 3.0)
# Longest step of a variance (px^2), and of a logarithm; a variance falls by no more than to
# LEAST_RATIO of itself.
MAX_VARIANCE_STEP = 1.0
MAX_LOG_STEP = 0.3
LEAST_RATIO = 0.3


def kernel_of_variance(family: str, variance: float, width: float = 1.0) -> PsfKernel:
    """A kernel of a family with the given variance per axis.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    variance : float
        Variance per axis, px^2 (a Moffat's is that of the Gaussian of the
        same FWHM).
    width : float, optional
        Side of the drizzle family's square, pixels.

    Returns
    -------
    PsfKernel

    Raises
    ------
    ParameterError
        If the family is not known.
    """
    if family == "gaussian":
        parameters: tuple[float, ...] = (variance,)
    elif family == "elliptical":
        parameters = (variance, 0.0, variance)
    elif family == "moffat":
        sigma = np.sqrt(max(variance, 1e-4))
        ln_alpha = np.log(FWHM_OF_SIGMA * sigma) - np.log(_moffat_fwhm(START_LN_SLOPE))
        parameters = (float(ln_alpha), float(START_LN_SLOPE))
    elif family == "drizzle":
        parameters = (max(variance - width**2 / 12, 0.0), width)
    else:
        raise ParameterError(f"kernel family must be one of {FAMILIES}, got {family!r}")
    return PsfKernel(family, parameters)


def _moffat_fwhm(ln_slope):
    """FWHM of a Moffat with alpha = 1: 2 sqrt(2^(1/beta) - 1)."""
    return 2 * np.sqrt(2 ** (1 / (1 + np.exp(ln_slope))) - 1)


def variance(kernel: PsfKernel) -> float:
    """Variance per axis of a kernel (px^2), as in `kernel_of_variance`.

    Parameters
    ----------
    kernel : PsfKernel

    Returns
    -------
    float
        0 for the family ``none``.
    """
    p = kernel.parameters
    if kernel.family == "none":
        return 0.0
    if kernel.family == "elliptical":
        return (p[0] + p[2]) / 2
    if kernel.family == "moffat":
        return float((np.exp(p[0]) * _moffat_fwhm(p[1]) / FWHM_OF_SIGMA) ** 2)
    return p[0] + (p[1] ** 2 / 12 if kernel.family == "drizzle" else 0.0)


def distance(first: PsfKernel, second: PsfKernel) -> float:
    """How far apart two kernels are.

    Parameters
    ----------
    first, second : PsfKernel

    Returns
    -------
    float
        Root of the summed squared differences of their parameters (px^2, or
        logarithms for a Moffat); of two families the difference of the
        variances.
    """
    if first.family != second.family:
        return abs(variance(first) - variance(second))
    return float(np.linalg.norm(np.subtract(first.parameters, second.parameters)))


def n_free(family: str) -> int:
    """Number of fitted parameters: the drizzle width is given, not fitted."""
    return {"none": 0, "gaussian": 1, "elliptical": 3, "moffat": 2, "drizzle": 1}[family]


def scaled_kernel(kernel: PsfKernel, factor: float) -> PsfKernel:
    """The same kernel with ``factor`` times the variance per axis."""
    if kernel.family == "moffat":
        ln_alpha, ln_slope = kernel.parameters
        return replace(kernel, parameters=(ln_alpha + 0.5 * float(np.log(factor)), ln_slope))
    if kernel.family == "drizzle":
        spread = factor * variance(kernel) - kernel.parameters[1] ** 2 / 12
        return replace(kernel, parameters=(max(spread, 0.0), kernel.parameters[1]))
    return replace(kernel, parameters=tuple(factor * p for p in kernel.parameters))


def with_covariance(kernel: PsfKernel, covariance: np.ndarray) -> PsfKernel:
    """The kernel with errors, and their correlation if it has several.

    Parameters
    ----------
    kernel : PsfKernel
    covariance : (n, n) array
        Of its first n parameters, those that were fitted; the others have no error.

    Returns
    -------
    PsfKernel
    """
    errors = [float(error) for error in np.sqrt(np.diag(covariance))]
    errors += [0.0] * (len(kernel.parameters) - len(errors))
    matrix = tuple(float(value) for value in np.ravel(covariance)) if len(covariance) > 1 else ()
    return replace(kernel, errors=tuple(errors), covariance=matrix)


def with_scale_error(kernel: PsfKernel, relative: float) -> PsfKernel:
    """The kernel with an error of its size alone.

    Parameters
    ----------
    kernel : PsfKernel
    relative : float
        Relative error of the variance per axis.

    Returns
    -------
    PsfKernel
    """
    n, step = n_free(kernel.family), 1e-3
    moved = np.subtract(scaled_kernel(kernel, 1 + step).parameters, kernel.parameters)[:n]
    return with_covariance(kernel, np.outer(moved, moved) * (relative / step) ** 2)


def displaced_kernels(kernel: PsfKernel | None) -> list[PsfKernel]:
    """The kernel moved by one sigma along each independent direction of its errors.

    Parameters
    ----------
    kernel : PsfKernel or None

    Returns
    -------
    list of PsfKernel
        Without errors. The directions are the principal axes of the covariance,
        or the parameters if they are not correlated. Kernels stay within what
        a fit may give. No kernel, if it was measured to be none, becomes a
        Gaussian as wide as its error.
    """
    if kernel is None or not kernel.errors:
        return []
    if kernel.family == "none":
        return [PsfKernel("gaussian", kernel.errors)]
    errors = np.nan_to_num(kernel.errors, nan=0.0, posinf=0.0)
    if kernel.covariance:
        n = n_free(kernel.family)
        values, vectors = np.linalg.eigh(np.reshape(kernel.covariance, (n, n)))
        axes = (vectors * np.sqrt(np.clip(values, 0.0, None))).T
        # of n directions those that are there but for rounding
        axes = axes[values > 1e-12 * values.max()]
    else:
        axes = np.diag(errors)[errors > 0]
    return [_moved(kernel, axis) for axis in axes]


def _moved(kernel, axis):
    old = np.array(kernel.parameters, float)
    new = old.copy()
    new[: len(axis)] += axis if axis.sum() >= 0 else -axis
    if kernel.family == "moffat":
        return _bounded_moffat(new)
    _bound_variances(kernel.family, new, (0.0, 0.0, 0.0))
    return PsfKernel(kernel.family, tuple(float(value) for value in new))


def bounded_step(kernel: PsfKernel, step: np.ndarray) -> PsfKernel:
    """The kernel after a Gauss-Newton step, held within reason.

    A variance moves by at most 1 px^2 and falls to no less than 0.3 of its
    last value until it is near zero; logarithms move by at most 0.3. Negative
    variances are cut at 0: there lies "no blur", and the derivative does not
    vanish there. A step that is too long keeps its direction.

    Parameters
    ----------
    kernel : PsfKernel
    step : ndarray, shape (n_free,)

    Returns
    -------
    PsfKernel
    """
    old = np.array(kernel.parameters, float)
    limit = MAX_LOG_STEP if kernel.family == "moffat" else MAX_VARIANCE_STEP
    new = old.copy()
    new[: len(step)] += step * min(1.0, limit / max(np.abs(step).max(), 1e-300))
    if kernel.family == "moffat":
        return _bounded_moffat(new)
    _bound_variances(kernel.family, new, np.where(old > 0.05, LEAST_RATIO * old, 0.0))
    return replace(kernel, parameters=tuple(float(p) for p in new))


def _bound_variances(family, values, floors):
    """Hold the variances at or above their floors, in place, and an ellipse an ellipse."""
    for k in (0, 2) if family == "elliptical" else (0,):
        values[k] = max(values[k], floors[k])
    if family == "elliptical":
        most = 0.9 * np.sqrt(values[0] * values[2])
        values[1] = np.clip(values[1], -most, most)


def _bounded_moffat(parameters):
    """A Moffat kernel whose slope is cut keeps the width that was meant.

    The data know the width well and the slope hardly: cutting the slope alone
    would change the width.
    """
    ln_alpha, ln_slope = parameters
    ln_width = ln_alpha + np.log(_moffat_fwhm(ln_slope))
    ln_slope = np.clip(ln_slope, *LN_SLOPE_RANGE)
    ln_alpha = np.clip(ln_width - np.log(_moffat_fwhm(ln_slope)), *LN_ALPHA_RANGE)
    return PsfKernel("moffat", (float(ln_alpha), float(ln_slope)))
