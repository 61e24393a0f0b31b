"""Errors of positions on the sky from those in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["angular_errors"]

_STEP = 0.5  # pixels; half a pixel to each side


def angular_errors(
    to_sky: Callable, x: np.ndarray, y: np.ndarray, x_err: np.ndarray, y_err: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors along right ascension (times cos dec) and declination, and the side of a pixel.

    The WCS is differentiated about each place; the errors of x and y count as independent.

    Parameters
    ----------
    to_sky : callable
        ``to_sky(x, y)`` gives right ascension and declination, degrees.
    x, y, x_err, y_err : (N,) arrays
        Pixels.

    Returns
    -------
    ra_err, dec_err, side : (N,) arrays
        Degrees.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    _, dec = to_sky(x, y)
    along = [_difference(to_sky(x + dx, y + dy), to_sky(x - dx, y - dy), dec)
             for dx, dy in ((_STEP, 0.0), (0.0, _STEP))]  # fmt: skip
    (a, c), (b, d) = along
    ra_err = np.hypot(a * x_err, b * y_err)
    dec_err = np.hypot(c * x_err, d * y_err)
    return ra_err, dec_err, np.sqrt(np.abs(a * d - b * c))


def _difference(one, other, dec):
    """Of two places, degrees on the sky; right ascension across 0 as well."""
    ra = np.mod(one[0] - other[0] + 180.0, 360.0) - 180.0
    return ra * np.cos(np.radians(dec)), one[1] - other[1]
