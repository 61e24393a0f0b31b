"""Kernels that turn a library PSF into the effective PSF: their transforms.

A kernel is given by its Fourier transform K(f_x, f_y), frequencies in cycles
per native pixel, K(0) = 1; real and even, so that it moves no centroid. The
families and their parameters are those of `galstep.records.PsfKernel`:

============  =============================================================
gaussian      exp(-2 pi^2 sigma^2 f^2)
elliptical    exp(-2 pi^2 (s_xx f_x^2 + 2 s_xy f_x f_y + s_yy f_y^2))
moffat        2 (x/2)^nu K_nu(x) / Gamma(nu), x = 2 pi alpha f, nu = beta - 1
drizzle       sinc(w f_x) sinc(w f_y) exp(-2 pi^2 sigma^2 f^2)
============  =============================================================

The Moffat transform is that of (1 + r^2/alpha^2)^(-beta) (Abramowitz & Stegun
9.6.25 applied to the Hankel integral). A Gaussian variance may be a little
negative, which sharpens: down to -0.1 px^2, where K at the corner of the band
of a 4x oversampled PSF has grown to 7e6. What a fit has use for is -0.02.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import gammaln, kv

from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from galstep.records import PsfKernel

__all__ = ["kernel_reach", "kernel_transform", "kernel_transform_derivatives"]

_N_PARAMETERS = {"none": 0, "gaussian": 1, "elliptical": 3, "moffat": 2, "drizzle": 2}
_MIN_VARIANCE = -0.1  # native px^2
_GAUSSIAN_REACH = 5.5  # sigmas: 3e-7 of the light is outside
# Where a kernel is cut; it is normalised afterwards.
_MOFFAT_LIGHT_OUTSIDE = 1e-4


def _parameters(kernel):
    expected = _N_PARAMETERS.get(kernel.family)
    if expected is None:
        raise ParameterError(
            f"kernel family must be one of {', '.join(_N_PARAMETERS)}, not {kernel.family!r}"
        )
    values = np.asarray(kernel.parameters, dtype=float)
    if values.shape != (expected,) or not np.isfinite(values).all():
        raise ParameterError(
            f"a {kernel.family} kernel needs {expected} finite parameters, not {kernel.parameters}"
        )
    if kernel.family == "drizzle" and values[1] < 0:
        raise ParameterError(f"the width of a drizzle kernel must be >= 0 px, not {values[1]:g}")
    smallest = _smallest_variance(kernel.family, values)
    if smallest < _MIN_VARIANCE:
        raise ParameterError(
            f"the variance of a {kernel.family} kernel must be at least {_MIN_VARIANCE} px^2, "
            f"not {smallest:g}"
        )
    return values


def _smallest_variance(family, values):
    if family in ("gaussian", "drizzle"):
        return values[0]
    if family == "elliptical":
        return np.linalg.eigvalsh([[values[0], values[1]], [values[1], values[2]]])[0]
    return 0.0


def kernel_reach(kernel: PsfKernel, limit: float) -> float:
    """How far a kernel carries light, in native pixels.

    Parameters
    ----------
    kernel : PsfKernel
    limit : float
        An upper bound for kernels with power-law wings (native pixels).

    Returns
    -------
    float
        5.5 sigma of a Gaussian (major axis); half the diagonal of the top-hat
        added for "drizzle"; for "moffat" the radius outside which 1e-4 of the
        light lies, at most ``limit``.
    """
    values = _parameters(kernel)
    if kernel.family == "none":
        return 0.0
    if kernel.family == "moffat":
        alpha, power = np.exp(values)
        radius = alpha * np.sqrt(_MOFFAT_LIGHT_OUTSIDE ** (-1 / power) - 1)
        return float(min(radius, limit))
    if kernel.family == "elliptical":
        eigenvalues = np.linalg.eigvalsh([[values[0], values[1]], [values[1], values[2]]])
        variance = np.abs(eigenvalues).max()
    else:
        variance = abs(values[0])
    reach = _GAUSSIAN_REACH * np.sqrt(variance)
    if kernel.family == "drizzle":
        reach += values[1] / 2
    return float(reach)


def kernel_transform(kernel: PsfKernel, f_x: np.ndarray, f_y: np.ndarray) -> np.ndarray:
    """K(f_x, f_y) of a kernel.

    Parameters
    ----------
    kernel : PsfKernel
    f_x, f_y : array
        Frequencies in cycles per native pixel; broadcast against each other.

    Returns
    -------
    array

    Raises
    ------
    ParameterError
        Unknown family, wrong number of parameters, value out of range.
    """
    values = _parameters(kernel)
    if kernel.family == "none":
        return np.ones(np.broadcast_shapes(np.shape(f_x), np.shape(f_y)))
    if kernel.family == "moffat":
        return _moffat_transform(*values, np.hypot(f_x, f_y))  # type: ignore[call-arg]
    if kernel.family == "elliptical":
        s_xx, s_xy, s_yy = values
        return np.exp(-2 * np.pi**2 * (s_xx * f_x**2 + 2 * s_xy * f_x * f_y + s_yy * f_y**2))
    gaussian = np.exp(-2 * np.pi**2 * values[0] * (f_x**2 + f_y**2))
    if kernel.family == "gaussian":
        return gaussian
    return gaussian * np.sinc(values[1] * f_x) * np.sinc(values[1] * f_y)


def kernel_transform_derivatives(
    kernel: PsfKernel, f_x: np.ndarray, f_y: np.ndarray
) -> list[np.ndarray]:
    """dK/dt of each parameter t, in their order.

    Analytic; for "moffat" central differences of step 1e-4 in the
    (logarithmic) parameters.

    Returns
    -------
    list of array
    """
    values = _parameters(kernel)
    if kernel.family == "none":
        return []
    if kernel.family == "moffat":
        return _moffat_derivatives(*values, np.hypot(f_x, f_y))  # type: ignore[call-arg]
    transform = kernel_transform(kernel, f_x, f_y)
    factor = -2 * np.pi**2
    if kernel.family == "elliptical":
        return [factor * weight * transform for weight in (f_x**2, 2 * f_x * f_y, f_y**2)]
    by_variance = factor * (f_x**2 + f_y**2) * transform
    if kernel.family == "gaussian":
        return [by_variance]
    width = values[1]
    gaussian = np.exp(factor * values[0] * (f_x**2 + f_y**2))
    by_width = gaussian * (
        _sinc_derivative(f_x, width) * np.sinc(width * f_y)
        + np.sinc(width * f_x) * _sinc_derivative(f_y, width)
    )
    return [by_variance, by_width]


def _sinc_derivative(f, width):
    # d/dw of sin(pi w f) / (pi w f); its series where the quotient loses digits
    x = np.pi * width * f
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    quotient = (safe * np.cos(safe) - np.sin(safe)) / safe**2
    return np.pi * f * np.where(small, x * (-1 / 3 + x * x / 30), quotient)


def _moffat_transform(ln_alpha, ln_power, f):
    # the Bessel function is slow: tabulate over the radial frequency
    f_max = float(np.max(f))
    grid = f_max * np.linspace(0.0, 1.0, 2048) ** 2
    power = np.exp(ln_power)
    x = 2 * np.pi * np.exp(ln_alpha) * grid[1:]
    with np.errstate(under="ignore"):
        ln_scale = np.log(2.0) + power * np.log(x / 2) - gammaln(power)
        values = np.exp(ln_scale) * kv(power, x)
    return CubicSpline(grid, np.concatenate([[1.0], values]))(f)


def _moffat_derivatives(ln_alpha, ln_power, f):
    step = 1e-4
    by_alpha = _moffat_transform(ln_alpha + step, ln_power, f) - _moffat_transform(
        ln_alpha - step, ln_power, f
    )
    by_power = _moffat_transform(ln_alpha, ln_power + step, f) - _moffat_transform(
        ln_alpha, ln_power - step, f
    )
    return [by_alpha / (2 * step), by_power / (2 * step)]
