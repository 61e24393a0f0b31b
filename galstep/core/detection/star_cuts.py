"""Quality cuts: which fitted stars are none, by how they fit.

The ladder keeps a star for its significance. These cuts look at how it fits,
beside the others of the same frame, and are off unless asked for: in a frame
whose PSF is not exact they hit the brightest stars first. What is dropped is
dropped from the scene, which is fitted again afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std

from galstep.core.measurement.galaxy_covariance import scaled_residuals
from galstep.core.measurement.measure_stars import star_chi2
from galstep.core.noise.errors import pixel_sigma
from galstep.options import option, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution

__all__ = ["NO_CUTS", "StarCuts", "failing_stars"]

# The middle of a population is that of at least so many.
MIN_POPULATION = 5


@options
class StarCuts:
    """Limits; 0 = no cut. Scatters are not taken to be less than 1, nor medians of chi2."""

    position_error: float = option(
        default=2.0,
        help="A star whose x or y has a larger error is dropped at the end (pixels; 0: no cut)",
        name="cuts_pos_err_max",
        least=0,
    )
    central_residual: float = option(
        default=0.0,
        help="Dropped if the residual at its centre differs from the stars' median by more "
        "than this (their scatter; 0: no cut, sphot has 3)",
        name="cuts_res_cen_sigma_clip",
        least=0,
    )
    cfit: float = option(
        default=0.0,
        help="Dropped if the residual at its centre over its flux does (their scatter and its "
        "noise; 0: no cut, sphot has 3)",
        name="cuts_cfit_sigma_clip",
        least=0,
    )
    chi2: float = option(
        default=0.0,
        help="Dropped if chi-squared within one FWHM is larger than this (median of the stars, "
        "1 at least; 0: no cut, sphot has 3: it drops bright stars where the PSF is not "
        "exact)",
        name="cuts_chi2dof_median_factor",
        least=0,
    )
    moved: float = option(
        default=0.0,
        help="Dropped if it ended farther than this from its detection (median of the stars; 0: no "
        "cut, sphot has 2: it drops one good star in twenty)",
        name="cuts_pos_diff_median_factor",
        least=0,
    )
    snr: float = option(
        default=1.0,
        help="Dropped if its flux is less than so many of its errors (sigma; 0: no cut)",
        name="cuts_flux_SNR_min",
        least=0,
    )

    @property
    def any(self) -> bool:
        """Whether there is a cut at all."""
        return any(value > 0 for value in vars(self).values())

    @property
    def looks_at_pixels(self) -> bool:
        """Whether residuals are looked at."""
        return max(self.central_residual, self.cfit, self.chi2) > 0


#: No star is dropped.
NO_CUTS = StarCuts(position_error=0.0, snr=0.0)


def failing_stars(
    bands: Sequence[SceneBand], solution: Solution, covariance: SceneCovariance, cuts: StarCuts
) -> dict[str, np.ndarray]:
    """Which stars fail which cut.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
    covariance : `galstep.core.engine.covariance.SceneCovariance`
    cuts : `StarCuts`

    Returns
    -------
    dict of str to (n_stars,) bool array
        By the name of the sphot key. A cut that looks at pixels or fluxes must
        fail in every band in which the star has data.
    """
    state = solution.state
    failed = {"cuts_pos_err_max": _uncertain(covariance, cuts.position_error)}
    distance = np.hypot(state.x - state.x_prior, state.y - state.y_prior)
    failed["cuts_pos_diff_median_factor"] = _far(distance, cuts.moved)
    errors = covariance.star_flux_errors(bands)
    seen = np.isfinite(errors)
    poor = {"cuts_flux_SNR_min": ~(state.star_flux >= cuts.snr * errors) & (cuts.snr > 0)}
    if cuts.looks_at_pixels:
        scaled = scaled_residuals(bands, solution.evaluation)
        own = [
            _of_pixels(band, i, state, scaled[i], solution.evaluation.residuals[i], cuts)
            for i, band in enumerate(bands)
        ]
        poor |= {name: np.array([part[name] for part in own]) for name in own[0]}
    for name, of_bands in poor.items():
        failed[name] = (of_bands | ~seen).all(axis=0) & seen.any(axis=0)
    return failed


def _uncertain(covariance, limit):
    errors = covariance.position_errors()
    return np.any(errors > limit, axis=0) & (limit > 0)


def _far(distance, factor):
    if factor <= 0 or len(distance) < MIN_POPULATION:
        return np.zeros(len(distance), dtype=bool)
    return distance > factor * np.median(distance)


def _of_pixels(band, index, state, scaled, residual, cuts):
    """The cuts that look at the pixels of one band."""
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    central, cfit, cfit_noise, seen = _central(band, scaled, residual, x, y, state.star_flux[index])
    chi2, _ = star_chi2(band, scaled, x, y)
    return {
        "cuts_res_cen_sigma_clip": _outlying(central, 1.0, seen, cuts.central_residual),
        "cuts_cfit_sigma_clip": _outlying(cfit, cfit_noise, seen, cuts.cfit),
        "cuts_chi2dof_median_factor": _above_median(chi2, cuts.chi2),
    }


def _central(band, scaled, residual, x, y, flux):
    """Residual at the stars' pixels: in sigma, over the flux, its noise, and where known."""
    ny, nx = band.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    ix, iy = np.clip(ix, 0, nx - 1), np.clip(iy, 0, ny - 1)
    seen = inside & ~band.mask[iy, ix] & (flux != 0)
    safe = np.where(seen, flux, 1.0)
    sigma = pixel_sigma(band)[iy, ix]
    return scaled[iy, ix], residual[iy, ix] / safe, np.abs(sigma / safe), seen


def _outlying(values, noise, known, limit):
    """Values farther from the median than so many times scatter and noise."""
    if limit <= 0 or known.sum() < MIN_POPULATION:
        return np.zeros(len(values), dtype=bool)
    middle = np.median(values[known])
    # the scatter is that of the population without its noise, which differs
    # from star to star; noise counts for each star by itself
    noise = np.broadcast_to(noise, values.shape)
    excess = mad_std(values[known]) ** 2 - np.median(noise[known]) ** 2
    scatter = np.sqrt(noise**2 + max(excess, 0.0))
    return known & (np.abs(values - middle) > limit * scatter)


def _above_median(chi2, factor):
    known = np.isfinite(chi2)
    if factor <= 0 or known.sum() < MIN_POPULATION:
        return np.zeros(len(chi2), dtype=bool)
    return known & (np.nan_to_num(chi2) > factor * max(1.0, np.median(chi2[known])))
