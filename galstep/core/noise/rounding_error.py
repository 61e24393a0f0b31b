"""What rounded numbers do to the results of a scene's fit.

Their variance, step^2/12 in each pixel, is in the noise that is measured. Where the steps are
wider than the noise, pixels of equal light are also wrong alike, which no residual shows: the
sky takes it up, and with it the light that is fainter than a step
(`galstep.core.imaging.rounding`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.rounding import is_lost, light_error, rounding_covariance
from galstep.core.noise.errors import influence_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution

__all__ = ["lost_in_steps", "scene_rounding_covariance", "star_rounding_errors"]


def _scatter(band):
    return band.sigma / band.noise_scale


def lost_in_steps(band: SceneBand) -> bool:
    """Whether the band's steps are so wide that light fainter than one is lost."""
    return is_lost(band.step, _scatter(band))


def scene_rounding_covariance(
    bands: Sequence[SceneBand],
    solution: Solution,
    covariance: SceneCovariance,
    functionals: np.ndarray,
) -> np.ndarray:
    """Covariance of some quantities from where the light lies within the steps.

    Parameters
    ----------
    bands, solution, covariance, functionals
        As for `galstep.core.noise.errors.influence_images`.

    Returns
    -------
    (nq, nq) array
        Zero of bands that are not rounded.
    """
    matrix = np.zeros((len(functionals),) * 2)
    if not any(band.step for band in bands):
        return matrix
    influences = influence_images(bands, solution, covariance, functionals)
    for band, residual, influence in zip(
        bands, solution.evaluation.residuals, influences, strict=True
    ):
        if band.step:
            light = np.where(band.mask, 0.0, band.data - residual) + band.structure_light
            matrix += rounding_covariance(influence, light, band.step, _scatter(band))
    return matrix


def star_rounding_errors(band: SceneBand, flux: np.ndarray) -> np.ndarray:
    """1 sigma of stars' fluxes from where their light lies within the steps, (n_stars,).

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    flux : (n_stars,) array
    """
    return light_error(band.star_renderer.psf.at_places, flux, band.step, _scatter(band))
