"""The joint fit: all bands at once, one galaxy, one star list, everything free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.detection.ladder import known_variance
from galstep.core.detection.ladder_options import ONE_PASS, LadderOptions
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.detection.star_groups import with_groups
from galstep.core.engine.scene import CORE_IN_R_EFF, Freedom, SceneState
from galstep.core.fitting.fits import shape_bounds
from galstep.core.fitting.galaxy_first import robust_galaxy_fit
from galstep.core.fitting.gls import gls_result
from galstep.core.fitting.knots import scene_membership, with_knots
from galstep.core.fitting.model_choice import (
    run_again,
    with_components,
    with_gradient,
    without_sky_player,
)
from galstep.core.fitting.registration_prior import registration_width
from galstep.core.measurement.measure import measure_scene
from galstep.core.noise.errors import pixel_sigma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.priors import ShapePrior
    from galstep.core.engine.scene import SceneBand
    from galstep.core.measurement.measure import SceneMeasurement
    from galstep.records import BandFit

__all__ = ["fit_joint"]

# Below it a band's galaxy is no better a start than a shape at a bound.
MIN_START_SNR = 10.0


def _on_scene(fit):
    """Positions of a band's stars in the scene's frame, its registration taken out."""
    x, y = fit.pixel_map.inverse().points(fit.sources.x, fit.sources.y)
    return x - fit.offset[0], y - fit.offset[1]


def _union_of_stars(fits, base_index, separation):
    """Stars of all bands, the base's first, in the base's frame.

    A star of another band is new where none of the list is within
    ``separation`` pixels.
    """
    order = [base_index] + [i for i in range(len(fits)) if i != base_index]
    x, y = np.zeros(0), np.zeros(0)
    star_id = np.zeros(0, dtype=int)
    for i in order:
        (new_x, new_y), new_id = _on_scene(fits[i]), fits[i].sources.star_id
        if len(x) and len(new_x):
            distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([new_x, new_y]))
            keep = distance > separation
            new_x, new_y, new_id = new_x[keep], new_y[keep], new_id[keep]
        x, y = np.concatenate([x, new_x]), np.concatenate([y, new_y])
        star_id = np.concatenate([star_id, new_id])
    return x, y, star_id


def _fluxes_at(fits, x, y, reach):
    """Start fluxes: each band's own value where it has the star, else 0."""
    flux = np.zeros((len(fits), len(x)))
    for i, fit in enumerate(fits):
        if not len(fit.sources) or not len(x):
            continue
        distance, nearest = cKDTree(np.column_stack(_on_scene(fit))).query(np.column_stack([x, y]))
        same = distance < reach
        flux[i, same] = np.nan_to_num(fit.sources.flux[nearest[same]])
    return flux


def _start_shapes(bands, fits, base_index, bounds):
    """Shapes of the base's components, and whether they were looked for afresh.

    A base fit that ended at a bound (on a star, or with the sky for a galaxy)
    holds the joint fit there, and all fits that took its shape are none either.
    Then every band is looked at as if nothing were known, and the one that shows
    the galaxy best is the start.
    """
    shapes = [component.params.to_vector() for component in fits[base_index].sersic]
    shapes = [bounds.clip(shape) for shape in shapes]
    if len(fits[base_index].target) > 1 or not bounds.at_bound(shapes[0]):
        return shapes, False
    found = [_fresh_start(*pair, bounds) for pair in zip(bands, fits, strict=True)]
    snr, shape = max(found, key=lambda one: one[0])
    return ([shape], True) if snr > MIN_START_SNR else (shapes, False)


def _fresh_start(band, fit, bounds):
    """S/N and shape of the galaxy in a band, before any star is looked for."""
    if not band.in_scene_frame:
        return 0.0, None
    sigma = pixel_sigma(band)
    sigma[sigma == 0] = np.inf
    first = robust_galaxy_fit(band.data, band.mask, sigma, band.star_renderer.psf)
    dx, dy = fit.offset
    shape = bounds.clip(first.params.moved(-dx, -dy).to_vector())
    if bounds.at_bound(shape) or first.flux <= 0:
        return 0.0, None
    return np.linalg.norm(first.galaxy / sigma), shape


