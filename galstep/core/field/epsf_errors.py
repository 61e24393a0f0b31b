"""What is not known of a measured PSF does to fluxes: a jackknife over its stars.

The stars are left out in groups; what the others say gives a PSF P_g each. A source of true image
G_g = S * P_g that is fitted with G = S * P, flux and size free and weights 1 / v, has its flux
wrong by the factor f_g that solves

    min_(f, s) sum (G_g - f G - s dG/dsize)^2 / v,

and the relative error of the flux is sqrt((n - 1) / n sum_g (f_g - mean f)^2), n the number of
groups. Where the noise of the pixels alone makes a larger error, that counts: a few stars that
happen to agree do not make the PSF known. The error is common to all sources of a band that look
alike: it does not average out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve

from galstep.core.field.epsf_fit import normalised, solved
from galstep.core.field.epsf_law import profile_values
from galstep.core.field.psf_flux_errors import PsfFluxErrors

if TYPE_CHECKING:
    from galstep.core.field.epsf_fit import EpsfFit

__all__ = ["jackknifed_errors"]

# Groups of stars that are left out at a time.
_GROUPS = 20
# Half-light radii (pixels) of round Gaussians that stand for sources; 0: a star.
_SIZES = (0.0, 1.0, 2.0, 4.0, 8.0)
_HALF_LIGHT = 1.1774  # of a round Gaussian, in its sigma
_SIZE_STEP = 0.05  # of the derivative, relative


def jackknifed_errors(fit: EpsfFit) -> PsfFluxErrors:
    """Errors of a PSF from the scatter of what its stars say.

    Parameters
    ----------
    fit : EpsfFit
        Done.

    Returns
    -------
    PsfFluxErrors
    """
    sizes = np.array(_SIZES)
    if len(fit.stars) < 2 or not fit.equations:
        return PsfFluxErrors(sizes, np.full(len(sizes), np.nan))
    dx, dy, filters = _filters(fit)
    middle = tuple((n - 1) / 2 for n in fit.shape[::-1])

    def factors(coefficients):
        law = replace(fit.law, coefficients=coefficients)
        image = np.maximum(law.values(dx, dy, *middle), 0.0)
        return np.tensordot(filters, image, 2) / image.sum()

    found = np.array([factors(own) for own in _left_out(fit)])
    n = len(found)
    scatter = np.sqrt((n - 1) / n * np.sum((found - found.mean(axis=0)) ** 2, axis=0))
    return PsfFluxErrors(sizes, np.maximum(scatter, _formal(fit, dx, dy, filters)))


def _filters(fit):
    """Offsets, and per size the image whose product with a PSF is the factor of the flux."""
    half = int(fit.reach)
    offsets = np.arange(-half, half + 1.0)
    dx, dy = np.meshgrid(offsets, offsets)
    psf = np.maximum(fit.law.values(dx, dy, *((n - 1) / 2 for n in fit.shape[::-1])), 0.0)
    psf /= psf.sum()
    variance = fit.sigma**2 + fit.gain_term * psf * float(np.median([s.flux for s in fit.stars]))
    filters = []
    for size in _SIZES:
        model = _convolved(psf, size)
        columns = [model]
        if size:
            wider = _convolved(psf, size * (1 + _SIZE_STEP))
            columns.append((wider - model) / (_SIZE_STEP * size))
        columns = np.array([c.ravel() for c in columns])
        weighted = columns / variance.ravel()
        own = np.linalg.solve(weighted @ columns.T, weighted)[0].reshape(psf.shape)
        filters.append(_convolved(own, size))
    return dx, dy, np.array(filters)


def _formal(fit, dx, dy, filters):
    """The errors that follow from the noise of the pixels alone, by the size of the source."""
    n_modes, n_terms = fit.law.coefficients.shape
    covariance = np.linalg.inv(fit.summed()[0])
    own = np.arange(n_modes) * n_terms  # in the middle of the image there are the constants alone
    covariance = covariance[np.ix_(own, own)]
    profile = profile_values(fit.law.profile, fit.kind, dx, dy)
    images = profile * fit.modes.values(dx, dy)
    slopes = np.tensordot(filters, images, ((1, 2), (1, 2))) - images.sum(axis=(1, 2))
    slopes /= profile.sum()
    return np.sqrt(np.einsum("sm,mk,sk->s", slopes, covariance, slopes))


def _left_out(fit):
    """Coefficients without one group of stars after the other."""
    n_modes, n_terms = fit.law.coefficients.shape
    matrix, vector = fit.summed()
    light, total = fit.profile_light
    groups = min(_GROUPS, len(fit.equations))
    for g in range(groups):
        own, target = matrix.copy(), vector.copy()
        for star in fit.equations[g::groups]:
            own -= star.joint[0]
            target -= star.joint[1]
        coefficients, _ = solved(own, target, n_modes, n_terms)
        yield normalised(coefficients, light, total, fit.modes.round_ones)


def _convolved(psf, size):
    if not size:
        return psf
    half = psf.shape[0] // 2
    offsets = np.arange(-half, half + 1.0)
    own = np.exp(-0.5 * (offsets * _HALF_LIGHT / size) ** 2)
    own /= own.sum()
    return fftconvolve(psf, own[:, None] * own, mode="same")
