"""A prior on the colours of stars in a galaxy's core, from the frame's own stars.

Where stars crowd on a galaxy's core, light is traded between them and with the galaxy in
bands that blur them together, and chi2 hardly sees that a star has gone negative there. The
frame's stars tell which colours there are. For a star of fluxes f and errors e, with the
library's templates T_k of errors s_k, and a_k the best amplitude with the variance
v_k = e^2 + (SCATTER a T)^2 + (a s)^2,

    w_k ~ exp(-chi2_k / 2),  mu = sum_k w_k a_k T_k,
    S = sum_k w_k (a_k T_k - mu)(a_k T_k - mu)' + diag(sum_k w_k (SCATTER a_k T_k)^2)
        + diag((ERROR_SHARE e)^2),
    Q = S^-1 - S^-1 mu mu' S^-1 / (mu' S^-1 mu),

the precision of the fluxes with the amplitude free: Q mu = 0. chi2 grows by f' Q f. It is
made anew before each fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.population.colours import FEW_TEMPLATES, ROUNDS, SCATTER

if TYPE_CHECKING:
    from galstep.core.population.colours import StarColours

__all__ = ["colour_precision"]

# The fit's own errors have a say in how sharp the prior may be, or it would hold a star on
# the first template that is near.
ERROR_SHARE = 0.3


def colour_precision(flux: np.ndarray, error: np.ndarray, library: StarColours) -> np.ndarray:
    """Precision matrices of the fluxes of stars.

    Parameters
    ----------
    flux, error : (nb, n) arrays
        Of the stars; an error is infinite where a star has no data.
    library : `galstep.core.population.colours.StarColours`

    Returns
    -------
    (n, nb, nb) array
        Zeros where the library has too few stars to hold any.
    """
    n_bands, n = flux.shape
    precision = np.zeros((n, n_bands, n_bands))
    if len(library) < FEW_TEMPLATES:
        return precision
    largest = 1e6 * np.nanmax(np.where(np.isfinite(error), error, 0.0), initial=1e-300)
    bounded = np.minimum(error, largest)
    spread = np.minimum(library.error, largest)
    for i in range(n):
        precision[i] = _precision(flux[:, i], bounded[:, i], library.flux.T, spread.T)
    return precision


def _precision(flux, error, templates, spread):
    """Q of one star; templates and their errors (nt, nb)."""
    tiny = np.finfo(float).tiny
    variance = error**2 + np.zeros_like(templates)
    for _ in range(ROUNDS):
        information = (templates**2 / variance).sum(axis=1)
        amplitude = (flux * templates / variance).sum(axis=1) / np.maximum(information, tiny)
        amplitude = np.maximum(amplitude, 1e-3 / np.sqrt(np.maximum(information, tiny)))[:, None]
        scatter = (SCATTER * amplitude * templates) ** 2
        variance = error**2 + scatter + (amplitude * spread) ** 2
    light = amplitude * templates
    chi2 = ((flux - light) ** 2 / variance).sum(axis=1)
    weight = np.exp(-0.5 * (chi2 - chi2.min()))
    weight /= weight.sum()
    mean = weight @ light
    apart = light - mean
    covariance = (apart.T * weight) @ apart
    covariance += np.diag(weight @ scatter + (ERROR_SHARE * error) ** 2)
    unit = 1 / np.sqrt(np.diag(covariance))
    inverse = np.linalg.inv(covariance * np.outer(unit, unit)) * np.outer(unit, unit)
    along = inverse @ mean
    return inverse - np.outer(along, along) / (mean @ along)