def _outside(x, y, shape):
    """Which places are not in a galaxy's core."""
    return np.hypot(x - shape[0], y - shape[1]) > CORE_IN_R_EFF * np.exp(shape[2])


def _with_colours_of_stars(result, freedom, options, bounds, base):
    """The fit once more, to its end, what is probably a star held to the colours of stars."""
    state, membership = result.solution.state, scene_membership(result)
    if options.colour_prior and membership is not None:
        state = replace(state, star_probability=membership.star_probability)
    return run_again(result, state, freedom, options, bounds, base)


def fit_joint(
    bands: Sequence[SceneBand],
    fits: Sequence[BandFit],
    base_index: int,
    options: LadderOptions = ONE_PASS,
    register: bool = True,
    *,
    two: str = "false",
    shape_freedom: str = "pinned",
    priors: Sequence[ShapePrior] = (),
    gls: bool = False,
) -> SceneMeasurement:
    """All bands at once: one galaxy, one star list, everything free.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    fits : sequence of `galstep.records.BandFit`
        The single-band results, in the same order: where to start. The galaxy
        has at least as many components as that of the base.
    base_index : int
        The band that defines the scene's frame.
    options : `LadderOptions`, optional
    register : bool, optional
        Whether the registration of the other bands is free.
    two : {"false", "true", "auto"}, optional
        Whether a galaxy of one component is given a second.
    shape_freedom : str, optional
        What of the shape changes with wavelength: a name of
        `galstep.core.fitting.model_choice.SHAPE_FREEDOMS`, or ``"auto"``.
    priors : sequence of `galstep.core.engine.priors.ShapePrior`, optional
    gls : bool, optional
        End with steps weighted by the measured covariance of the noise.

    Returns
    -------
    SceneMeasurement
        With the ``shape_freedom`` that was used.
    """
    bounds, base = shape_bounds(bands[base_index].shape), known_variance(bands)
    sharpest = min(band.fwhm_in_scene for band in bands)
    x, y, star_id = _union_of_stars(fits, base_index, 0.5 * sharpest)
    shapes, fresh = _start_shapes(bands, fits, base_index, bounds)
    if fresh:  # what was found there beside no galaxy may be the galaxy
        keep = _outside(x, y, shapes[0])
        x, y, star_id = x[keep], y[keep], star_id[keep]
    state = SceneState.start(
        bands,
        shapes,
        [[component.flux for component in fit.sersic] for fit in fits],
        [fit.sky.coefficients for fit in fits],
        [fit.offset for fit in fits],
        [component.galaxy_id for component in fits[base_index].sersic][: len(shapes)],
    ).with_stars(x, y, _fluxes_at(fits, x, y, 0.5 * sharpest), star_id)
    others = tuple(i for i in range(len(bands)) if i != base_index)
    freedom = Freedom(
        registration=others if register else (),
        shape_priors=tuple(priors),
    )
    first = replace(options, colour_prior=False, final=False)
    result = run_ladder(bands, state, freedom, first, bounds, base)
    freedom = replace(freedom, registration_prior=registration_width(result))
    if two != "true":
        result = without_sky_player(result, freedom, first, bounds, base)
    result = with_components(result, freedom, first, bounds, base, two)
    freedom, name = with_gradient(result, freedom, shape_freedom)
    result = _with_colours_of_stars(result, freedom, options, bounds, base)
    if two != "true":
        result = without_sky_player(result, freedom, options, bounds, base)
    if gls:
        result = gls_result(result, freedom, bounds)
    first_star_id = int(star_id.max(initial=0)) + 1
    measured = measure_scene(result, freedom, "jointfit", bounds, first_star_id, base_index)
    fits = with_groups(measured.fits, bands, options)
    return with_knots(replace(measured, fits=fits, shape_freedom=name), result)
