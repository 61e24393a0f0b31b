"""The Sersic profile: constants, fluxes, curve of growth, shape matrix.

The profile is I(R) = I_e exp(-b_n [(R / r_eff)^(1/n) - 1]) with b_n such that
``r_eff`` holds half of the total light (Sersic 1968; formulas as collected by
Graham & Driver 2005, PASA 22, 118). R is the elliptical radius, equal to the
distance from the centre along the major axis, so ``r_eff`` is semi-major.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincinv, gammaln

__all__ = [
    "amplitude",
    "elliptical_radius",
    "enclosed_fraction",
    "log_central_brightness",
    "mean_square_radius",
    "sersic_bn",
    "shape_matrix",
    "shape_matrix_derivatives",
    "total_flux",
]


def sersic_bn(n: float | np.ndarray) -> Any:
    """b_n of the Sersic profile, exact.

    Solves Gamma(2n) / 2 = gamma(2n, b_n) (Graham & Driver 2005, eq. 1 ff.).

    Parameters
    ----------
    n : float or array
        Sersic index, > 0.

    Returns
    -------
    float or array
    """
    return gammaincinv(2.0 * n, 0.5)


def _flux_per_amplitude(r_eff, n, ellip):
    # Graham & Driver 2005, eq. 4, with the axis ratio q = 1 - ellip
    b = sersic_bn(n)
    ln_factor = b + np.log(2.0 * np.pi * n) + gammaln(2.0 * n) - 2.0 * n * np.log(b)
    return r_eff**2 * (1.0 - ellip) * np.exp(ln_factor)


def total_flux(
    amplitude: float | np.ndarray,
    r_eff: float | np.ndarray,
    n: float | np.ndarray,
    ellip: float | np.ndarray,
) -> Any:
    """Total flux to infinity of a profile with ``amplitude`` at ``r_eff``.

    Parameters
    ----------
    amplitude : float or array
        Surface brightness at ``r_eff`` (image unit).
    r_eff : float or array
        Semi-major half-light radius (pixels).
    n : float or array
        Sersic index.
    ellip : float or array
        1 - b/a.

    Returns
    -------
    float or array
        Image unit x pixel.
    """
    return amplitude * _flux_per_amplitude(r_eff, n, ellip)


def amplitude(
    flux: float | np.ndarray,
    r_eff: float | np.ndarray,
    n: float | np.ndarray,
    ellip: float | np.ndarray,
) -> Any:
    """Surface brightness at ``r_eff``: the inverse of `total_flux`."""
    return flux / _flux_per_amplitude(r_eff, n, ellip)


def enclosed_fraction(radius_over_r_eff: float | np.ndarray, n: float | np.ndarray) -> Any:
    """Share of the total light inside an elliptical radius.

    Parameters
    ----------
    radius_over_r_eff : float or array
        Semi-major axis of the isophote over ``r_eff``, >= 0.
    n : float or array
        Sersic index.

    Returns
    -------
    float or array
        P(2n, b_n x^(1/n)), from 0 to 1; 1/2 at 1. P is the regularised
        incomplete gamma function (Graham & Driver 2005, eq. 2).
    """
    x = np.asarray(radius_over_r_eff, dtype=float)
    return gammainc(2.0 * n, sersic_bn(n) * x ** (1.0 / n))


def elliptical_radius(shape: tuple[int, int], vector: np.ndarray) -> np.ndarray:
    """Semi-major axis of the isophote through each pixel.

    Parameters
    ----------
    shape : (ny, nx)
    vector : (6,) array
        Shape vector (`galstep.records.SersicParams.to_vector`) in these pixels.

    Returns
    -------
    (ny, nx) array
        Pixels.
    """
    e = min(np.hypot(vector[3], vector[4]), 0.99)
    theta = 0.5 * np.arctan2(vector[4], vector[3])
    yy, xx = np.indices(shape)
    dx, dy = xx - vector[0], yy - vector[1]
    along = dx * np.cos(theta) + dy * np.sin(theta)
    # e = (1 - q) / (1 + q) of the axis ratio q
    across = (dy * np.cos(theta) - dx * np.sin(theta)) * (1 + e) / (1 - e)
    return np.hypot(along, across)


def log_central_brightness(n: float | np.ndarray) -> Any:
    """ln I(0) of a circular profile of unit flux and ``r_eff`` = 1.

    I(R) = exp(log_central_brightness(n) - b_n R^(1/n)); divide by
    ``r_eff**2 * (1 - ellip)`` for other sizes and shapes.
    """
    return 2.0 * n * np.log(sersic_bn(n)) - np.log(2.0 * np.pi * n) - gammaln(2.0 * n)


def mean_square_radius(n: float | np.ndarray) -> Any:
    """<R^2> / r_eff^2 over the light of a circular profile.

    Gamma(4n) / (Gamma(2n) b_n^(2n)), from the integral of R^3 I(R).
    """
    return np.exp(gammaln(4.0 * n) - gammaln(2.0 * n) - 2.0 * n * np.log(sersic_bn(n)))


def shape_matrix(ln_r_eff: float, e1: float, e2: float) -> np.ndarray:
    """The matrix S with k^T S k = (r_eff k)^2 of the circular profile.

    An elliptical profile is a circular one stretched by S^(1/2); its
    eigenvalues are r_eff^2 and (q r_eff)^2. With e = (1-q)/(1+q) and
    (e1, e2) = e (cos 2 theta, sin 2 theta),

        S = r_eff^2 / (1 + e)^2 [[1 + e^2 + 2 e1, 2 e2], [2 e2, 1 + e^2 - 2 e1]]

    Returns
    -------
    (2, 2) array
        In the order (x, y), pixel^2.
    """
    e = np.hypot(e1, e2)
    scale = np.exp(2.0 * ln_r_eff) / (1.0 + e) ** 2
    diagonal = 1.0 + e * e
    return scale * np.array([[diagonal + 2 * e1, 2 * e2], [2 * e2, diagonal - 2 * e1]])


def shape_matrix_derivatives(ln_r_eff: float, e1: float, e2: float) -> np.ndarray:
    """`shape_matrix` and its derivatives.

    Since ``r_eff`` is the semi-major axis, the size has a cone in |e| at
    e1 = e2 = 0: its slope there depends on the direction. The mean over
    opposite directions is returned (the direction term is 0), which is what
    central differences give; everything else is smooth.

    Returns
    -------
    (4, 2, 2) array
        S, dS/d ln r_eff, dS/de1, dS/de2.
    """
    e = np.hypot(e1, e2)
    matrix = shape_matrix(ln_r_eff, e1, e2)
    scale = np.exp(2.0 * ln_r_eff) / (1.0 + e) ** 2
    cos_sin = (e1 / e, e2 / e) if e > 0 else (0.0, 0.0)
    basis = np.array([[[1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    out = [matrix, 2.0 * matrix]
    for component, direction, unit in zip((e1, e2), cos_sin, basis, strict=True):
        stretch = -2.0 * direction / (1.0 + e) * matrix
        out.append(stretch + 2.0 * scale * (component * np.eye(2) + unit))
    return np.array(out)
