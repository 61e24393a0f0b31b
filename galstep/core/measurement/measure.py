"""From a fitted scene to the records that are reported: values, errors, flags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.imaging.background import sky_frame
from galstep.core.imaging.sersic import enclosed_fraction
from galstep.core.measurement.blend_errors import blend_errors
from galstep.core.measurement.galaxy_covariance import galaxy_covariance, scaled_residuals
from galstep.core.measurement.measure_galaxy import components, matched_fluxes, sky_at
from galstep.core.measurement.measure_stars import star_list
from galstep.core.measurement.near_companions import near_companions
from galstep.core.measurement.pairs import stars_in_pairs
from galstep.core.measurement.wing_error import wing_covariance
from galstep.core.noise.psf_error import relative_star_errors
from galstep.core.noise.rounding_error import lost_in_steps, star_rounding_errors
from galstep.flags import BandFlag, decode
from galstep.records import BandFit, SkyModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.freedom import Freedom

__all__ = ["SceneMeasurement", "measure_scene", "with_shared_flags", "without_faint"]

FAINT_SNR = 5.0
# A galaxy under stars of its own brightness can trade light with them, and no
# formal error knows of a star that was missed.
CROWDED_RADIUS = 1.5
CROWDED_SHARE = 1.0


# What disturbs a shape disturbs all filters that share it.
SHARED_FLAGS = BandFlag.CORE_CROWDED | BandFlag.COMPANIONS


def with_shared_flags(fits: Sequence[BandFit], shared: int) -> list[BandFit]:
    """Fits of one shape: a bit of ``shared`` that one has is set in all, and says where from."""
    found = [int(fit.flags) & int(shared) for fit in fits]
    together = int(np.bitwise_or.reduce(found)) if found else 0
    flagged = []
    for fit, own in zip(fits, found, strict=True):
        missing = together & ~own
        reason = fit.reason
        if missing:
            words = ", ".join(decode(missing))
            reason = "; ".join(text for text in (reason, f"{words}: in another filter") if text)
        flagged.append(replace(fit, flags=int(fit.flags) | missing, reason=reason))
    return flagged


@dataclass(frozen=True, eq=False)
class SceneMeasurement:
    """Everything that a fit of a scene reports.

    Parameters
    ----------
    fits : list of `galstep.records.BandFit`
        One per band, positions in that band's pixels.
    galaxy, stars, sky, knots, companions : lists of (ny, nx) arrays
        Model images per band: the target's components, stars only, the sky, what is
        point-like and counts as the target's light, and the other galaxies.
    flux_covariance : (nb, nb) array
        Of the target's total flux, components and knots, between bands.
    matched_covariance : (nb, nb) array
        Of its flux inside the half-light ellipse of the base band.
    matched_radius : float
        Semi-major axis of that ellipse (pixels).
    chi2 : float
        Priors included.
    history : list of dict
        One entry per pass (`galstep.core.detection.ladder.LadderResult`).
    n_iterations : int
    shape_freedom : str
        What of the shape changes with wavelength.
    """

    fits: list
    galaxy: list
    stars: list
    sky: list
    flux_covariance: np.ndarray
    matched_covariance: np.ndarray
    matched_radius: float
    chi2: float
    history: list
    n_iterations: int
    knots: list
    companions: list
    shape_freedom: str = "pinned"


def _star_share(state, index):
    """Light of the stars in the first galaxy's core over the galaxy's own there."""
    x_0, y_0, ln_r_eff = state.shapes[0, :3]
    near = np.hypot(state.x - x_0, state.y - y_0) < CROWDED_RADIUS * np.exp(ln_r_eff)
    inside = enclosed_fraction(CROWDED_RADIUS, np.exp(state.shapes[0, 5]))
    stars = np.clip(state.star_flux[index, near], 0, None).sum()
    # beside no galaxy at all any star is a crowd
    galaxy = max(inside * state.galaxy_flux[index, 0], 1e-6 * stars)
    return float(stars / galaxy) if stars > 0 else 0.0


def _band_flags(state, index, fit, band, own, at_bound, converged, limited):
    reasons, flags = [], 0
    core_masked = _masked_share(band, own)
    crowded = _star_share(state, index)
    if crowded > CROWDED_SHARE:
        flags |= BandFlag.CORE_CROWDED
        reasons.append(f"stars in the core hold {min(crowded, 99):.1f} times the galaxy's light")
    near = near_companions(state)
    if near:
        flags |= BandFlag.COMPANIONS
        reasons.append(near)
    if at_bound:
        flags |= BandFlag.AT_BOUND
        reasons.append(f"{', '.join(at_bound)} at the bound")
    if not converged:
        flags |= BandFlag.NOT_CONVERGED
        reasons.append("chi2 still fell when the steps ran out")
    if not fit.flux > FAINT_SNR * fit.flux_err and not _core_seen(fit):
        flags |= BandFlag.FAINT
        reasons.append(_faint_reason(fit))
    if core_masked > 0.1:
        flags |= BandFlag.GALAXY_MASKED
        reasons.append(f"{100 * core_masked:.0f} % of the pixels inside 2 r_eff masked")
    if lost_in_steps(band):
        flags |= BandFlag.ROUNDED
        reasons.append(f"steps of {band.step:.3g}, noise {fit.noise_sigma:.2g} with theirs")
    if limited:
        flags |= BandFlag.STARS_LIMITED
        reasons.append("star list at its density bound")
    return int(flags), "; ".join(reasons)


def _faint_reason(fit):
    return f"flux {fit.flux:.3g} +- {fit.flux_err:.2g}"


def without_faint(fit: BandFit) -> BandFit:
    """A fit that is not ``faint`` where its total, knots included, is beyond doubt.

    Parameters
    ----------
    fit : `galstep.records.BandFit`

    Returns
    -------
    `galstep.records.BandFit`
    """
    if not fit.flags & BandFlag.FAINT or not fit.total_flux > FAINT_SNR * fit.total_flux_err:
        return fit
    reasons = [text for text in fit.reason.split("; ") if text != _faint_reason(fit)]
    return replace(fit, flags=int(fit.flags & ~BandFlag.FAINT), reason="; ".join(reasons))


def _core_seen(fit):
    """Whether the light inside the half-light ellipse is beyond doubt.

    A galaxy whose wings run into the sky has a total of any size, but is no
    faint galaxy for that.
    """
    return fit.matched_flux > FAINT_SNR * fit.matched_flux_err


def _structure_errors(bands, noise_corr):
    """What the structure adds to the error of each band's total.

    Its modes are as wide as what correlates the pixels.
    """
    return np.array(
        [
            0.0 if band.structure is None else band.structure.flux_error(correlation)
            for band, correlation in zip(bands, noise_corr, strict=True)
        ]
    )


def _with_structure(fit, band, error):
    """A fit whose total holds the light of the structure, and its error that of the modes."""
    return replace(
        fit,
        total_flux=fit.flux + float(band.structure_light.sum()),
        total_flux_err=float(np.hypot(fit.total_flux_err, error)),
    )


def _masked_share(band, vector):
    yy, xx = np.indices(band.shape)
    inside = np.hypot(xx - vector[0], yy - vector[1]) < 2 * np.exp(vector[2])
    return float(band.mask[inside].mean()) if inside.any() else 1.0


def measure_scene(
    result: Any,
    freedom: Freedom,
    step: str,
    bounds: ShapeBounds,
    first_star_id: int = 1,
    base_index: int = 0,
) -> SceneMeasurement:
    """Values, errors and flags of a fitted scene.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    freedom : `galstep.core.engine.scene.Freedom`
        What was free in the fit.
    step : str
        Key of the step, noted in the records.
    bounds : `galstep.core.engine.solve.ShapeBounds`
    first_star_id : int, optional
        Stars without an identity are numbered from here.
    base_index : int, optional
        The band in whose half-light ellipse the matched fluxes are taken.

    Returns
    -------
    SceneMeasurement
    """
    bands, solution, covariance = result.bands, result.solution, result.covariance
    state, evaluation = solution.state, solution.evaluation
    star_id = state.numbered(first_star_id).star_id
    scaled = scaled_residuals(bands, evaluation)
    quantities, matrix, white = galaxy_covariance(bands, solution, covariance)
    noise_corr = [_noise_correlation(quantities, i, matrix, white) for i in range(len(bands))]
    wings = wing_covariance(bands, solution, noise_corr)
    structure_errors = _structure_errors(bands, noise_corr)
    layout = covariance.layout
    galaxy = _GalaxyNumbers.of(bands, state, layout, quantities, matrix, base_index, wings)
    flux_errors = _star_flux_errors(bands, state, covariance)
    blend_err, in_pair = _hidden_stars(bands, state, evaluation, flux_errors)
    fits = []
    for i, band in enumerate(bands):
        own = band.own_vector(state.shapes_in(band)[0], state.shift[i])
        sky, n_good = quantities.sky(i), int((~band.mask).sum())
        fit = BandFit(
            step=step,
            sersic=components(band, i, state, covariance.layout, quantities, matrix),
            sky=_sky_model(band, state.sky[i], own, matrix[sky, sky]),
            stars=star_list(
                band, i, state, covariance, flux_errors, scaled[i], star_id, blend_err[i], in_pair
            ),
            chi2_reduced=float((scaled[i] ** 2).sum() / max(n_good, 1)),
            noise_corr=noise_corr[i],
            noise_sigma=band.sigma / band.noise_scale,
            offset=tuple(float(v) for v in state.shift[i]),
            offset_err=covariance.registration_error(i),
            n_iterations=result.n_iterations,
            pixel_map=band.pixel_map,
            **galaxy.of_band(i),
        )
        fit = _with_structure(fit, band, structure_errors[i])
        at_bound = _at_bound(bounds, state, band) if any(freedom.shape) else []
        flags, reason = _band_flags(
            state, i, fit, band, own, at_bound, solution.converged, result.limited
        )
        fits.append(replace(fit, flags=flags, reason=reason))
    return SceneMeasurement(
        fits=with_shared_flags(fits, SHARED_FLAGS),
        galaxy=[
            image + band.structure_light
            for image, band in zip(
                _galaxy_images(bands, state, evaluation, state.target), bands, strict=True
            )
        ],
        stars=list(evaluation.stars),
        sky=[np.tensordot(state.sky[i], b.basis, axes=1) for i, b in enumerate(bands)],
        flux_covariance=galaxy.total_covariance + np.diag(structure_errors**2),
        matched_covariance=galaxy.matched_covariance,
        matched_radius=galaxy.radius,
        chi2=solution.chi2,
        n_iterations=result.n_iterations,
        history=result.history,
        knots=[np.zeros(band.shape) for band in bands],
        companions=_galaxy_images(bands, state, evaluation, ~state.target),
    )


@dataclass(frozen=True, eq=False)
class _GalaxyNumbers:
    """Fluxes of the galaxy in all bands: in total and inside one ellipse.

    The total's covariance along the profiles alone, and with what no profile knows.
    """

    total: np.ndarray
    profile_covariance: np.ndarray
    total_covariance: np.ndarray
    matched: np.ndarray
    matched_covariance: np.ndarray
    radius: float

    @classmethod
    def of(cls, bands, state, layout, quantities, matrix, base_index, wings):
        sums = quantities.total_fluxes()
        matched = matched_fluxes(bands, state, layout, quantities, matrix, base_index)
        profile = sums @ matrix @ sums.T
        total = state.galaxy_flux[:, state.target].sum(axis=1)
        return cls(total, profile, profile + wings, *matched)

    def of_band(self, band):
        """Fields of `galstep.records.BandFit`."""

        def error(covariance):
            variance = covariance[band, band]
            return float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan

        return dict(
            flux=float(self.total[band]),
            flux_err=error(self.profile_covariance),
            matched_flux=float(self.matched[band]),
            matched_flux_err=error(self.matched_covariance),
            matched_radius=self.radius,
            total_flux=float(self.total[band]),
            total_flux_err=error(self.total_covariance),
        )


def _at_bound(bounds, state, band):
    """Names of the parameters of any component of the target that sit at a bound in this band."""
    shapes = state.shapes_in(band)[state.target]
    return list(dict.fromkeys(name for shape in shapes for name in bounds.at_bound(shape)))


def _noise_correlation(quantities, band, matrix, white):
    """Quoted over white error of the target's flux, of its brightest-known component."""
    rows = np.arange(len(white))[quantities.flux(band)][quantities.target]
    variance = np.diag(matrix)[rows]
    return float(np.sqrt(np.max(np.maximum(variance, 0.0) / white[rows])))


