"""From a fitted scene to the records that are reported: values, errors, flags."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import convolve
from scipy.spatial import cKDTree

from galstep.core.background import sky_frame
from galstep.core.errors import (
    measure_noise_power,
    not_below_white,
    pixel_sigma,
    quantity_covariance,
)
from galstep.core.projection import restored_power
from galstep.core.scene import N_SHAPE
from galstep.core.sersic import enclosed_fraction
from galstep.flags import BandFlag, StarFlag
from galstep.records import BandFit, SersicFit, SersicParams, SkyModel, StarList

__all__ = ["SceneMeasurement", "measure_scene"]

FAINT_SNR = 5.0
# A galaxy under stars of its own brightness can trade light with them, and no
# formal error knows of a star that was missed.
CROWDED_RADIUS = 1.5
CROWDED_SHARE = 1.0
POOR_CHI2 = 3.0
MOVED_PIXELS = 1.0


@dataclass(frozen=True, eq=False)
class SceneMeasurement:
    """Everything that a fit of a scene reports.

    Parameters
    ----------
    fits : list of `galstep.records.BandFit`
        One per band, positions in that band's pixels.
    galaxy, stars, sky : lists of (ny, nx) arrays
        Model images per band.
    flux_covariance : (nb, nb) array
        Of the first galaxy's total flux between bands.
    chi2 : float
        Priors included.
    history : list of dict
        One entry per pass (`galstep.core.ladder.LadderResult`).
    n_iterations : int
    """

    fits: list
    galaxy: list
    stars: list
    sky: list
    flux_covariance: np.ndarray
    chi2: float
    history: list
    n_iterations: int


def _sky_at(band, shape_vector):
    """The sky terms' values at the galaxy's centre."""
    ny, nx = band.shape
    ix = int(np.clip(np.rint(shape_vector[0]), 0, nx - 1))
    iy = int(np.clip(np.rint(shape_vector[1]), 0, ny - 1))
    return band.basis[:, iy, ix]


def _functionals(bands, state, layout):
    """Free shape parameters, then per band the galaxy fluxes and the sky level.

    Returns
    -------
    functionals : (nq, n_border) array
    place : dict
        ("shape", k), ("flux", band, galaxy), ("sky", band) to row.
    """
    rows, place = [], {}

    def add(key, columns, values=1.0):
        row = np.zeros(layout.n_border)
        row[columns] = values
        place[key] = len(rows)
        rows.append(row)

    for column, k in enumerate(layout.shape):
        add(("shape", int(k)), column)
    for i, band in enumerate(bands):
        for g in range(layout.n_galaxies):
            add(("flux", i, g), layout.galaxy_flux(i, g))
        own = band.galaxy_vector(state.shapes[0], state.shift[i])
        add(("sky", i), layout.sky(i), _sky_at(band, own))
    return np.array(rows), place


def _scaled_residual(band, residual):
    """Residual over the pixel sigma, 0 where masked."""
    return residual * np.sqrt(band.weight) * band.noise_scale


def _component(vector, flux, covariance):
    """A `SersicFit` from its vector and the 7 x 7 covariance (flux last)."""
    params = SersicParams.from_vector(vector)
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    error[~np.isfinite(np.diag(covariance))] = np.nan
    e1, e2 = vector[3], vector[4]
    e = max(np.hypot(e1, e2), 1e-9)
    block = covariance[3:5, 3:5]
    # ellip = 2 e / (1 + e); theta = atan2(e2, e1) / 2
    to_ellip = 2 / (1 + e) ** 2 * np.array([e1, e2]) / e
    to_theta = 0.5 * np.array([-e2, e1]) / e**2
    ellip_err, theta_err = (
        float(np.sqrt(max(row @ block @ row, 0.0))) if np.isfinite(block).all() else np.nan
        for row in (to_ellip, to_theta)
    )
    return SersicFit(
        params=params,
        flux=float(flux),
        flux_err=float(error[6]),
        x_0_err=float(error[0]),
        y_0_err=float(error[1]),
        r_eff_err=float(error[2] * params.r_eff),
        n_err=float(error[5] * params.n),
        ellip_err=ellip_err,
        # a direction is uniform in [0, pi) at worst
        theta_err=float(min(theta_err, np.pi / np.sqrt(12))) if theta_err == theta_err else np.nan,
        covariance=covariance,
    )


def _components(bands, state, matrix, place, index):
    fits = []
    for g, vector in enumerate(state.shapes):
        rows = [place.get(("shape", N_SHAPE * g + k)) for k in range(N_SHAPE)]
        rows.append(place[("flux", index, g)])
        known = [k for k, row in enumerate(rows) if row is not None]
        covariance = np.full((7, 7), np.nan)
        covariance[np.ix_(known, known)] = matrix[np.ix_(*([[rows[k] for k in known]] * 2))]
        own = bands[index].galaxy_vector(vector, state.shift[index])
        fits.append(_component(own, state.galaxy_flux[index, g], covariance))
    return tuple(fits)


def _star_chi2(band, scaled, x, y):
    """Reduced chi2 inside one FWHM of each star, NaN without pixels."""
    reach = int(np.ceil(band.star_renderer.psf.fwhm))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(xx, yy) <= band.star_renderer.psf.fwhm).astype(float)
    total = convolve(scaled**2, disc, mode="constant")
    count = convolve((~band.mask).astype(float), disc, mode="constant")
    ix, iy, inside = _nearest(band, x, y)
    chi2 = np.full(len(x), np.nan)
    enough = inside & (count[iy, ix] > 0.5)
    chi2[enough] = total[iy[enough], ix[enough]] / count[iy[enough], ix[enough]]
    return chi2, np.where(inside, count[iy, ix] / disc.sum(), 0.0)


def _nearest(band, x, y):
    ny, nx = band.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    return np.clip(ix, 0, nx - 1), np.clip(iy, 0, ny - 1), inside


def _star_flags(band, state, index, x, y, chi2, covered):
    fwhm = band.star_renderer.psf.fwhm
    ny, nx = band.shape
    flags = np.zeros(len(x), dtype=int)
    near_edge = (x < fwhm) | (y < fwhm) | (x > nx - 1 - fwhm) | (y > ny - 1 - fwhm)
    ix, iy, inside = _nearest(band, x, y)
    no_data = ~(inside & ~band.mask[iy, ix]) & (covered < 0.1)
    flags[near_edge] |= StarFlag.NEAR_EDGE
    flags[(covered < 0.999) & ~near_edge] |= StarFlag.MASKED_PIXELS
    flags[no_data] |= StarFlag.NO_DATA
    flags[state.star_flux[index] < 0] |= StarFlag.NEGATIVE
    flags[chi2 > POOR_CHI2] |= StarFlag.POOR_FIT
    if len(x) > 1:
        distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)
        flags[distance[:, 1] < fwhm] |= StarFlag.BLENDED
    for vector in state.shapes:
        own = band.galaxy_vector(vector, state.shift[index])
        flags[np.hypot(x - own[0], y - own[1]) < np.exp(own[2])] |= StarFlag.IN_CORE
    moved = np.hypot(state.x - state.x_prior, state.y - state.y_prior)
    flags[moved > MOVED_PIXELS] |= StarFlag.MOVED
    return flags, no_data


def _star_list(band, index, state, covariance, flux_errors, scaled, star_id):
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    chi2, covered = _star_chi2(band, scaled, x, y)
    flux_err = flux_errors[index]
    flags, no_data = _star_flags(band, state, index, x, y, chi2, covered)
    no_data |= ~np.isfinite(flux_err)
    flags[no_data] |= StarFlag.NO_DATA
    return StarList(
        star_id=np.asarray(star_id, dtype=int),
        x=x,
        y=y,
        flux=np.where(no_data, np.nan, state.star_flux[index]),
        x_err=covariance.position_errors()[0],
        y_err=covariance.position_errors()[1],
        flux_err=np.where(no_data, np.nan, flux_err),
        chi2_reduced=chi2,
        flags=flags,
    )


def _star_share(state, index):
    """Light of the stars in the first galaxy's core over the galaxy's own there."""
    x_0, y_0, ln_r_eff = state.shapes[0, :3]
    near = np.hypot(state.x - x_0, state.y - y_0) < CROWDED_RADIUS * np.exp(ln_r_eff)
    inside = enclosed_fraction(CROWDED_RADIUS, np.exp(state.shapes[0, 5]))
    galaxy = max(inside * state.galaxy_flux[index, 0], np.finfo(float).tiny)
    return float(np.clip(state.star_flux[index, near], 0, None).sum() / galaxy)


def _band_flags(state, index, component, core_masked, at_bound, converged, limited):
    reasons, flags = [], 0
    crowded = _star_share(state, index)
    if crowded > CROWDED_SHARE:
        flags |= BandFlag.CORE_CROWDED
        reasons.append(f"stars in the core hold {min(crowded, 99):.1f} times the galaxy's light")
    if at_bound:
        flags |= BandFlag.AT_BOUND
        reasons.append(f"{', '.join(at_bound)} at the bound")
    if not converged:
        flags |= BandFlag.NOT_CONVERGED
        reasons.append("chi2 still fell when the steps ran out")
    if not component.flux > FAINT_SNR * component.flux_err:
        flags |= BandFlag.FAINT
        reasons.append(f"flux {component.flux:.3g} +- {component.flux_err:.2g}")
    if core_masked > 0.1:
        flags |= BandFlag.GALAXY_MASKED
        reasons.append(f"{100 * core_masked:.0f} % of the pixels inside 2 r_eff masked")
    if limited:
        flags |= BandFlag.STARS_LIMITED
        reasons.append("star list at its density bound")
    return int(flags), "; ".join(reasons)


def _masked_share(band, vector):
    yy, xx = np.indices(band.shape)
    inside = np.hypot(xx - vector[0], yy - vector[1]) < 2 * np.exp(vector[2])
    return float(band.mask[inside].mean()) if inside.any() else 1.0


def measure_scene(result, freedom, step, bounds, first_star_id=1):
    """Values, errors and flags of a fitted scene.

    Parameters
    ----------
    result : `galstep.core.ladder.LadderResult`
    freedom : `galstep.core.scene.Freedom`
        What was free in the fit.
    step : str
        Key of the step, noted in the records.
    bounds : `galstep.core.solve.ShapeBounds`
    first_star_id : int, optional
        Stars without an identity are numbered from here.

    Returns
    -------
    SceneMeasurement
    """
    bands, solution, covariance = result.bands, result.solution, result.covariance
    state, evaluation = solution.state, solution.evaluation
    star_id = state.numbered(first_star_id).star_id
    scaled = [_scaled_residual(b, r) for b, r in zip(bands, evaluation.residuals, strict=True)]
    core = state.core(bands[0].shape)
    good = [~b.mask & ~core for b in bands]
    noise = measure_noise_power(scaled, good)
    sigmas = [pixel_sigma(band) for band in bands]
    noise = restored_power(noise, bands, sigmas, good, solution, covariance)
    functionals, place = _functionals(bands, state, covariance.layout)
    matrix, white = quantity_covariance(bands, solution, covariance, functionals, noise)
    matrix = not_below_white(matrix, white)
    flux_errors = covariance.star_flux_errors(bands)
    at_bound = bounds.at_bound(state.shapes[0]) if any(freedom.shape) else []
    fits = []
    for i, band in enumerate(bands):
        components = _components(bands, state, matrix, place, i)
        own = band.galaxy_vector(state.shapes[0], state.shift[i])
        flux, sky = place[("flux", i, 0)], place[("sky", i)]
        flags, reason = _band_flags(
            state,
            i,
            components[0],
            _masked_share(band, own),
            at_bound,
            solution.converged,
            result.limited,
        )
        n_good = int((~band.mask).sum())
        fits.append(
            BandFit(
                step=step,
                sersic=components,
                sky=_sky_model(band, state.sky[i], own, matrix[sky, sky]),
                stars=_star_list(band, i, state, covariance, flux_errors, scaled[i], star_id),
                chi2_reduced=float((scaled[i] ** 2).sum() / max(n_good, 1)),
                noise_corr=float(np.sqrt(max(matrix[flux, flux], 0.0) / white[flux])),
                noise_sigma=band.sigma / band.noise_scale,
                offset=tuple(float(v) for v in state.shift[i]),
                offset_err=covariance.registration_error(i),
                n_iterations=result.n_iterations,
                flags=flags,
                reason=reason,
            )
        )
    fluxes = [place[("flux", i, 0)] for i in range(len(bands))]
    return SceneMeasurement(
        fits=fits,
        galaxy=_galaxy_images(bands, state, evaluation),
        stars=list(evaluation.stars),
        sky=[np.tensordot(state.sky[i], b.basis, axes=1) for i, b in enumerate(bands)],
        flux_covariance=matrix[np.ix_(fluxes, fluxes)],
        chi2=solution.chi2,
        n_iterations=result.n_iterations,
        history=result.history,
    )


def _galaxy_images(bands, state, evaluation):
    return [
        np.tensordot(state.galaxy_flux[i], evaluation.galaxies[i][:, 0], axes=1)
        for i in range(len(bands))
    ]


def _sky_model(band, coefficients, vector, variance):
    order = {1: 0, 3: 1, 6: 2}[len(coefficients)]
    return SkyModel(
        coefficients=tuple(float(c) for c in coefficients),
        order=order,
        **dict(zip(("x_ref", "y_ref", "scale"), sky_frame(band.shape), strict=True)),
        level=float(coefficients @ _sky_at(band, vector)),
        level_err=float(np.sqrt(max(variance, 0.0))),
    )


def with_shape_errors(fit, source):
    """A pinned fit with the shape errors of the fit its shape came from."""
    names = ("r_eff_err", "n_err", "ellip_err", "theta_err", "x_0_err", "y_0_err")
    components = tuple(
        replace(own, **{name: getattr(other, name) for name in names})
        for own, other in zip(fit.sersic, source.sersic, strict=True)
    )
    return replace(fit, sersic=components)
