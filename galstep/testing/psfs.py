"""Analytic effective PSFs: mixtures of elliptical Gaussians.

A mixture has a closed form in real and in Fourier space and stays a mixture
when it is blurred by a Gaussian. Stars are therefore exact at any sub-pixel
position, and "true PSF = library PSF convolved with a Gaussian" is exact too.
The pixel response counts as part of the mixture (an *effective* PSF).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from galstep.exceptions import ParameterError

__all__ = ["DEFAULT_FWHM", "GaussianMixturePSF", "default_psf"]

#: FWHM (native pixels) of the PSF that `default_psf` gives to each filter.
DEFAULT_FWHM = {
    "F555W": 2.6,
    "F814W": 2.7,
    "F090W": 2.0,
    "F150W": 2.2,
    "F160W": 5.2,
    "F277W": 3.6,
}

# core, shoulder, wings: share of the light and sigma over that of the core
_WEIGHTS = (0.75, 0.20, 0.05)
_WIDTHS = (1.0, 1.6, 2.6)


@dataclass(frozen=True)
class GaussianMixturePSF:
    """A sum of centred elliptical Gaussians; integrates to the sum of its weights.

    Parameters
    ----------
    weights : tuple of float
        The share of the light in each Gaussian.
    covariances : tuple of (float, float, float)
        (sigma_xx, sigma_xy, sigma_yy) of each, native pixels squared.
    """

    weights: tuple
    covariances: tuple

    def __post_init__(self):
        if len(self.weights) != len(self.covariances) or not self.weights:
            raise ParameterError(
                "covariances must have one entry per weight and at least one, got "
                f"{len(self.covariances)} for {len(self.weights)} weights"
            )
        for xx, xy, yy in self.covariances:
            if not (xx > 0 and yy > 0 and xx * yy > xy**2):
                raise ParameterError(
                    f"each covariance must be positive definite, got {(xx, xy, yy)}"
                )

    @classmethod
    def gaussian(cls, sigma: float) -> GaussianMixturePSF:
        """A single round Gaussian of ``sigma`` native pixels."""
        return cls((1.0,), ((sigma**2, 0.0, sigma**2),))

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Light per native pixel area at the offsets ``x``, ``y`` (pixels) from the star."""
        total = np.zeros(())
        for weight, (xx, xy, yy) in zip(self.weights, self.covariances, strict=True):
            det = xx * yy - xy**2
            distance = (yy * x**2 - 2 * xy * x * y + xx * y**2) / det
            total = total + weight / (2 * np.pi * np.sqrt(det)) * np.exp(-0.5 * distance)
        return total

    def transform(self, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
        """The Fourier transform at the wave numbers ``kx``, ``ky`` (radians per pixel)."""
        total = np.zeros(())
        for weight, (xx, xy, yy) in zip(self.weights, self.covariances, strict=True):
            total = total + weight * np.exp(-0.5 * (xx * kx**2 + 2 * xy * kx * ky + yy * ky**2))
        return total

    def blurred(self, sigma: float) -> GaussianMixturePSF:
        """The mixture convolved with a round Gaussian of ``sigma`` native pixels."""
        if not sigma >= 0:
            raise ParameterError(f"sigma must be 0 or more native pixels, got {sigma}")
        return type(self)(
            self.weights,
            tuple((xx + sigma**2, xy, yy + sigma**2) for xx, xy, yy in self.covariances),
        )

    def sampled(self, oversample: int = 4, size: int = 161) -> np.ndarray:
        """A library array: ``size`` x ``size`` samples, star at (size-1)/2, sum 1.

        Parameters
        ----------
        oversample : int
            Samples per native pixel.
        size : int
            Number of samples along each side.

        Returns
        -------
        ndarray, shape (size, size)
        """
        offset = (np.arange(size) - (size - 1) / 2) / oversample
        array = self(offset[np.newaxis, :], offset[:, np.newaxis])
        return array / array.sum()

    @property
    def fwhm(self) -> float:
        """Full width at half maximum (native pixels), geometric mean of the two axes."""
        return float(np.sqrt(self._width_along(1.0, 0.0) * self._width_along(0.0, 1.0)))

    @property
    def noise_area(self) -> float:
        """1 / integral of P^2 (native pixels): the matched filter's effective area."""
        square = 0.0
        for w_i, (axx, axy, ayy) in zip(self.weights, self.covariances, strict=True):
            for w_j, (bxx, bxy, byy) in zip(self.weights, self.covariances, strict=True):
                det = (axx + bxx) * (ayy + byy) - (axy + bxy) ** 2
                square += w_i * w_j / (2 * np.pi * np.sqrt(det))
        return float(1 / square)

    def reach(self, fraction: float = 1e-8) -> float:
        """A radius (native pixels) that leaves less than ``fraction`` of the light outside."""
        widest = max(
            0.5 * (xx + yy) + np.hypot(0.5 * (xx - yy), xy) for xx, xy, yy in self.covariances
        )
        return float(np.sqrt(-2 * np.log(fraction) * widest))

    def _width_along(self, ux, uy):
        half = 0.5 * self(0.0, 0.0)
        return 2 * brentq(lambda r: self(r * ux, r * uy) - half, 0.0, self.reach())


def default_psf(name: str, fwhm: float | None = None) -> GaussianMixturePSF:
    """The PSF of a filter in the synthetic scenes: core, shoulder, faint wings.

    Slightly elliptical (2 to 4 per cent), so that a transposed or mirrored PSF
    shows.

    Parameters
    ----------
    name : str
        Filter name; sets the FWHM (`DEFAULT_FWHM`, else 2.5) and the
        orientation.
    fwhm : float, optional
        FWHM in native pixels instead.

    Returns
    -------
    GaussianMixturePSF
    """
    fwhm = DEFAULT_FWHM.get(name, 2.5) if fwhm is None else fwhm
    order = list(DEFAULT_FWHM).index(name) if name in DEFAULT_FWHM else len(DEFAULT_FWHM)
    stretch, angle = 0.02 + 0.004 * order, 0.4 + 0.5 * order
    shape = (
        1 + stretch * np.cos(2 * angle),
        stretch * np.sin(2 * angle),
        1 - stretch * np.cos(2 * angle),
    )

    def scaled(sigma):
        return GaussianMixturePSF(
            _WEIGHTS,
            tuple(tuple(float((w * sigma) ** 2 * s) for s in shape) for w in _WIDTHS),
        )

    return scaled(fwhm / scaled(1.0).fwhm)
