"""Quality cuts: which fitted stars are none, by how they fit.

The ladder keeps a star for its significance. These cuts look at how it fits,
beside the others of the same frame, and are off unless asked for: in a frame
whose PSF is not exact they hit the brightest stars first. What is dropped is
dropped from the scene, which is fitted again afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std

from galstep.core.measurement.galaxy_covariance import scaled_residuals
from galstep.core.measurement.measure_stars import star_chi2
from galstep.core.noise.errors import pixel_sigma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution

__all__ = ["StarCuts", "failing_stars"]

# The middle of a population is that of at least so many.
MIN_POPULATION = 5


@dataclass(frozen=True)
class StarCuts:
    """Limits; 0 = no cut.

    Parameters
    ----------
    position_error : float
        Largest error of x or y, pixels of the scene.
    central_residual : float
        The residual at the star's pixel, in units of the pixel's noise, may
        differ from the stars' median by so many times their scatter, which is
        not taken to be less than 1.
    cfit : float
        The same of the residual at the star's pixel over its flux, whose noise
        is added to the scatter in quadrature.
    chi2 : float
        Largest chi2 within one FWHM, in units of the stars' median, which is
        not taken to be less than 1.
    moved : float
        Largest distance from where it was detected, in units of the stars'
        median.
    snr : float
        Least flux over its error.
    """

    position_error: float = 0.0
    central_residual: float = 0.0
    cfit: float = 0.0
    chi2: float = 0.0
    moved: float = 0.0
    snr: float = 0.0

    @property
    def any(self) -> bool:
        """Whether there is a cut at all."""
        return any(value > 0 for value in vars(self).values())

    @property
    def looks_at_pixels(self) -> bool:
        """Whether residuals are looked at."""
        return max(self.central_residual, self.cfit, self.chi2) > 0


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
