"""The point-like sources of a fitted scene told apart: stars, and knots of the target.

The fit keeps them all, so that profiles and neighbours are not bent; what is counted is
decided here (`galstep.core.population.membership`). A knot is light of the target: of its
total, of its image, not of the stars that are subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.normal import wing_half_sizes
from galstep.core.imaging.medians import median
from galstep.core.imaging.resample import SceneSampler
from galstep.core.imaging.sersic import elliptical_radius
from galstep.core.measurement.measure import with_shared_flags, without_faint
from galstep.core.population.extent import extent_evidence, source_growth
from galstep.core.population.membership import star_membership
from galstep.flags import BandFlag

if TYPE_CHECKING:
    from galstep.core.detection.ladder_options import LadderResult
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.measurement.measure import SceneMeasurement
    from galstep.core.population.membership import Membership

__all__ = ["scene_membership", "with_knots"]

# Width of the annuli in which the target's light is looked up, in FWHM, and how many.
ANNULUS_FWHM = 1.0
# Nothing so far from the target (r_eff of its largest profile) is a piece of it: 5 r_eff hold
# all but 0.2 % of an exponential disc and 5 % of n = 4.
REACH = 5.0
# The farthest quarter of the frame tells what is no galaxy.
FAR = 0.75
# What the division leaves open bends the shape that all filters share.
SHARED_FLAGS = BandFlag.KNOTS | BandFlag.STARS_UNCERTAIN
# Flags: knots of more than this share of the total, and an error of the division that is
# larger than this share or than the rest of the error.
KNOT_SHARE, OPEN_SHARE = 0.01, 0.01


def with_knots(measured: SceneMeasurement, result: LadderResult) -> SceneMeasurement:
    """A measurement whose point-like sources are divided into stars and knots.

    Parameters
    ----------
    measured : `galstep.core.measurement.measure.SceneMeasurement`
        All point-like sources are in the lists of stars.
    result : `galstep.core.detection.ladder.LadderResult`
        What it was made from.

    Returns
    -------
    SceneMeasurement
        Stars only in the lists and images of stars; totals and their covariance with the
        knots, and with what the division leaves open.
    """
    bands, state = result.bands, result.solution.state
    membership = scene_membership(result)
    if membership is None or not membership.inside.any():
        return measured
    errors = result.covariance.star_flux_errors(bands)
    open_flux = _open_covariance(state, membership)
    parts = [
        _divided(fit, band, i, state, membership, errors[i], open_flux[i, i])
        for i, (fit, band) in enumerate(zip(measured.fits, bands, strict=True))
    ]
    knots = [part.knots for part in parts]
    return replace(
        measured,
        fits=with_shared_flags([part.fit for part in parts], SHARED_FLAGS),
        stars=[image - own for image, own in zip(measured.stars, knots, strict=True)],
        knots=knots,
        flux_covariance=measured.flux_covariance
        + open_flux
        + np.diag([part.knot_variance for part in parts]),
    )


def scene_membership(result: LadderResult) -> Membership | None:
    """Which sources of a fitted scene are stars; None without sources or a galaxy.

    A probability that the scene's state has already stays: once a star is held to the
    colours of stars its own say nothing more.
    """
    bands, state = result.bands, result.solution.state
    if not state.n_stars or not len(state.shapes):
        return None
    errors = result.covariance.star_flux_errors(bands)
    lights = [_target_light(band, i, result) for i, band in enumerate(bands)]
    growth = source_growth(bands, state, result.solution.evaluation)
    fwhm = min(band.fwhm_in_scene for band in bands)
    evidence = partial(extent_evidence, *growth, fwhm=fwhm)
    membership = _membership(bands, state, errors, lights, evidence)
    known = np.isfinite(state.star_probability)
    probability = np.where(known, state.star_probability, membership.star_probability)
    return replace(membership, star_probability=probability)


def _target_light(band, index, result):
    """The target's light in a band, (ny, nx): its model, or its isophotes' median if more.

    The median of an annulus knows no stars, nor what a poor model has left to them.
    """
    state, evaluation = result.solution.state, result.solution.evaluation
    own = state.target
    images = evaluation.images(index)
    model = np.tensordot(state.galaxy_flux[index][own], images[own], axes=1)
    model = model + band.structure_light
    others = np.tensordot(state.galaxy_flux[index][~own], images[~own], axes=1)
    main = int(np.argmax(np.where(own, state.galaxy_flux[index], -np.inf)))
    vector = band.own_vector(state.shapes_in(band)[main], state.shift[index])
    light = evaluation.residuals[index] + evaluation.stars[index] + model
    radius = elliptical_radius(band.shape, vector)
    good = ~band.mask & (others < band.sigma)
    step = ANNULUS_FWHM * band.star_renderer.psf.fwhm
    edges = np.arange(0.0, radius.max() + step, step)
    ring = np.digitize(radius, edges) - 1
    profile = np.array([median(light[good & (ring == k)]) for k in range(len(edges))])
    known = np.isfinite(profile)
    # farther out what is bright is another galaxy's
    near = radius < REACH * np.exp(state.shapes_in(band)[own, 2].max()) * band.scale
    if not known.any():
        return np.where(near, np.maximum(model, 0.0), 0.0)
    far = good & (radius > np.quantile(radius, FAR))
    level = max(median(light[far]), 0.0) if far.any() else 0.0
    profile = np.interp(radius, edges[known] + step / 2, profile[known] - level)
    return np.where(near, np.maximum(np.maximum(model, profile), 0.0), 0.0)


def _membership(bands, state, errors, lights, evidence):
    """`star_membership` of the sources of a scene."""
    fluxes, under, snr, covered = [], [], 0.0, False
    for i, (band, light) in enumerate(zip(bands, lights, strict=True)):
        flux = light * band.star_renderer.psf.noise_area
        x, y = band.to_pixels(state.x, state.y, state.shift[i])
        ny, nx = band.shape
        ix, iy = (np.clip(np.rint(v).astype(int), 0, n - 1) for v, n in ((x, nx), (y, ny)))
        known = np.isfinite(errors[i])
        fluxes.append(np.where(known, state.star_flux[i], 0.0))
        under.append(flux[iy, ix])
        if known.any():
            on_scene, seen = _on_scene(band, flux, state.shift[i])
            snr = snr + (on_scene / np.median(errors[i][known])) ** 2
            covered = covered | seen
    return star_membership(
        np.array(fluxes),
        errors,
        np.array(under),
        np.sqrt(snr) * np.ones(bands[0].scene_shape),
        covered & np.ones(bands[0].scene_shape, dtype=bool),
        np.array([light.sum() for light in lights]),
        np.array([band.log_wavelength for band in bands]),
        evidence,
    )


def _on_scene(band, image, shift):
    """An image, and where it has data, at the scene's pixels."""
    if band.in_scene_frame:
        return image, ~band.mask
    sampler = SceneSampler(band, shift)
    return sampler.linear(image), sampler.covered(~band.mask)


