"""Images of rounded numbers: the step between them, and the error that it makes.

Rounding to multiples of q adds the variance q^2/12 (Sheppard) and, as long as the noise is
wider than about half a step, no more: where values lie between two steps shows in how many
of them fall on either. Where it is narrower, no pixel tells where the sky lies within a step.
The mean of rounded numbers of scatter sigma is then off by an amount whose mean square over
all places is, by the Fourier series of the sawtooth (Widrow and Kollar 2008, chapter 4),

    sum over k of q^2 / (2 pi^2 k^2) exp(-4 pi^2 k^2 sigma^2 / q^2),

which is q^2/12 without noise.

What that does to a measurement follows from the same series. Rounding adds to a pixel of true
value m the mean error

    e(m) = sum over k of (-1)^k q / (pi k) exp(-2 pi^2 k^2 sigma^2 / q^2) sin(2 pi k m / q),

and a number that is linear in the data, t = sum_i h_i d_i, is off by sum_i h_i e(m_i). Over all
places that the scene can have within a step the mean of that is zero and its mean square

    1/2 sum over k of (q / (pi k))^2 exp(-4 pi^2 k^2 sigma^2 / q^2) |H_k|^2
    with H_k = sum_i h_i exp(2 pi i k m_i / q):

bright and steep light runs through many steps and its terms cancel; in flat light all pixels
are wrong alike, and light fainter than a step is not in the numbers at all.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "dither",
    "is_lost",
    "level_error",
    "light_error",
    "rounding_covariance",
    "rounding_step",
    "unrounded_variance",
]

# What is looked at, and how well it must be a multiple of one step.
MOST_VALUES, SAME, SHARE = 100_000, 0.02, 0.95
# Single precision at the largest value.
PRECISION = 2e-7
# Steps of less than this share of the scatter make no difference.
LEAST_STEP = 0.02
# Of the series: what is left out is 3 % of q^2/12.
N_TERMS = 20
# Of the error of a level, the share of its first term that the noise leaves: above it a level
# hangs on where it lies within a step, and light fainter than that is lost. Steps of 2.9 sigma.
LOST = 0.1
# Fluxes of a table of errors, for each decade.
PER_DECADE = 6
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


def unrounded_variance(step: float, scatter: float) -> float:
    """Variance of rounded numbers less that of the rounding, q^2/12; not below zero."""
    return max(scatter**2 - step**2 / 12, 0.0)


def _amplitudes(step, scatter):
    """(k, squared amplitude) of the terms of e(m) that are not negligible."""
    k = np.arange(1, N_TERMS + 1)
    damped = np.exp(-4 * np.pi**2 * k**2 * unrounded_variance(step, scatter) / step**2)
    squared = (step / (np.pi * k)) ** 2 * damped
    # a millionth of the first without noise
    some = squared > 1e-6 * (step / np.pi) ** 2
    return k[some], squared[some]


def is_lost(step: float, scatter: float) -> bool:
    """Whether the steps are so wide beside the noise that it does not show what lies between.

    Parameters
    ----------
    step : float
        0 for numbers that are not rounded.
    scatter : float
        Of the rounded numbers, the rounding's part in it.

    Returns
    -------
    bool
    """
    if not step > 0:
        return False
    return bool(np.exp(-2 * np.pi**2 * unrounded_variance(step, scatter) / step**2) > LOST)


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
    _, squared = _amplitudes(step, scatter)
    return float(np.sqrt(squared.sum() / 2))


def rounding_covariance(
    influence: np.ndarray, light: np.ndarray, step: float, scatter: float
) -> np.ndarray:
    """Covariance of some numbers from where their pixels lie within the steps.

    Beside the variance of each pixel, q^2/12, which is noise like other noise.

    Parameters
    ----------
    influence : (nq, ...) array
        How each pixel moves each number.
    light : (...) array
        The model of the image, with all that is in it.
    step : float
    scatter : float
        Of the rounded numbers, the rounding's part in it.

    Returns
    -------
    (nq, nq) array
        In the squares of the numbers' units.
    """
    influence = influence.reshape(len(influence), -1)
    matrix = np.zeros((len(influence),) * 2)
    if not step > 0:
        return matrix
    used = influence.any(axis=0)
    influence, phase = influence[:, used], np.ravel(light)[used] / step
    for k, squared in zip(*_amplitudes(step, scatter), strict=True):
        sums = influence @ np.exp(2j * np.pi * k * phase)
        matrix += squared / 2 * np.real(np.outer(sums, sums.conj()))
    return matrix


def light_error(profiles: np.ndarray, flux: np.ndarray, step: float, scatter: float) -> np.ndarray:
    """1 sigma of fitted fluxes on a flat sky from where their pixels lie within the steps.

    The sky is what the rounded pixels around say it is: h_i = p_i / sum p^2 acts on
    e(m_i) - e(sky).

    Parameters
    ----------
    profiles : (n_places, n_pixels) array
        The light of a source of unit flux, with its centre at several places in a pixel.
    flux : (n,) array
    step : float
    scatter : float
        Of the rounded numbers, the rounding's part in it.

    Returns
    -------
    (n,) array
        NaN where the flux is.
    """
    flux = np.abs(np.asarray(flux, dtype=float))
    errors = np.where(np.isnan(flux), np.nan, 0.0)
    some = flux > 0
    if not step > 0 or not some.any():
        return errors
    low, high = flux[some].min(), flux[some].max()
    number = 2 + int(PER_DECADE * np.log10(high / low))
    table = np.geomspace(low, high, number)
    influence = profiles / np.square(profiles).sum(axis=1, keepdims=True)
    k, squared = _amplitudes(step, scatter)
    variance = np.zeros(number)
    for own, amplitude in zip(k, squared, strict=True):
        turns = 2j * np.pi * own / step * table[:, None, None]
        sums = (influence * np.expm1(turns * profiles)).sum(axis=2)
        variance += amplitude / 2 * np.mean(np.abs(sums) ** 2, axis=1)
    errors[some] = np.sqrt(np.interp(np.log(flux[some]), np.log(table), variance))
    return errors
