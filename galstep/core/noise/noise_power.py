"""The covariance of the noise of frames with the same pixels, as power spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NoiseMeter", "NoisePower", "measure_noise_power"]

# Separation (pixels) at which the measured correlation has faded to nothing.
REACH = 60


@dataclass(frozen=True, eq=False)
class NoisePower:
    """Power spectra and cross spectra of the scaled residuals.

    ``power[a][b]`` is real, on the half-plane of an FFT of ``shape``; residuals
    are in units of each band's pixel sigma.
    """

    power: list
    shape: tuple


def _taper(radius, reach):
    """1 to half the reach, then half a cosine to 0 at the reach."""
    phase = np.clip((radius - reach / 2) / (reach / 2), 0.0, 1.0)
    return 0.5 * (1 + np.cos(np.pi * phase))


class NoiseMeter:
    """Measures the power of noise in frames with the same good pixels.

    Parameters
    ----------
    good : sequence of (ny, nx) bool arrays
        Per band the pixels to use: with data, and not where the model is known
        to be poor.
    reach : int, optional
        Separation in pixels where the covariance is tapered to zero.

    Notes
    -----
    xi(d) = sum r_p r_(p+d) / number of pairs, by FFTs that are padded so that
    nothing within the reach wraps around, averaged over rings of one pixel,
    tapered and transformed back. Nothing is clipped: the tail of the
    distribution is the noise.
    """

    def __init__(self, good: Sequence[np.ndarray], reach: int = REACH) -> None:
        self.good, self.reach = good, reach
        # rings up to the one beyond the reach
        self.shape = tuple(next_fast_len(n + reach + 2, real=True) for n in good[0].shape)
        dy, dx = (np.fft.fftfreq(n, 1 / n) for n in self.shape)
        radius = np.hypot(dy[:, None], dx).ravel()
        self._within = np.flatnonzero(radius < reach + 1.5)
        self._radius = radius[self._within]
        self._ring = np.rint(self._radius).astype(int)
        self._counts = [rfft2(g.astype(float), self.shape) for g in good]
        self._pairs = {}

    def measure(self, residuals: Sequence[np.ndarray]) -> NoisePower:
        """Powers and cross powers of a frame of each band.

        Parameters
        ----------
        residuals : sequence of (ny, nx) arrays
            In units of the pixel sigma; values of bad pixels are ignored.

        Returns
        -------
        NoisePower
        """
        transforms = [self._transform(r, band) for band, r in enumerate(residuals)]
        power = [[None] * len(transforms) for _ in transforms]
        for a, first in enumerate(transforms):
            for b in range(a, len(transforms)):
                power[a][b] = power[b][a] = self._spectrum(first, transforms[b], a, b)
        return NoisePower(power, self.shape)

    def measure_one(self, residual: np.ndarray, band: int) -> np.ndarray:
        """The power of a frame of one band."""
        transform = self._transform(residual, band)
        return self._spectrum(transform, transform, band, band)

    def _transform(self, residual, band):
        return rfft2(np.where(self.good[band], residual, 0.0), self.shape)

    def _ring_sums(self, first, second):
        sums = irfft2(np.conj(first) * second, self.shape).ravel()[self._within]
        return np.bincount(self._ring, sums)

    def _spectrum(self, first, second, a, b):
        if (a, b) not in self._pairs:
            self._pairs[a, b] = np.rint(self._ring_sums(self._counts[a], self._counts[b]))
        pairs, sums = self._pairs[a, b], self._ring_sums(first, second)
        rings = np.divide(sums, pairs, out=np.zeros(len(pairs)), where=pairs > 0)
        xi = np.zeros(self.shape)
        at_radius = np.interp(self._radius, np.arange(len(rings)), rings)
        xi.ravel()[self._within] = at_radius * _taper(self._radius, self.reach)
        spectrum = rfft2(xi).real
        if a == b:
            positive = spectrum[spectrum > 0]
            floor = 0.01 * np.median(positive) if positive.size else 0.0
            spectrum = np.maximum(spectrum, floor)
        return spectrum


def measure_noise_power(
    residuals: Sequence[np.ndarray], good: Sequence[np.ndarray], reach: int = REACH
) -> NoisePower:
    """Stationary covariance of residuals, as power spectra: see `NoiseMeter`."""
    return NoiseMeter(good, reach).measure(residuals)
