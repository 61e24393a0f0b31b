"""Images of rounded numbers: the step between them, and the error that it makes.

Rounding to multiples of q adds the variance q^2/12 (Sheppard) and, as long as the noise is
wider than about half a step, no more: where values lie between two steps shows in how many
of them fall on either. Where it is narrower, no pixel tells where the sky lies within a step.
The mean of rounded numbers of scatter sigma is then off by an amount whose mean square over
all places is, by the Fourier series of the sawtooth (Widrow and Kollar 2008, chapter 4),

    sum over k of q^2 / (2 pi^2 k^2) exp(-4 pi^2 k^2 sigma^2 / q^2),

which is q^2/12 without noise.
"""

from __future__ import annotations

import numpy as np

__all__ = ["dither", "level_error", "rounding_step"]

# What is looked at, and how well it must be a multiple of one step.
MOST_VALUES, SAME, SHARE = 100_000, 0.02, 0.95
# Single precision at the largest value.
PRECISION = 2e-7
# Steps of less than this share of the scatter make no difference.
LEAST_STEP = 0.02
# Of the series.
N_TERMS = 20
# Of the dither, so that equal images have equal noise.
SEED = 1


def rounding_step(values: np.ndarray) -> float:
    """The step of rounded numbers.

    Parameters
    ----------
    values : array
        As they were written: nothing may have been taken off; NaN is passed over.

    Returns
    -------
    float
        0 for numbers without steps, or of steps too small beside their scatter to matter.
    """
    values = np.ravel(values)
    values = values[:: max(1, values.size // MOST_VALUES)]
    values = values[np.isfinite(values)].astype(float)
    if values.size < 2:
        return 0.0
    different = np.unique(values)
    blur = PRECISION * max(abs(different[0]), abs(different[-1]))
    gaps = np.diff(different)
    gaps = gaps[gaps > 4 * blur]
    if not gaps.size:
        return 0.0
    step = float(np.percentile(gaps, 5))
    step = float(np.median(gaps[gaps < 1.5 * step]))
    multiples = gaps / step
    whole = np.abs(multiples - np.rint(multiples)) < SAME + 2 * blur / step
    low, high = np.percentile(values, (15.87, 84.13))
    # of a few values without a step some gap is the smallest: they fill no lattice
    alike = np.count_nonzero(gaps < 1.5 * step)
    filled = alike > max(1.0, min(2.0, 0.2 * gaps.size)) or alike == gaps.size
    matters = step > LEAST_STEP * (high - low) / 2
    return step if whole.mean() > SHARE and filled and matters else 0.0


def dither(shape: tuple[int, ...], step: float) -> np.ndarray:
    """What makes rounded numbers continuous: evenly from -step/2 to step/2, always the same.

    Parameters
    ----------
    shape : tuple of int
    step : float

    Returns
    -------
    array of ``shape``
        Of variance step^2/12, neighbours independent of each other.
    """
    return step * (np.random.default_rng(SEED).random(shape) - 0.5)


def level_error(step: float, scatter: float) -> float:
    """1 sigma of a mean level from where the truth lies within a step.

    Parameters
    ----------
    step : float
    scatter : float
        Of the rounded numbers, the rounding's part in it.

    Returns
    -------
    float
    """
    if not step > 0:
        return 0.0
    variance = max(scatter**2 / step**2 - 1 / 12, 0.0)
    k = np.arange(1, N_TERMS + 1)
    terms = np.exp(-4 * np.pi**2 * k**2 * variance) / (2 * np.pi**2 * k**2)
    return float(step * np.sqrt(terms.sum()))
