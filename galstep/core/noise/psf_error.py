"""What an error of the PSF does to the results.

A PSF that was measured has errors, and a bright galaxy or star knows its flux
better than the PSF that it is fitted with. If the PSF were P + dP, the model
would change by the image k = sum_g F_g S_g(dP) + sum_i f_i dP(x - x_i), the
residual by -k, and a quantity with the influence image v by

    dt = -sum over pixels of v k

(`galstep.core.noise.errors`). Each band carries PSFs displaced by one sigma along
each independent direction of what is not known of it; their dt are added in
quadrature. Of different bands they are independent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.core.noise.errors import influence_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution

__all__ = ["psf_covariance", "relative_star_errors"]


def psf_covariance(
    bands: Sequence[SceneBand],
    solution: Solution,
    covariance: SceneCovariance,
    functionals: np.ndarray,
) -> np.ndarray:
    """Covariance of some quantities from the errors of the PSFs.

    Parameters
    ----------
    bands, solution, covariance, functionals
        As for `galstep.core.noise.errors.influence_images`.

    Returns
    -------
    (nq, nq) array
        Zero if no band carries displaced PSFs.
    """
    matrix = np.zeros((len(functionals),) * 2)
    if not any(band.displaced_psfs for band in bands):
        return matrix
    influences = influence_images(bands, solution, covariance, functionals)
    for i, (band, influence) in enumerate(zip(bands, influences, strict=True)):
        for psf in band.displaced_psfs:
            change = _model_change(band, i, solution, psf)
            moves = np.tensordot(influence, change, axes=2)
            matrix += np.outer(moves, moves)
    return matrix


def _model_change(band, index, solution, psf):
    """The model with another PSF minus the model."""
    state, evaluation = solution.state, solution.evaluation
    renderer = GalaxyRenderer(band.shape, psf)
    matrix = None if band.on_scene_grid else band.matrix
    change = -np.tensordot(state.galaxy_flux[index], evaluation.images(index), axes=1)
    for shape, flux in zip(state.shapes_in(band), state.galaxy_flux[index], strict=True):
        vector = band.galaxy_vector(shape, state.shift[index])
        change += flux * renderer.image(vector, matrix)
    if state.n_stars:
        x, y = band.to_pixels(state.x, state.y, state.shift[index])
        sizes = solution.half_sizes[index]
        flux = state.star_flux[index]
        change += StarRenderer(psf).render(band.shape, x, y, flux, half_sizes=sizes)
        change -= evaluation.stars[index]
    return np.where(band.mask, 0.0, change)


def relative_star_errors(band: SceneBand) -> float:
    """Relative error of any star's flux from the errors of the PSF.

    A star alone, fitted with P + dP instead of P, changes its flux by the
    share sum(P dP) / sum(P^2).

    Returns
    -------
    float
    """
    psf = band.star_renderer.psf
    norm, squared = np.square(psf.array).sum(), 0.0
    for other in band.displaced_psfs:
        ours, theirs = _same_size(psf.array, other.array)
        squared += (np.vdot(ours, theirs) / norm - 1) ** 2
    return float(np.sqrt(squared))


def _same_size(first, second):
    """Two centred arrays, both padded to the larger size."""
    shape = np.maximum(first.shape, second.shape)
    return [np.pad(a, [((n - m) // 2,) * 2 for n, m in zip(shape, a.shape, strict=True)])
            for a in (first, second)]  # fmt: skip
