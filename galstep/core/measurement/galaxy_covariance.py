"""The covariance of the galaxy's numbers in the noise that the frame has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.measurement.measure_galaxy import border_quantities
from galstep.core.noise.errors import not_below_white, pixel_sigma, quantity_covariance
from galstep.core.noise.large_scales import continued_power
from galstep.core.noise.projection import restored_power
from galstep.core.noise.psf_error import psf_covariance
from galstep.core.noise.scene_noise import measure_scene_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution
    from galstep.core.measurement.measure_galaxy import Quantities
    from galstep.core.noise.scene_noise import SceneNoise

__all__ = ["galaxy_covariance", "measured_noise", "rows_covariance", "scaled_residuals"]


def scaled_residuals(bands: Sequence[SceneBand], evaluation: Evaluation) -> list[np.ndarray]:
    """Per band the residual in units of the pixel sigma, 0 where masked."""
    scaled = []
    for band, residual in zip(bands, evaluation.residuals, strict=True):
        sigma = pixel_sigma(band)
        scaled.append(np.divide(residual, sigma, out=np.zeros(band.shape), where=sigma > 0))
    return scaled


def measured_noise(
    bands: Sequence[SceneBand], solution: Solution, covariance: SceneCovariance
) -> SceneNoise:
    """The noise of a fit's residuals, and what they do not show of it.

    What the fit took out of it is put back, and what the frame is too small to
    show is continued.

    Parameters
    ----------
    bands, solution, covariance
        As for `galaxy_covariance`.

    Returns
    -------
    galstep.core.noise.scene_noise.SceneNoise
        In units of the pixel sigma.
    """
    state = solution.state
    good = [
        ~band.mask & ~band.core(state, shift)
        for band, shift in zip(bands, state.shift, strict=True)
    ]
    scaled = scaled_residuals(bands, solution.evaluation)
    noise = measure_scene_noise(bands, scaled, good, state.shift)
    sigmas = [pixel_sigma(band) for band in bands]
    noise = restored_power(noise, bands, sigmas, good, solution, covariance)
    return continued_power(noise)


def galaxy_covariance(
    bands: Sequence[SceneBand], solution: Solution, covariance: SceneCovariance
) -> tuple[Quantities, np.ndarray, np.ndarray]:
    """Covariance of shapes, fluxes and sky levels of a fit.

    In the noise that the residuals show (`measured_noise`), with the errors of the
    PSFs added.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
    covariance : `galstep.core.engine.covariance.SceneCovariance`
        The formal one.

    Returns
    -------
    quantities : `galstep.core.measurement.measure_galaxy.Quantities`
    matrix : (nq, nq) array
        Their covariance.
    white : (nq,) array
        Their variances in white noise.
    """
    quantities = border_quantities(bands, solution.state, covariance.layout)
    return quantities, *rows_covariance(bands, solution, covariance, quantities.rows)


def rows_covariance(
    bands: Sequence[SceneBand], solution: Solution, covariance: SceneCovariance, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`galaxy_covariance` of any numbers that follow from the border's parameters.

    Parameters
    ----------
    bands, solution, covariance
        As for `galaxy_covariance`.
    rows : (nq, n_border) array
        Each number's derivatives.

    Returns
    -------
    matrix : (nq, nq) array
    white : (nq,) array
    """
    noise = measured_noise(bands, solution, covariance)
    matrix, white = quantity_covariance(bands, solution, covariance, rows, noise)
    matrix = not_below_white(matrix, white)
    return matrix + psf_covariance(bands, solution, covariance, rows), white
