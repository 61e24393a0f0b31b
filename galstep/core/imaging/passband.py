"""The frequencies a PSF passes, laid out for images of one period.

An image of period L (pixels) has the frequencies j / L. The PSF, sampled
``oversample`` times finer than the pixels, passes some beyond the pixels'
Nyquist frequency; sampling at the pixels folds these onto lower ones. Here
every passed frequency is listed with the cell of the half-plane spectrum that
it folds onto, so that a transform evaluated on the list and summed by cell
gives the exactly sampled image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.fft import fft, fftfreq, rfft

from galstep.core.imaging.hankel import hankel_table

__all__ = ["Passband"]

_HARD_N, _HARD_R_EFF = 4.0, 2.0  # pixels


class Passband:
    """The listed frequencies of one PSF.

    Coefficients that do not matter are left out. Each is judged by its share
    in the image of a galaxy that is hard to render, n = 4 with r_eff = 2 px:
    the smallest go as long as their rms in that image is below ``tolerance``
    of its peak.

    Parameters
    ----------
    psf : EffectivePSF
    period : int
        L in pixels, even. A PSF that is larger wraps around.
    tolerance : float, optional

    Attributes
    ----------
    j_x, j_y : (n,) int32 arrays
        Frequencies times L.
    transform : (n,) complex array
        sum_a array[a] exp(-2 pi i f (a - centre) / oversample): 1 at f = 0.
    first : (n_rows * n_columns + 1,) int64 array
        Entries first[c] to first[c + 1] fold onto cell c of the spectrum.
    shape : (n_rows, n_columns)
        Of the spectrum: n_rows = L; the columns up to the last one needed.
    j_max : int
    """

    def __init__(self, psf: Any, period: int, tolerance: float = 3e-7) -> None:
        j_x, j_y, transform = _passed(psf, period, tolerance)
        # a real image needs the half-plane of columns 0 to L/2 only; what is
        # elsewhere is there by its complex conjugate
        half = period // 2
        direct = j_x % period <= half
        mirrored = (j_x > 0) & (-j_x % period <= half)
        j_x = np.concatenate([j_x[direct], -j_x[mirrored]])
        j_y = np.concatenate([j_y[direct], -j_y[mirrored]])
        transform = np.concatenate([transform[direct], transform[mirrored].conj()])
        columns = j_x % period
        self.shape = (period, int(columns.max()) + 1)
        cells = (j_y % period) * self.shape[1] + columns
        order = np.argsort(cells, kind="stable")
        counts = np.bincount(cells, minlength=self.shape[0] * self.shape[1])
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.j_x = j_x[order].astype(np.int32)
        self.j_y = j_y[order].astype(np.int32)
        self.transform = transform[order]
        self.j_max = int(max(np.abs(j_x).max(), np.abs(j_y).max()))


def _passed(psf, period, tolerance):
    """(j_x >= 0, j_y, transform) of the coefficients that are kept."""
    n = period * psf.oversample
    j_max = (n - 1) // 2  # beyond it there is only the ambiguous Nyquist frequency
    columns = rfft(_wrapped(psf.array, n), n, axis=1)[:, : j_max + 1]
    columns = columns[:, : _n_needed(columns, n, period, tolerance)]
    spectrum = fft(columns, n, axis=0)
    j_y = fftfreq(n, 1 / n).astype(np.int64)
    power = spectrum.real**2 + spectrum.imag**2
    power *= _galaxy_power(j_y[:, None], np.arange(columns.shape[1]), period)
    power[np.abs(j_y) > j_max] = 0.0
    rows, j_x = np.nonzero(power > _power_threshold(power, tolerance))
    j_y = j_y[rows]
    centre_y, centre_x = psf.centre
    phase = 2 * np.pi / n * (j_x * centre_x + j_y * centre_y)
    return j_x, j_y, spectrum[rows, j_x] * np.exp(1j * phase)


def _n_needed(columns, n, period, tolerance):
    """How many columns can matter, before they are transformed.

    By Parseval's theorem the others hold, all together, a hundredth at most of
    the power that may be left out. Most PSFs pass a fraction of the band.
    """
    galaxy = _galaxy_power(0, np.arange(columns.shape[1]), period)
    largest = galaxy * n * (columns.real**2 + columns.imag**2).sum(axis=0)
    beyond = np.cumsum(largest[::-1])[::-1]
    # the row j_y = 0 alone makes so much of the peak
    peak = np.sum(np.sqrt(galaxy) * np.abs(columns.sum(axis=0)))
    return max(1, np.count_nonzero(beyond > (0.1 * tolerance * peak) ** 2))


def _galaxy_power(j_y, j_x, period):
    """|F|^2 of the galaxy by which coefficients are judged."""
    table = hankel_table()
    ln_kappa = table.ln_kappa_0 + table.ln_kappa_step * np.arange(table.n_rows)
    # to the nearest whole |j|: this is a weight, not a result
    radius = np.sqrt(j_y**2 + j_x**2).astype(np.intp)
    kappa = 2 * np.pi * _HARD_R_EFF / period * np.arange(radius.max() + 1)
    ln_grid = np.log(np.maximum(kappa, np.exp(ln_kappa[0])))
    return np.interp(ln_grid, ln_kappa, table.rows(_HARD_N)[:, 0] ** 2)[radius]


def _power_threshold(power, tolerance):
    """The power up to which coefficients are left out."""
    # columns j_x > 0 stand for two coefficients each; that factor hardly matters
    ordered = np.sort(power.astype(np.float32), axis=None)
    ordered = ordered.astype(float)
    total = np.sqrt(ordered).sum()
    dropped = np.searchsorted(np.cumsum(ordered), (tolerance * total) ** 2)
    return ordered[dropped - 1] if dropped > 0 else 0.0


def _wrapped(array, n):
    """The array summed over periods of n samples, where it is larger than that."""
    for axis in (0, 1):
        size = array.shape[axis]
        if size > n:
            widths = [(0, 0), (0, 0)]
            widths[axis] = (0, -size % n)
            padded = np.pad(array, widths)
            shape = (-1, n, array.shape[1]) if axis == 0 else (array.shape[0], -1, n)
            array = padded.reshape(shape).sum(axis=axis)
    return array