def _star_flux_errors(bands, state, covariance):
    """Formal errors, the PSF's and those of wide steps, in quadrature; (n_bands, n_stars)."""
    errors = covariance.star_flux_errors(bands)
    rounding = [
        star_rounding_errors(band, flux) for band, flux in zip(bands, state.star_flux, strict=True)
    ]
    errors = np.hypot(errors, np.reshape(rounding, errors.shape))
    relative = np.array([relative_star_errors(band) for band in bands])
    return np.hypot(errors, relative[:, None] * state.star_flux)


def _hidden_stars(bands, state, evaluation, flux_errors):
    """Errors from stars that no list has, (n_bands, n_stars), and which stars are two."""
    fwhm = min(band.fwhm_in_scene for band in bands)
    area = max(np.count_nonzero(~band.mask) / band.scale**2 for band in bands)
    snr = np.sqrt(((np.maximum(state.star_flux, 0) / flux_errors) ** 2).sum(axis=0))
    in_pair = stars_in_pairs(bands, state, evaluation, snr)
    return blend_errors(state.star_flux, flux_errors, fwhm, area), in_pair


def _galaxy_images(bands, state, evaluation, own):
    """Images of the profiles that ``own`` selects, per band."""
    return [
        np.tensordot(state.galaxy_flux[i][own], evaluation.images(i)[own], axes=1)
        for i in range(len(bands))
    ]


def _sky_model(band, coefficients, vector, variance):
    order = {1: 0, 3: 1, 6: 2}[len(coefficients)]
    return SkyModel(
        coefficients=tuple(float(c) for c in coefficients),
        order=order,
        **dict(zip(("x_ref", "y_ref", "scale"), sky_frame(band.shape), strict=True)),
        level=float(coefficients @ sky_at(band, vector)),
        level_err=float(np.sqrt(max(variance, 0.0))),
    )
