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

__all__ = ["StarColours", "colour_evidence", "galaxy_likelihood", "star_colours"]

# A template is a star of this S/N in all bands together, seen in so many bands.
MIN_SNR, MIN_BAND_SNR, MIN_BANDS = 12.0, 3.0, 3
# With fewer than the least colours decide nothing; more than the most do not say more.
MIN_TEMPLATES, FEW_TEMPLATES, MAX_TEMPLATES = 3, 20, 80
# Spread of stars about the nearest of some tens of templates, a share of the flux; and about
# the nearest of a few.
SCATTER, FEW_SCATTER = 0.15, 0.4
# Spectra of a galaxy's pieces: its own, made bluer or redder by (lambda / lambda_0)^slope. Half
# of them scatter about that as stellar populations do, half as what a fit by a star makes of
# an edge or a clump that is none.
SLOPES = np.linspace(-1.6, 1.6, 17)
SLOPE_WIDTH, PIECE_SCATTERS = 0.6, (0.15, 0.6)
ROUNDS = 3
# A ratio of likelihoods (ln) beyond this is none: libraries are not complete.
MAX_COLOUR = 12.0
# Of stars in a galaxy so many have the colours of a piece, by a blend that several filters
# part in several ways, and of pieces so many those of a star: on 36 structured galaxies (300
# stars, 480 pieces) a ratio of -12 was worth -3.0, of -8 -1.3, of 4 1.5, and of 8 3.1.
MISTAKEN = 0.05
# What share of a star's typical ratio is the middle between the populations: pieces have
# one of their own, above zero, since half of their model is as narrow as a star's. From 0.1
# to 0.4 the answers on structured galaxies are the same.
MIDDLE = 0.2
# Width in ln(S/N) over which the stars outside are averaged.
KERNEL = 0.5


@dataclass(frozen=True, eq=False)
class StarColours:
    """Templates of star spectra.

    Parameters
    ----------
    flux, error : (nb, nt) arrays
        Of any brightness; an error is infinite in a band without data.
    source : (nt,) int array
        Which of the sources each template is.
    """

    flux: np.ndarray
    error: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return self.flux.shape[1]

    def log_likelihood(self, flux: np.ndarray, error: np.ndarray) -> np.ndarray:
        """How well sources have the colours of stars, (n,): mean over the templates.

        Parameters
        ----------
        flux, error : (nb, n) arrays
            Of all sources of the frame; none is compared with itself.
        """
        scatter = SCATTER if len(self) >= FEW_TEMPLATES else FEW_SCATTER
        pairs = zip(self.flux.T, self.error.T, strict=True)
        rows = np.array(
            [_log_likelihood(flux, error, own, spread, scatter) for own, spread in pairs]
        )
        rows[np.arange(len(self)), self.source] = -np.inf
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
        None with fewer than three bands or templates.
    """
    snr = flux / error
    total = np.sqrt((np.maximum(snr, 0) ** 2).sum(axis=0))
    good = outside & (total > MIN_SNR) & ((snr > MIN_BAND_SNR).sum(axis=0) >= MIN_BANDS)
    chosen = np.flatnonzero(good)
    chosen = chosen[np.argsort(-total[chosen], kind="stable")][:MAX_TEMPLATES]
    if len(chosen) < MIN_TEMPLATES:
        return None
    return StarColours(flux[:, chosen], error[:, chosen], chosen)


def colour_evidence(
    flux: np.ndarray,
    error: np.ndarray,
    outside: np.ndarray,
    sed: np.ndarray,
    log_wavelengths: np.ndarray,
) -> np.ndarray:
    """ln of the likelihood of a star's colours over that of a piece of the galaxy's, (n,).

    How dense the colours of pieces lie is not known beforehand, those of stars are: the
    sources outside tell what the ratio of a star of this brightness is. A share of that is
    the middle between the two populations, and is taken off.

    Parameters
    ----------
    flux, error : (nb, n) arrays
        Of all sources; an error is infinite where a source has no data.
    outside : (n,) bool array
        Which of them are beyond the galaxies.
    sed : (nb,) array
        The galaxy's light.
    log_wavelengths : (nb,) array
        ln(wavelength) of the bands, from any zero.

    Returns
    -------
    (n,) array
        Zeros where there is no library.
    """
    library = star_colours(flux, error, outside)
    if library is None:
        return np.zeros(flux.shape[1])
    # what no star outside was seen in cannot tell stars from pieces
    seen = np.isfinite(library.error).any(axis=1)
    if seen.sum() < MIN_BANDS or not (sed[seen] > 0).all():
        return np.zeros(flux.shape[1])
    flux, error, sed = flux[seen], error[seen], sed[seen]
    log_wavelengths = np.asarray(log_wavelengths)[seen]
    library = StarColours(library.flux[seen], library.error[seen], library.source)
    ratio = library.log_likelihood(flux, error)
    ratio -= galaxy_likelihood(flux, error, sed, log_wavelengths)
    ratio = np.clip(ratio, -MAX_COLOUR, MAX_COLOUR)
    snr = np.sqrt((np.maximum(flux / error, 0) ** 2).sum(axis=0))
    log_snr = np.log(np.maximum(snr, 1.0))
    apart = (log_snr[:, None] - log_snr[outside]) / KERNEL
    weight = np.exp(-0.5 * apart**2) + 1e-12
    typical = (weight @ ratio[outside]) / weight.sum(axis=1)
    return _as_sure_as_it_is(ratio - MIDDLE * np.maximum(typical, 0.0))


def _as_sure_as_it_is(ratio):
    """ln of the ratio of two likelihoods, each with a share of the other's."""
    own, other = np.log1p(-MISTAKEN), np.log(MISTAKEN)
    return np.logaddexp(ratio + own, other) - np.logaddexp(own, ratio + other)


