"""The fits of one band: base, scaled and forced.

All three, and `galstep.core.fitting.joint`, are the same engine on the same scene; they
differ in what is free and in where the stars come from.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.core_star import with_core_star
from galstep.core.detection.ladder import LadderOptions, known_variance
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.detection.star_groups import with_groups
from galstep.core.engine.scene import Freedom, SceneState
from galstep.core.engine.search import escape
from galstep.core.engine.solve import ShapeBounds
from galstep.core.fitting.companions import with_given
from galstep.core.fitting.components_first import galaxy_then_stars
from galstep.core.fitting.forced_fit import ForcedFit, as_listed
from galstep.core.fitting.gls import gls_result
from galstep.core.fitting.knots import with_knots
from galstep.core.fitting.model_choice import run_again, with_components
from galstep.core.fitting.pinned import with_shape_errors, with_shape_share
from galstep.core.fitting.second_start import from_other_starts, looks_degenerate
from galstep.core.measurement.measure import measure_scene
from galstep.core.measurement.registration_share import with_registration_share
from galstep.flags import BandFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.priors import ShapePrior
    from galstep.core.engine.scene import SceneBand
    from galstep.core.fitting.galaxy_first import GalaxyFirst
    from galstep.core.measurement.measure import SceneMeasurement
    from galstep.records import BandFit, SersicParams

__all__ = ["fit_base", "fit_forced", "fit_scaled", "shape_bounds"]

PINNED = (False,) * 6
# A basin is another one, and better, if its chi2 is lower by more than a blend's worth.
BETTER_BASIN = 10.0
# A galaxy so far (FWHM, and r_eff) from where it was looked for may be another one: of 37
# galaxies of the truth sets one, an irregular, ended 2.7 FWHM from the smoothed peak at which
# it began, all others within 1.
FAR_FWHM = 3.0
# A star that another band knows is looked for this close to where that band
# has it (pixels, 1 sigma).
KNOWN_POSITION_PRIOR = 0.3
# No search, no pruning: the stars that are listed, and no others.
AS_LISTED = as_listed()
# Positions held, fluxes of any sign.
LINEAR = ForcedFit()


def shape_bounds(shape: tuple[int, int]) -> ShapeBounds:
    """Bounds for a galaxy on a frame of this (ny, nx): r_eff up to half of it."""
    return ShapeBounds(r_eff=(0.5, 0.5 * max(shape)))


def fit_base(
    band: SceneBand,
    first: GalaxyFirst,
    options: LadderOptions = LadderOptions(),
    *,
    two: str = "false",
    priors: Sequence[ShapePrior] = (),
    annealing: bool = False,
    gls: bool = False,
    refit: bool = False,
    companions: Sequence[SersicParams] = (),
    find_companions: bool = True,
) -> SceneMeasurement:
    """Galaxy, stars and sky of one band, everything free.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    first : `galstep.core.fitting.galaxy_first.GalaxyFirst`
        The start, fitted before any star was detected.
    options : `LadderOptions`, optional
    two : {"false", "true", "auto"}, optional
        Whether the galaxy has a second Sersic component with the same centre;
        ``"auto"``: if the data ask for it.
    priors : sequence of `galstep.core.engine.priors.ShapePrior`, optional
        On the galaxy's shape; with two components on that of the inner one.
    annealing : bool, optional
        Whether to look for a better basin than the one that the fit ended in.
    gls : bool, optional
        End with steps weighted by the measured covariance of the noise.
    refit : bool, optional
        Whether a fit that looks degenerate is made again from other starts.
    companions : sequence of `galstep.records.SersicParams`, optional
        Other galaxies that are known to be there, with the shapes they start from.
    find_companions : bool, optional
        Whether further ones are looked for (`galstep.core.fitting.companions`).

    Returns
    -------
    SceneMeasurement
    """
    bounds, base = shape_bounds(band.shape), known_variance([band])
    state = SceneState.start(
        [band], [bounds.clip(first.params.to_vector())], [[first.flux]], [first.sky_coefficients]
    )
    state = with_given(band, state, companions, bounds)
    freedom = Freedom(shape_priors=tuple(priors))
    result = galaxy_then_stars(
        [band], state, freedom, options, bounds, base, two, first.sought, find_companions
    )
    result = with_core_star(result, freedom, options, bounds, base)
    if refit and looks_degenerate(result.solution, bounds):
        found = from_other_starts(
            result.bands, result.solution.state, first.params, bounds, freedom
        )
        if found.chi2 < result.solution.chi2 - BETTER_BASIN:
            result = run_again(result, found.state, freedom, options, bounds, base)
    if annealing:
        found = escape(result.bands, result.solution.state, freedom, bounds)
        if found.chi2 < result.solution.chi2 - BETTER_BASIN:
            result = run_again(result, found.state, freedom, options, bounds, base)
    result = with_components(result, freedom, options, bounds, base, two)
    if gls:
        result = gls_result(result, freedom, bounds)
    measured = measure_scene(result, freedom, "basefit", bounds)
    fits = [_with_place(fit, first.sought, band.fwhm_in_scene) for fit in measured.fits]
    measured = replace(measured, fits=with_groups(fits, [band], options))
    return with_knots(measured, result)


def _with_place(fit, sought, fwhm):
    """A fit that says where its galaxy has left the place where it was looked for."""
    params = [component.params for component in fit.target]
    moved = max(np.hypot(p.x_0 - sought[0], p.y_0 - sought[1]) for p in params)
    if not moved > max(FAR_FWHM * fwhm, *(p.r_eff for p in params)):
        return fit
    reason = f"the galaxy ended {moved:.0f} pixels from where it was looked for"
    reason = "; ".join(text for text in (fit.reason, reason) if text)
    return replace(fit, flags=fit.flags | int(BandFlag.ELSEWHERE), reason=reason)


def _known_state(band, base_fit):
    """Shape and stars of a base fit as the start in another band."""
    stars = base_fit.sources
    shapes = [component.params.to_vector() for component in base_fit.sersic]
    owners = [component.galaxy_id for component in base_fit.sersic]
    state = SceneState.start([band], shapes, galaxy_id=owners)
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
    if not options.thresholds:
        # what is a star is given with the list
        state = replace(state, star_probability=base_fit.sources.star_probability)
    if register:
        together = Freedom(
            shape=PINNED, registration=(0,), position_prior=_position_errors(base_fit.sources)
        )
        rough = replace(AS_LISTED, final_tolerance=0.1, final=options.final)
        result = run_ladder(bands, state, together, rough, bounds, base)
        bands = result.bands
        # a star without any significance (noise of nothing, say) may have gone
        kept = state.select_stars(np.isin(state.star_id, result.solution.state.star_id))
        state = replace(result.solution.state, x=kept.x, y=kept.y)
        offset_err = result.covariance.registration_error(0)
    result = run_ladder(bands, state, freedom, options, bounds, base)
    measured = measure_scene(result, freedom, step, bounds, first_star_id)
    fit = replace(with_shape_errors(measured.fits[0], base_fit), offset_err=offset_err)
    fit = with_shape_share(fit, result, freedom, base_fit)
    fit = with_registration_share(fit, result, freedom, offset_err)
    measured = replace(measured, fits=with_groups([fit], [band], options))
    return with_knots(measured, result)


def fit_scaled(
    band: SceneBand,
    base_fit: BandFit,
    options: LadderOptions = LadderOptions(),
    register: bool = True,
    first_star_id: int = 1,
) -> SceneMeasurement:
    """One band with the shape and centre of the base, its own stars and sky.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
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


def fit_forced(
    band: SceneBand, base_fit: BandFit, register: bool = True, how: ForcedFit = LINEAR
) -> SceneMeasurement:
    """One band with the base's shape and centre, and exactly the stars listed in its fit.

    Parameters and returns as `fit_scaled`; ``how`` says what the stars may do
    (`galstep.core.fitting.forced_fit.ForcedFit`), by default no more than have a flux of
    any sign: then the problem is linear.
    """
    freedom, options = how.freedom(PINNED), how.options()
    return _fit_pinned(band, base_fit, "forcedscalefit", freedom, options, register, 1)
