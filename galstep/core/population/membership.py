"""Which point-like sources inside a galaxy are stars of the frame, and which are its own.

A fit of stars takes what is point-like, and a galaxy has knots, clumps and edges that are.
The stars of the frame do not know of the galaxy: how many of them, and how bright, lie inside
it is what the rest of the frame predicts. What is found beyond that is galaxy. So the sources
inside are a mixture of two populations,

    stars:  expected number per ln(brightness) from outside, spread evenly; colours of the
            frame's stars;
    pieces: an unknown number; brightness a share of the galaxy's light under them, the
            shares log-normal; colours about the galaxy's own.

The number of pieces, and the median and width of their shares, are found by expectation and
maximisation (Dempster, Laird & Rubin 1977), with weak priors on the latter; each source then
has a probability of being a star.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.population.colours import colour_evidence

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Membership", "star_membership"]

# Inside is where the galaxy's light under a star is so many errors of a star's flux: a
# piece as bright as all of that light could just be found.
INSIDE_SNR = 4.0
# Width in ln(brightness) over which the stars outside are counted, and what the count is at
# least (stars).
KERNEL, LEAST_COUNT = 0.5, 0.1
# A frame's stars are not spread evenly: their density inside may be that outside within such
# a share and the chance of so few. The benefit of one sigma is the stars'.
UNEVEN = 0.25
# Priors of the pieces' shares of the light under them: median and width in ln, and for how
# many pieces they count.
SHARE, SHARE_WIDTH, PRIOR_PIECES = 0.1, 0.6, 8.0
MIN_WIDTH, MAX_WIDTH = 0.3, 0.9
ROUNDS = 50
# What a galaxy's own departures from its model, a share of its light, do to a star's colours.
LIGHT_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class Membership:
    """What is known of the sources of a frame.

    Parameters
    ----------
    star_probability : (n,) array
        Of being a star; 1 outside of the galaxy.
    inside : (n,) bool array
        Whether the galaxy's light could make a piece of the source's brightness.
    n_expected : float
        Stars expected inside from the rest of the frame, of those bright enough to be
        found; NaN if nothing lies outside.
    """

    star_probability: np.ndarray
    inside: np.ndarray
    n_expected: float

    @property
    def is_star(self) -> np.ndarray:
        """(n,) bool: more probably a star than not."""
        return self.star_probability > 0.5


def star_membership(
    flux: np.ndarray,
    error: np.ndarray,
    light: np.ndarray,
    light_snr: np.ndarray,
    covered: np.ndarray,
    sed: np.ndarray,
    log_wavelengths: np.ndarray,
    evidence: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Membership:
    """The probability of each source to be a star.

    Parameters
    ----------
    flux, error : (nb, n) arrays
        Of all sources; an error is infinite where a source has no data.
    light : (nb, n) array
        Flux of a star as bright as the target's light under each source.
    light_snr : (ny, nx) array
        That flux at every pixel of the scene, in errors of a lone star's flux, the bands
        added in quadrature.
    covered : (ny, nx) bool array
        Pixels with data in a band at least.
    sed : (nb,) array
        The target's light in each band.
    log_wavelengths : (nb,) array
        ln(wavelength) of the bands, from any zero.
    evidence : callable, optional
        What else is known: ``evidence(outside, snr)`` returns ln of the likelihood of being
        a star over that of being a piece, (n,), given which sources are outside and their
        S/N.

    Returns
    -------
    Membership
    """
    n = flux.shape[1]
    typical = _typical_errors(error)
    bright = np.sqrt((np.maximum(flux, 0) ** 2 / typical[:, None] ** 2).sum(axis=0))
    under = np.sqrt((light**2 / typical[:, None] ** 2).sum(axis=0))
    inside = (under > INSIDE_SNR) & (bright > 0)
    area_in = np.count_nonzero(covered & (light_snr > INSIDE_SNR))
    area_out = np.count_nonzero(covered) - area_in
    expected = _expected(np.log(np.maximum(bright, 1e-300)), ~inside & (bright > 0), area_out)
    n_expected = float(np.count_nonzero(~inside) * area_in / area_out) if area_out else np.nan
    probability = np.ones(n)
    if inside.any():
        blurred = np.hypot(error, LIGHT_SHARE * light)
        colour = colour_evidence(flux, blurred, ~inside, sed, log_wavelengths)
        own = np.flatnonzero(inside)
        log_star = np.log(_crowding(n_expected) * max(int(area_in), 1) * expected[own])
        log_star += colour[own]
        if evidence is not None:
            log_star += evidence(~inside, bright)[own]
        probability[own] = _mixture(log_star, np.log(bright[own] / under[own]))
    return Membership(probability, inside, n_expected)


def _typical_errors(error):
    """Median error of each band's sources; infinite without any."""
    known = [own[np.isfinite(own)] for own in error]
    return np.array([np.median(own) if len(own) else np.inf for own in known])


def _crowding(n_expected):
    """Density inside over that outside that is no surprise where so many are expected."""
    number = max(n_expected, LEAST_COUNT) if np.isfinite(n_expected) else LEAST_COUNT
    return 1 + np.sqrt(UNEVEN**2 + 1 / number)


def _expected(log_bright, outside, area):
    """Stars per pixel and ln(brightness) at the brightness of each source."""
    known = log_bright[outside]
    apart = (log_bright[:, None] - known) / KERNEL
    count = np.exp(-0.5 * apart**2).sum(axis=1) / (KERNEL * np.sqrt(2 * np.pi))
    return (count + LEAST_COUNT) / max(area, 1)


def _mixture(log_star, log_share):
    """Probabilities of being a star, of sources inside."""
    median, width = np.log(SHARE), SHARE_WIDTH
    # begin with what is in excess of the stars expected
    number = max(len(log_share) - np.exp(np.minimum(log_star, 0.0)).sum(), 1.0)
    for _ in range(ROUNDS):
        log_piece = np.log(number / (width * np.sqrt(2 * np.pi)))
        log_piece = log_piece - 0.5 * ((log_share - median) / width) ** 2
        piece = 1 / (1 + np.exp(np.clip(log_star - log_piece, -50, 50)))
        number = max(piece.sum(), 0.5)
        total = piece.sum() + PRIOR_PIECES
        median = (piece @ log_share + PRIOR_PIECES * np.log(SHARE)) / total
        spread = piece @ (log_share - median) ** 2 + PRIOR_PIECES * SHARE_WIDTH**2
        width = np.clip(np.sqrt(spread / total), MIN_WIDTH, MAX_WIDTH)
    return 1 - piece