def galaxy_likelihood(
    flux: np.ndarray, error: np.ndarray, sed: np.ndarray, log_wavelengths: np.ndarray
) -> np.ndarray:
    """How well sources have the colours of a galaxy's pieces, (n,).

    Parameters
    ----------
    flux, error : (nb, n) arrays
    sed : (nb,) array
        The galaxy's light.
    log_wavelengths : (nb,) array
        ln(wavelength) of the bands, from any zero.
    """
    weight = np.exp(-0.5 * (SLOPES / SLOPE_WIDTH) ** 2)
    rows = []
    for slope, own in zip(SLOPES, weight / weight.sum(), strict=True):
        template = sed * np.exp(slope * np.asarray(log_wavelengths))
        for scatter in PIECE_SCATTERS:
            row = _log_likelihood(flux, error, template, None, scatter)
            rows.append(np.log(own / len(PIECE_SCATTERS)) + row)
    return logsumexp(rows, axis=0)


def _log_likelihood(flux, error, template, spread, scatter):
    """ln of the likelihood of fluxes about a template of free amplitude, per unit of ln a."""
    template = template[:, None]
    # a band without data says nothing: not even how bright the template is there
    known = np.isfinite(error)
    variance = np.where(known, error, 1.0) ** 2
    share = (scatter * template) ** 2
    if spread is not None:
        share = share + np.where(np.isfinite(spread), spread, 1e15)[:, None] ** 2
    tiny = np.finfo(float).tiny
    width = variance
    for _ in range(ROUNDS):
        weight = np.maximum((known * template**2 / width).sum(axis=0), tiny)
        amplitude = np.maximum((known * flux * template / width).sum(axis=0) / weight, tiny)
        # an amplitude of nothing has no scatter of its own
        amplitude = np.maximum(amplitude, 1e-3 / np.sqrt(weight))
        width = variance + amplitude**2 * share
    chi2 = (known * (flux - amplitude * template) ** 2 / width).sum(axis=0)
    weight = np.maximum((known * template**2 / width).sum(axis=0), tiny)
    normal = (known * np.log(width)).sum(axis=0) + np.log(weight)
    return -0.5 * (chi2 + normal) - np.log(amplitude)
