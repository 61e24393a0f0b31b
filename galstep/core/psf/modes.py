"""Smooth modes of low order in which a PSF may differ from a library PSF and a kernel.

Gauss-Laguerre functions about the star, in polar coordinates, with scale s and
u = r^2 / s^2:

    M_pm = (r/s)^m L_p^m(u) exp(-u/2) {cos, sin}(m phi)

(polar shapelets: Massey & Refregier 2005, MNRAS 363, 197). They fall like a
Gaussian, so the wings of the PSF stay the library's, and they are orthogonal.
Of a Gaussian star of this scale the flux is M_00, the position M_01 and the
width, with the flux, M_10: these are left to the star and the kernel, so that a
correction changes neither to first order. It must also keep the PSF's sum and
centroid. With (from the generating function)

    integral of u^a exp(-u/2) L_p^a(u) du = 2^(a+1) (-1)^p (p + a)! / p!

the round modes are therefore L_p + L_(p+1), p >= 2 (sum 0), and those of m = 1
(p + 2) L_p^1 + (p + 1) L_(p+1)^1, p >= 1 (first moments 0). Higher m have neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import eval_genlaguerre

from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from galstep.records import PsfCorrection

__all__ = ["MODES", "correction_array", "mode_arrays", "mode_shape"]

#: (p, m, part) of each mode; part 0: cosine, 1: sine.
MODES = (
    *((p, 0, 0) for p in (2, 3)),
    *((p, 1, part) for p in (1, 2) for part in (0, 1)),
    *((p, 2, part) for p in (0, 1, 2) for part in (0, 1)),
    *((p, 3, part) for p in (0, 1) for part in (0, 1)),
    *((0, 4, part) for part in (0, 1)),
)

REACH = 7.0  # scales: the largest mode has fallen to 1e-6 of its peak


def correction_array(
    shape: tuple[int, int], oversample: int, correction: PsfCorrection
) -> np.ndarray:
    """What a correction adds to a PSF.

    Parameters
    ----------
    shape : (ny, nx)
        Of the PSF's array.
    oversample : int
    correction : galstep.records.PsfCorrection

    Returns
    -------
    (ny, nx) array
        Sum 0.

    Raises
    ------
    ParameterError
        If the number of coefficients is not that of `MODES`, or the scale is
        not positive.
    """
    coefficients = np.asarray(correction.coefficients, dtype=float)
    if coefficients.shape != (len(MODES),) or not correction.scale > 0:
        raise ParameterError(
            f"a PSF correction needs {len(MODES)} coefficients and a positive scale, not "
            f"{coefficients.size} and {correction.scale:g}"
        )
    array, own = np.zeros(shape), mode_shape(shape, oversample, correction.scale)
    y, x = ((n - m) // 2 for n, m in zip(shape, own, strict=True))
    modes = mode_arrays(own, oversample, correction.scale)
    array[y : y + own[0], x : x + own[1]] = np.tensordot(coefficients, modes, axes=1)
    return array


def mode_shape(shape: tuple[int, int], oversample: int, scale: float) -> tuple[int, ...]:
    """The part of a PSF's array that the modes reach: no larger, of the same parity."""
    wanted = 2 * int(np.ceil(REACH * scale * oversample))
    return tuple(min(n, wanted + n % 2) for n in shape)


def mode_arrays(shape: tuple[int, ...], oversample: int, scale: float) -> np.ndarray:
    """The modes on the grid of a PSF.

    Parameters
    ----------
    shape : (ny, nx)
        Of the PSF's array; the star sits at its geometric centre.
    oversample : int
        Samples per native pixel.
    scale : float
        s, native pixels.

    Returns
    -------
    (n_modes, ny, nx) array
        Each with sum 0, first moments 0, and as large a sum of squares as a
        Gaussian PSF of sigma s has: a coefficient of 0.01 is a change of 1 %.
    """
    y, x = ((np.arange(n) - (n - 1) / 2) / (oversample * scale) for n in shape)
    x, y = np.meshgrid(x, y)
    square, envelope = x**2 + y**2, np.exp(-(x**2 + y**2) / 2)
    power, modes = x + 1j * y, np.empty((len(MODES), *shape))
    for mode, (p, m, part) in zip(modes, MODES, strict=True):
        radial = eval_genlaguerre(p, m, square)
        if m < 2:
            own, next_one = ((1, 1), (p + 2, p + 1))[m]
            radial = own * radial + next_one * eval_genlaguerre(p + 1, m, square)
        angular = power**m
        mode[:] = radial * envelope * (angular.imag if part else angular.real)
    # what the finite grid leaves of sums and moments
    _remove_moments(modes, x, y, envelope)
    norm = np.sqrt(np.square(modes).sum(axis=(1, 2)) * 4 * np.pi) * oversample * scale
    return modes / norm[:, None, None]


def _remove_moments(modes, x, y, envelope):
    basis = np.array([envelope, x * envelope, y * envelope])
    moments = np.array([np.ones_like(x), x, y])
    have = np.tensordot(modes, moments, axes=((1, 2), (1, 2)))
    give = np.tensordot(basis, moments, axes=((1, 2), (1, 2)))
    modes -= np.tensordot(have @ np.linalg.inv(give), basis, axes=1)
