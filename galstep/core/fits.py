"""The fits that the steps are made of: base, scaled, forced and joint.

All four are the same engine on the same scene; they differ in what is free and
in where the stars come from.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.covariance import COVARIANCE_HALF_SIZE
from galstep.core.ladder import LadderOptions, known_variance, run_ladder
from galstep.core.measure import measure_scene, with_shape_errors
from galstep.core.normal import evaluate, normal_equations
from galstep.core.scene import Freedom, SceneState
from galstep.core.solve import ShapeBounds

__all__ = ["fit_base", "fit_forced", "fit_joint", "fit_scaled", "shape_bounds"]

PINNED = (False,) * 6
# A star that another band knows is looked for this close to where that band
# has it (pixels, 1 sigma).
KNOWN_POSITION_PRIOR = 0.3
# No search, no pruning: the stars that are listed, and no others.
AS_LISTED = LadderOptions(thresholds=(), floor_passes=0, keep=-np.inf, merge=0.0)


def shape_bounds(shape):
    """Bounds for a galaxy on a frame of this (ny, nx): r_eff up to half of it."""
    return ShapeBounds(r_eff=(0.5, 0.5 * max(shape)))


def fit_base(band, first, options=LadderOptions()):
    """Galaxy, stars and sky of one band, everything free.

    Parameters
    ----------
    band : `galstep.core.scene.SceneBand`
    first : `galstep.core.galaxy_first.GalaxyFirst`
        The start, fitted before any star was detected.
    options : `LadderOptions`, optional

    Returns
    -------
    SceneMeasurement
    """
    bounds = shape_bounds(band.shape)
    state = SceneState.start(
        [band], [bounds.clip(first.params.to_vector())], [[first.flux]], [first.sky_coefficients]
    )
    result = run_ladder([band], state, Freedom(), options, bounds)
    return measure_scene(result, Freedom(), "basefit", bounds)


def _known_state(band, base_fit):
    """Shape and stars of a base fit as the start in another band."""
    component, stars = base_fit.sersic[0], base_fit.stars
    state = SceneState.start([band], [component.params.to_vector()])
    flux = np.nan_to_num(stars.flux)[None, :]
    return state.with_stars(stars.x, stars.y, flux, stars.star_id)


def _position_errors(stars):
    """One error per star for x and y alike, also where none is known."""
    error = np.hypot(stars.x_err, stars.y_err) / np.sqrt(2)
    return np.clip(np.where(np.isfinite(error), error, KNOWN_POSITION_PRIOR), 1e-3, None)


def _fit_pinned(band, base_fit, step, freedom, options, register, first_star_id):
    """Fit a band with the base's shape, after measuring its registration.

    The registration comes from all stars and the galaxy together and is held
    afterwards. The base's positions are known to their errors only: without
    these a star that is bright here and faint there would decide alone.
    """
    bounds, base = shape_bounds(band.shape), known_variance([band])
    state, bands, offset_err = _known_state(band, base_fit), [band], (np.nan, np.nan)
    if register:
        together = Freedom(
            shape=PINNED, registration=(0,), position_prior=_position_errors(base_fit.stars)
        )
        rough = replace(AS_LISTED, final_tolerance=1.0)
        result = run_ladder(bands, state, together, rough, bounds, base)
        bands = result.bands
        state = replace(result.solution.state, x=state.x, y=state.y)
        offset_err = result.covariance.registration_error(0)
    result = run_ladder(bands, state, freedom, options, bounds, base)
    measured = measure_scene(result, freedom, step, bounds, first_star_id)
    fit = replace(with_shape_errors(measured.fits[0], base_fit), offset_err=offset_err)
    slope = _flux_slope(result, freedom)
    fit = replace(fit, sersic=(_with_shape_share(fit.sersic[0], base_fit, slope),))
    return replace(measured, fits=[fit])


def _flux_slope(result, freedom):
    """How a pinned fit's galaxy flux follows the shape: d flux / d shape, (6,).

    With K the normal matrix of the parameters that were free and C their
    coupling to the shape, the minimum moves by -K^-1 C per unit of the shape.
    """
    solution, bands = result.solution, result.bands
    state, n_shape = solution.state, len(PINNED)
    wide = replace(freedom, shape=(True,) * n_shape)
    evaluation = evaluate(bands, state, solution.half_sizes, wide)
    matrix = normal_equations(
        bands, state, evaluation, solution.half_sizes, wide, COVARIANCE_HALF_SIZE
    ).matrix
    place = result.covariance.layout.galaxy_flux(0)
    moves = [
        result.covariance.factor.solve(matrix.border[n_shape:, k], matrix.coupling[k])[0]
        for k in range(n_shape)
    ]
    return -np.array(moves)[:, place]


def _with_shape_share(component, base_fit, slope):
    """A pinned component whose flux error includes that of the base's shape."""
    shape = base_fit.sersic[0].covariance
    if shape is None or not np.isfinite(shape[:6, :6]).all():
        return component
    covariance = component.covariance.copy()
    covariance[6, 6] += slope @ shape[:6, :6] @ slope
    return replace(component, flux_err=float(np.sqrt(covariance[6, 6])), covariance=covariance)


