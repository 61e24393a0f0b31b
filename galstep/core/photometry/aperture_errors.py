"""The error of an aperture sum: noise, sky, stars and model, each by itself.

What is summed is data - stars - sky - companions = galaxy model + residual. The model's light
in the aperture and the residual are uncorrelated where the fit weighs the data
by their noise, so

    var(sum) = var(residual in the aperture) + var(model light in the aperture).

The first is what empty apertures show: the noise of the pixels with all its
correlations, less what the fit has taken up. The second follows from the
covariance of the galaxy's parameters, which is marginal over stars and sky: it
holds what the galaxy, its stars and the sky can trade with each other. It is
shared out among its causes, see `model_terms`. What companions add is in
`galstep.core.photometry.companion_light`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.stars import StarRenderer
from galstep.core.photometry.aperture_light import parameter_covariance
from galstep.core.photometry.apertures import aperture_sum, overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF
    from galstep.records import Aperture, SersicFit, StarList

__all__ = ["ErrorTerms", "light_variance", "model_terms", "pixel_noise_error", "star_error"]


@dataclass(frozen=True)
class ErrorTerms:
    """1-sigma terms of an aperture's error, image unit x pixel, independent of each other.

    Parameters
    ----------
    noise : float
        Pixels, with the correlation of their noise.
    sky : float
        Level of the sky.
    star : float
        Stars that were subtracted.
    model : float
        The galaxy's own parameters: what is left of the model light's error.
    fill : float
        Pixels without data, which were filled in.
    """

    noise: float
    sky: float
    star: float
    model: float
    fill: float

    @property
    def total(self) -> float:
        """The root of the sum of their squares."""
        return float(np.linalg.norm([self.noise, self.sky, self.star, self.model, self.fill]))


def light_variance(components: Sequence[SersicFit], slopes: np.ndarray) -> float:
    """Variance of the model galaxy's light in an aperture.

    Parameters
    ----------
    components : sequence of galstep.records.SersicFit
    slopes : (n, 7) array
        From `galstep.core.photometry.aperture_light.GalaxyLight.slopes`.

    Returns
    -------
    float
        (image unit x pixel)^2; components count as independent. NaN if the
        error of a flux is not known.
    """
    variances = [
        slope @ parameter_covariance(component) @ slope
        for component, slope in zip(components, slopes, strict=True)
    ]
    return float(sum(variances))


def model_terms(variance: float, sky: float, star: float) -> tuple[float, float, float]:
    """The error of the model's light shared out among sky, stars and the rest.

    An error of the sky level changes the sum by that times the area, whatever
    the model does, so it counts in full. What it leaves of the variance belongs
    to the stars as far as their errors, taken as independent, go, and to the
    galaxy's own parameters beyond. Stars that overlap know their sum better
    than each its own flux, so they can seem to exceed what is left: then they
    have it all.

    Parameters
    ----------
    variance : float
        Of the model's light in the aperture; NaN if it is not known.
    sky : float
        Error of the sky level times the area.
    star : float
        1 sigma of the stars' light in the aperture, as if independent.

    Returns
    -------
    sky, star, model : float
        1 sigma; their squares add up to ``variance``, or to that of the sky if
        it is larger. Sky and stars as they are, and 0, if ``variance`` is not
        known.
    """
    if not np.isfinite(variance):
        return sky, star, 0.0
    rest = max(variance - sky**2, 0.0)
    star = min(star, np.sqrt(rest))
    return sky, float(star), float(np.sqrt(max(rest - star**2, 0.0)))


def pixel_noise_error(
    error: np.ndarray, mask: np.ndarray, aperture: Aperture, noise_corr: float
) -> float:
    """1 sigma of the sum from the errors of single pixels.

    Parameters
    ----------
    error : ndarray, shape (ny, nx)
        1 sigma of each pixel.
    mask : ndarray of bool, shape (ny, nx)
        True = bad: filled pixels count as uncertain as the frame's others (median).
    aperture : galstep.records.Aperture
    noise_corr : float
        How much larger errors are than those of white noise; NaN: not known, 1.

    Returns
    -------
    float
    """
    variance, good_area = aperture_sum(error**2, aperture, mask, power=2)
    # not scaled up from the good ones: bad pixels farther out must not make it smaller
    usual = float(np.nanmedian(np.where(mask, np.nan, error)) ** 2)
    white = np.sqrt(variance + (overlap(aperture).data.sum() - good_area) * usual)
    return float(white * (noise_corr if np.isfinite(noise_corr) else 1.0))


def star_error(stars: StarList, psf: EffectivePSF, aperture: Aperture, pixel_sigma: float) -> float:
    """1 sigma of the light of the stars inside an aperture, as if independent.

    Parameters
    ----------
    stars : galstep.records.StarList
    psf : galstep.core.psf.effective.EffectivePSF
    aperture : galstep.records.Aperture
    pixel_sigma : float
        Noise of a pixel, for stars whose error is not known.

    Returns
    -------
    float
    """
    weights = overlap(aperture)
    renderer = StarRenderer(psf)
    x, y = stars.x - weights.bbox.ixmin, stars.y - weights.bbox.iymin
    half_size = renderer.matrix_half_size
    ny, nx = weights.shape
    near = (abs(x - (nx - 1) / 2) < nx / 2 + half_size) & (
        abs(y - (ny - 1) / 2) < ny / 2 + half_size
    )
    if not near.any():
        return 0.0
    share = renderer.project(weights.data[None], x[near], y[near], half_size)[:, 0]
    sigma = np.asarray(stars.flux_err, dtype=float)[near]
    white = pixel_sigma * np.sqrt(psf.noise_area)
    return float(np.linalg.norm(share * np.where(np.isfinite(sigma), sigma, white)))
