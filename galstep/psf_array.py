"""What can be a PSF: one rule for arrays and one for oversampling, wherever they come from."""

from __future__ import annotations

from typing import Any

import numpy as np

from galstep.exceptions import InputError

__all__ = ["DEEPEST_NEGATIVE", "LEAST_SIDE", "checked_psf", "whole_oversample"]

#: Of the peak. PSFs made by drizzling ring to 1 %; those that photutils' EPSFBuilder makes
#: of stars in noise have troughs of 0.3 to 3.7 %.
DEEPEST_NEGATIVE = 0.05

#: A PSF has a middle and something about it.
LEAST_SIDE = 3

# STPSF and drizzled PSFs have 1 to 12
_MOST_OVERSAMPLE = 100


def checked_psf(array: Any, what: str) -> np.ndarray:
    """The array as it is, if it can be a PSF.

    Parameters
    ----------
    array : 2-D array
        Any normalisation.
    what : str
        The file and dataset, as messages call it.

    Returns
    -------
    2-D float64 array
        A copy.

    Raises
    ------
    InputError
        If it is not 2-D or below 3 x 3, a sample is not finite, all are zero, the sum is not
        positive, or one is below -0.05 of the peak.
    """
    values = np.array(array, dtype=float)
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"{what} must be a 2-D image, got shape {values.shape}")
    if min(values.shape) < LEAST_SIDE:
        raise InputError(
            f"{what} must have at least {LEAST_SIDE} x {LEAST_SIDE} samples, got {values.shape}"
        )
    n_bad = np.count_nonzero(~np.isfinite(values))
    if n_bad:
        raise InputError(f"{what} must be finite everywhere, got {n_bad} NaN or infinite samples")
    if not values.any():
        raise InputError(f"{what} must hold light, got zeros only")
    lowest, peak = values.min(), values.max()
    if lowest < -DEEPEST_NEGATIVE * max(peak, 0.0):
        raise InputError(
            f"{what} must not be negative beyond {DEEPEST_NEGATIVE:.0%} of its peak, got samples "
            f"from {lowest:.3g} to {peak:.3g}"
        )
    total = values.sum()
    if not 0 < total < np.inf:
        raise InputError(f"{what} must have a positive, finite sum, got {total:.3g}")
    return values


def whole_oversample(value: Any, what: str) -> int:
    """Samples per image pixel as an int.

    Parameters
    ----------
    value : int, or sequence of two equal ones
        A float may stand for a whole number; photutils has a number per axis.
    what : str
        Where it stands, as messages call it.

    Returns
    -------
    int
        From 1 to 100.

    Raises
    ------
    InputError
        For anything else: a fraction, a truth value, text, two numbers, more than 100.
    """
    numbers = np.asarray(value)
    is_number = numbers.dtype.kind in "iuf" and numbers.size in (1, 2) and numbers.ndim <= 1
    whole = is_number and (numbers == numbers.flat[0]).all() and numbers.flat[0] >= 1
    if not whole or not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        raise InputError(f"{what}: oversample must be a positive integer, got {_short(value)}")
    if numbers.flat[0] > _MOST_OVERSAMPLE:
        raise InputError(
            f"{what}: oversample must be a positive integer, got {_short(value)}, "
            f"above {_MOST_OVERSAMPLE}"
        )
    return int(numbers.flat[0])


def _short(value):
    """An array of one number, as HDF5 has it, reads like the number."""
    one = isinstance(value, np.ndarray) and value.size == 1
    return repr(value.flat[0].item() if one else value)