def fit_scaled(band, base_fit, options=LadderOptions(), register=True, first_star_id=1):
    """One band with the shape and centre of the base, its own stars and sky.

    Parameters
    ----------
    band : `galstep.core.scene.SceneBand`
    base_fit : `galstep.records.BandFit`
        The base filter's.
    options : `LadderOptions`, optional
        How the band's own stars are found.
    register : bool, optional
        Measure the registration of the band against the base from stars and
        galaxy first; otherwise it is taken to be zero.
    first_star_id : int, optional
        Identity of the first star that the base does not have.

    Returns
    -------
    SceneMeasurement
        Shape errors are the base's.
    """
    freedom = Freedom(shape=PINNED, position_prior=KNOWN_POSITION_PRIOR)
    return _fit_pinned(band, base_fit, "scalefit", freedom, options, register, first_star_id)


def fit_forced(band, base_fit, register=True):
    """One band with shape, centre and star positions of the base: linear.

    Parameters and returns as `fit_scaled`; the stars are exactly the base's,
    with their fluxes free (also below zero).
    """
    freedom = Freedom(shape=PINNED, positions=False)
    return _fit_pinned(band, base_fit, "forcedscalefit", freedom, AS_LISTED, register, 1)


def _union_of_stars(fits, base_index, separation):
    """Stars of all bands, the base's first, in the base's frame.

    A star of another band is new where none of the list is within
    ``separation`` pixels.
    """
    order = [base_index] + [i for i in range(len(fits)) if i != base_index]
    x, y = np.zeros(0), np.zeros(0)
    star_id = np.zeros(0, dtype=int)
    for i in order:
        stars, (dx, dy) = fits[i].stars, fits[i].offset
        new_x, new_y, new_id = stars.x - dx, stars.y - dy, stars.star_id
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
        if not len(fit.stars) or not len(x):
            continue
        own = np.column_stack([fit.stars.x - fit.offset[0], fit.stars.y - fit.offset[1]])
        distance, nearest = cKDTree(own).query(np.column_stack([x, y]))
        same = distance < reach
        flux[i, same] = np.nan_to_num(fit.stars.flux[nearest[same]])
    return flux


def fit_joint(bands, fits, base_index, options=LadderOptions(), register=True):
    """All bands at once: one shape, one star list, everything free.

    Parameters
    ----------
    bands : sequence of `galstep.core.scene.SceneBand`
        On one grid.
    fits : sequence of `galstep.records.BandFit`
        The single-band results, in the same order: where to start.
    base_index : int
        The band that defines the scene's frame.
    options : `LadderOptions`, optional
    register : bool, optional
        Whether the registration of the other bands is free.

    Returns
    -------
    SceneMeasurement
    """
    bounds = shape_bounds(bands[0].shape)
    sharpest = min(band.star_renderer.psf.fwhm for band in bands)
    x, y, star_id = _union_of_stars(fits, base_index, 0.5 * sharpest)
    state = SceneState.start(
        bands,
        [bounds.clip(fits[base_index].sersic[0].params.to_vector())],
        [[fit.sersic[0].flux] for fit in fits],
        [fit.sky.coefficients for fit in fits],
        [fit.offset for fit in fits],
    ).with_stars(x, y, _fluxes_at(fits, x, y, 0.5 * sharpest), star_id)
    others = tuple(i for i in range(len(bands)) if i != base_index)
    freedom = Freedom(registration=others if register else ())
    result = run_ladder(bands, state, freedom, options, bounds)
    return measure_scene(result, freedom, "jointfit", bounds, int(star_id.max(initial=0)) + 1)
