"""How well filters are aligned, learned from all of them together.

Filters of one cutout are aligned to some thousandths of a pixel or to some tenths, and which
is told by their shifts d themselves, of covariance C: the width t of their common Gaussian
distribution is that which makes them most probable,

    t = argmax N(d; 0, C + t^2)

(type-II maximum likelihood). As the width of the prior of the next fit it keeps a poorly
measured shift from following the noise, and where offsets are real it is wide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.detection.ladder_options import LadderResult

__all__ = ["registration_width"]

# Pixels: no cutout is aligned better, and what is worse has no prior.
NARROWEST, WIDEST = 1e-3, 1.0
N_WIDTHS = 61


def registration_width(result: LadderResult) -> float:
    """The width of the distribution of the registrations of a fit, pixels of the scene.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
        With registrations measured under a prior that is no narrower than `WIDEST`.

    Returns
    -------
    float
        From `NARROWEST` to `WIDEST`; the latter without two registered bands.
    """
    covariance, state = result.covariance, result.solution.state
    registration = covariance.layout.registration
    if len(registration) < 2:
        return WIDEST
    places = np.concatenate([np.r_[own] for own in registration.values()])
    shifts = np.concatenate([state.shift[band] for band in registration])
    errors = covariance.factor.border_inverse()[np.ix_(places, places)]
    values, vectors = np.linalg.eigh(errors)
    power = (vectors.T @ shifts) ** 2
    widths = np.geomspace(NARROWEST, WIDEST, N_WIDTHS)
    variance = np.maximum(values, 0.0)[:, None] + widths**2
    likelihood = -0.5 * (np.log(variance) + power[:, None] / variance).sum(axis=0)
    return float(widths[np.argmax(likelihood)])
