"""The colours of a frame's stars, and how well a source has them.

Stars far from the galaxy are the library: each bright one is a template of the spectrum.
How well a source agrees with a template T of errors s, with its fluxes f of errors e, is the
Gaussian likelihood of f about a T at the best amplitude a, with the variance

    e^2 + (SCATTER a T)^2 + (a s)^2,

per unit of ln a: the width of a, which follows from the same variance, is in it, so that
sources of another spectrum can be compared (Laplace's approximation to the integral over a).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

__all__ = ["StarColours", "galaxy_likelihood", "star_colours"]

# A template is a star of this S/N in all bands together, seen in so many bands.
MIN_SNR, MIN_BAND_SNR, MIN_BANDS = 12.0, 3.0, 3
# With fewer templates colours decide nothing; more do not say more.
MIN_TEMPLATES, MAX_TEMPLATES = 20, 80
# Spread of stars about the nearest of some tens of templates, a share of the flux.
SCATTER = 0.15
# Spectra of a galaxy's pieces: its own, made bluer or redder by (lambda / lambda_0)^slope, and
# with a scatter that covers emission lines and what a fit of a piece by a star does to it.
SLOPES = np.linspace(-1.5, 1.5, 11)
SLOPE_WIDTH, PIECE_SCATTER = 0.6, 0.5
ROUNDS = 3


@dataclass(frozen=True, eq=False)
class StarColours:
    """Templates of star spectra.

    Parameters
    ----------
    flux, error : (nb, nt) arrays
        Of any brightness; an error is infinite in a band without data.
    """

    flux: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return self.flux.shape[1]

    def log_likelihood(self, flux: np.ndarray, error: np.ndarray) -> np.ndarray:
        """How well sources have the colours of stars, (n,): mean over the templates.

        Parameters
        ----------
        flux, error : (nb, n) arrays
        """
        rows = [
            _log_likelihood(flux, error, own, spread, SCATTER)
            for own, spread in zip(self.flux.T, self.error.T, strict=True)
        ]
        return logsumexp(rows, axis=0) - np.log(len(rows))


def star_colours(flux: np.ndarray, error: np.ndarray, outside: np.ndarray) -> StarColours | None:
    """The library of a frame.

    Parameters
    ----------
    flux, error : (nb, n) arrays
        Of all sources; an error is infinite where a star has no data.
    outside : (n,) bool array
        Which of them are beyond the galaxies.

    Returns
    -------
    StarColours or None
        None with fewer than three bands, or 20 templates.
    """
    snr = flux / error
    total = np.sqrt((np.maximum(snr, 0) ** 2).sum(axis=0))
    good = outside & (total > MIN_SNR) & ((snr > MIN_BAND_SNR).sum(axis=0) >= MIN_BANDS)
    chosen = np.flatnonzero(good)
    chosen = chosen[np.argsort(-total[chosen], kind="stable")][:MAX_TEMPLATES]
    if len(chosen) < MIN_TEMPLATES:
        return None
    return StarColours(flux[:, chosen], error[:, chosen])


def galaxy_likelihood(
    flux: np.ndarray, error: np.ndarray, light: np.ndarray, log_wavelengths: np.ndarray
) -> np.ndarray:
    """How well sources have the colours of a galaxy's pieces, (n,).

    Parameters
    ----------
    flux, error : (nb, n) arrays
    light : (nb, n) array
        The galaxy's light under each source.
    log_wavelengths : (nb,) array
        ln(wavelength) of the bands, from any zero.
    """
    weight = np.exp(-0.5 * (SLOPES / SLOPE_WIDTH) ** 2)
    rows = []
    for slope, own in zip(SLOPES, weight / weight.sum(), strict=True):
        template = light * np.exp(slope * np.asarray(log_wavelengths))[:, None]
        rows.append(np.log(own) + _log_likelihood(flux, error, template, None, PIECE_SCATTER))
    return logsumexp(rows, axis=0)


def _log_likelihood(flux, error, template, spread, scatter):
    """ln of the likelihood of fluxes about a template of free amplitude, per unit of ln a."""
    template = template[:, None] if template.ndim == 1 else template
    variance = np.where(np.isfinite(error), error, 1e15 * np.nanmax(template)) ** 2
    share = (scatter * template) ** 2
    if spread is not None:
        share = share + np.where(np.isfinite(spread), spread, 1e15)[:, None] ** 2
    tiny = np.finfo(float).tiny
    width = variance
    for _ in range(ROUNDS):
        weight = (template**2 / width).sum(axis=0)
        amplitude = np.maximum((flux * template / width).sum(axis=0) / weight, tiny)
        # an amplitude of nothing has no scatter of its own
        amplitude = np.maximum(amplitude, 1e-3 / np.sqrt(weight))
        width = variance + amplitude**2 * share
    chi2 = ((flux - amplitude * template) ** 2 / width).sum(axis=0)
    normal = np.log(width).sum(axis=0) + np.log((template**2 / width).sum(axis=0))
    return -0.5 * (chi2 + normal) - np.log(amplitude)
