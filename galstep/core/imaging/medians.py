"""Medians and scatters of many values.

The same numbers as numpy's and astropy's, several times sooner: one value is looked
for at a time, which the partition of numpy does with vector registers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MAD_TO_STD", "mad_std", "median", "quantile"]

#: Gaussian sigma over the median absolute deviation: 1 / (normal quantile of 3/4).
MAD_TO_STD = 1.482602218505602


def median(values: np.ndarray) -> float:
    """The median of values, none of them NaN.

    Parameters
    ----------
    values : array
        Of any shape.

    Returns
    -------
    float
        NaN without any value.
    """
    if not np.size(values):
        return np.nan
    return float(_middle(np.partition(np.ravel(values), np.size(values) // 2)))


def _middle(parted):
    """The median of values that are parted at the middle."""
    half = len(parted) // 2
    return parted[half] if len(parted) % 2 else 0.5 * (parted[:half].max() + parted[half])


def mad_std(values: np.ndarray) -> float:
    """1.4826 times the median absolute deviation from the median.

    Parameters
    ----------
    values : array
        As for `median`.

    Returns
    -------
    float
    """
    return MAD_TO_STD * median(np.abs(np.ravel(values) - median(values)))


def quantile(values: np.ndarray, fraction: float) -> float:
    """The quantile of values, interpolated linearly between two of them.

    Parameters
    ----------
    values : array
        As for `median`.
    fraction : float
        From 0 to 1.

    Returns
    -------
    float
    """
    values = np.ravel(values)
    if not len(values):
        return np.nan
    place = fraction * (len(values) - 1)
    below = int(place)
    parted = np.partition(values, below)
    if below == len(values) - 1:
        return float(parted[below])
    low, high, share = parted[below], parted[below + 1 :].min(), place - below
    # from the nearer of the two, as numpy has it
    return float(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))
