"""What apertures cannot know: which of the point-like sources are stars.

What counts as a star is subtracted, what counts as a knot stays in. A source of flux f that is
a star with probability p, and of whose light the aperture holds the share s, makes the sum
uncertain by f s sqrt(p (1 - p)), the standard deviation of f s times a Bernoulli variable. The
source is the same in all filters, so the fluxes of two filters err together, and colours less.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.apertures import overlap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture, ApertureFlux, BandFit

__all__ = ["with_division_error"]


def with_division_error(
    measured: Mapping[str, Sequence[ApertureFlux]],
    fits: Mapping[str, BandFit],
    psfs: Mapping[str, EffectivePSF],
) -> dict[str, list[ApertureFlux]]:
    """Fluxes of all filters with the error of dividing stars from knots.

    It becomes part of ``star_err``, and of the covariances between filters; sources
    count as independent of each other.

    Parameters
    ----------
    measured : dict of str to sequence of galstep.records.ApertureFlux
        The same apertures in every filter, in its own pixels.
    fits : dict of str to galstep.records.BandFit
        Their ``stars`` and ``knots``; those with a ``star_probability`` of 0, 1 or NaN
        leave no doubt.
    psfs : dict of str to galstep.core.psf.effective.EffectivePSF

    Returns
    -------
    dict of str to list of galstep.records.ApertureFlux
        Where nothing is in doubt, as they were.
    """
    doubts = {name: [_doubt(fits[name], psfs[name], one) for one in measured[name]]
              for name in measured}  # fmt: skip
    return {
        name: [
            _added(name, one, {other: doubts[other][index] for other in measured}, measured, index)
            for index, one in enumerate(fluxes)
        ]
        for name, fluxes in measured.items()
    }


def _doubt(fit, psf, measured):
    """Number of the source to the 1 sigma that it makes the sum uncertain by."""
    doubt = {}
    for sources in (fit.stars, fit.knots):
        p = np.asarray(sources.star_probability, dtype=float)
        known = np.isfinite(sources.x) & np.isfinite(sources.y) & np.isfinite(sources.flux)
        chosen = sources.select(known & (p > 0) & (p < 1))
        if not len(chosen) or not np.isfinite(measured.flux):
            continue
        p = chosen.star_probability
        sigma = chosen.flux * np.sqrt(p * (1 - p)) * _shares(chosen, psf, measured.aperture)
        doubt |= dict(zip(chosen.star_id.tolist(), sigma.tolist(), strict=True))
    return doubt


def _shares(sources, psf, aperture: Aperture):
    """The share of each source's light that an aperture holds."""
    weights, renderer = overlap(aperture), StarRenderer(psf)
    x, y = sources.x - weights.bbox.ixmin, sources.y - weights.bbox.iymin
    half_size = renderer.half_size
    ny, nx = weights.shape
    near = (np.abs(x - (nx - 1) / 2) < nx / 2 + half_size) & (
        np.abs(y - (ny - 1) / 2) < ny / 2 + half_size
    )
    shares = np.zeros(len(x))
    if near.any():
        shares[near] = renderer.project(weights.data[None], x[near], y[near], half_size)[:, 0]
    return shares


def _added(name, one, doubts, measured, index):
    own = doubts[name]
    variance = sum(sigma**2 for sigma in own.values())
    if not variance > 0:
        return one
    error, seen = np.sqrt(variance), np.sqrt(variance) * _factor(one)
    corrected_err = float(np.hypot(one.flux_corr_err, seen))
    covariance = dict(one.covariance)
    for other, value in covariance.items():
        if other == name:
            covariance[other] = corrected_err**2
        elif other in doubts:
            shared = own.keys() & doubts[other].keys()
            both = sum(own[key] * doubts[other][key] for key in shared)
            factors = _factor(one) * _factor(measured[other][index])
            covariance[other] = float(value + both * factors)
    return replace(
        one,
        flux_err=float(np.hypot(one.flux_err, error)),
        star_err=float(np.hypot(one.star_err, error)),
        flux_corr_err=corrected_err,
        covariance=covariance,
    )


def _factor(measured):
    """From the flux to that through the reference PSF."""
    return 10 ** (-0.4 * np.nan_to_num(measured.psf_correction))