def _open_covariance(state, membership):
    """Covariance between bands of the light whose belonging is open, (nb, nb).

    A source of fluxes f is a star with probability p: a Bernoulli variable, of variance
    p (1 - p) f f'.
    """
    p = membership.star_probability
    flux = state.star_flux * np.sqrt(p * (1 - p))
    return flux @ flux.T


@dataclass(frozen=True, eq=False)
class _Part:
    """One band divided."""

    fit: object
    knots: np.ndarray
    knot_variance: float


def _divided(fit, band, index, state, membership, errors, open_variance):
    """A band's fit with stars and knots apart, the knots' image and the variance of their sum."""
    star = membership.is_star
    flux, inside = state.star_flux[index], membership.inside
    known = np.isfinite(errors)
    image = _image(band, index, state, ~star)
    knot_flux = float(flux[~star & known].sum())
    variance = float((errors[~star & known] ** 2).sum())
    total = fit.total_flux + knot_flux
    found = fit.stars
    found = replace(found, star_probability=membership.star_probability)
    share = _beyond(flux[inside & known], membership.n_expected) / total if total > 0 else np.nan
    flags, reason = _flags(fit, knot_flux, total, np.sqrt(open_variance), (~star).sum())
    fit = replace(
        fit,
        stars=found.select(star),
        knots=found.select(~star),
        knot_flux=knot_flux,
        total_flux=total,
        total_flux_err=float(np.sqrt(fit.total_flux_err**2 + variance + open_variance)),
        core_star_share=share,
        n_core_found=int(inside.sum()),
        n_core_expected=membership.n_expected,
        flags=fit.flags | flags,
        reason="; ".join(text for text in (fit.reason, reason) if text),
    )
    return _Part(without_faint(fit), image, variance)


def _image(band: SceneBand, index: int, state: SceneState, chosen: np.ndarray) -> np.ndarray:
    """The chosen sources as the fit has drawn them."""
    x, y = band.to_pixels(state.x[chosen], state.y[chosen], state.shift[index])
    sizes = wing_half_sizes(band, state.star_flux[index])[chosen]
    flux = state.star_flux[index][chosen]
    return band.star_renderer.render(band.shape, x, y, flux, half_sizes=sizes)


def _beyond(flux: np.ndarray, n_expected: float) -> float:
    """Light of the sources beyond the number expected, the typical one taken for those."""
    if not len(flux) or not np.isfinite(n_expected):
        return np.nan
    return float(flux.sum() * max(0.0, 1 - n_expected / len(flux)))


def _flags(fit, knot_flux, total, open_error, n_knots: int) -> tuple[int, str]:
    """Bits and words for what the division found."""
    flags, reasons = 0, []
    size = max(abs(total), np.finfo(float).tiny)
    if n_knots and abs(knot_flux) > KNOT_SHARE * size:
        flags |= int(BandFlag.KNOTS)
        reasons.append(f"{n_knots} knots hold {100 * knot_flux / size:.0f} % of the galaxy's light")
    if open_error > max(OPEN_SHARE * size, fit.total_flux_err):
        flags |= int(BandFlag.STARS_UNCERTAIN)
        reasons.append(f"stars or knots: {100 * open_error / size:.0f} % of the light is open")
    return flags, "; ".join(reasons)
