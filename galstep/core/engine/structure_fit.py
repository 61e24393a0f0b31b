"""How much structure a galaxy has: the modes' coefficients and their prior.

The coefficients are linear and solved for beside everything that could do the same (the
profiles, their derivatives, the sky), which is then left to the next fit of the scene. Their
prior is Gaussian about zero, with one width for each order m, measured by the data
themselves: the evidence of the linear model is maximised (MacKay 1992, Neural Computation
4, 415, section 4.4),

    width^2 = sum c^2 / gamma,   gamma = number of coefficients that the data determine.

A galaxy without structure is given a width of nothing, and its fit is that of the profiles
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.structure_modes import StructureModes, structure_modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.normal import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["BandStructure", "solve_structure"]

# Rounds of the evidence, and the largest share by which the light may change, 1 sigma.
ROUNDS, START_WIDTH, MAX_WIDTH = 12, 0.1, 0.7
# A width of nothing, as a precision. An order must raise ln(evidence) by so much: odds of 400
# to 1, since weights are never quite those of the noise.
NO_STRUCTURE, MIN_EVIDENCE = 1e8, 6.0
# Pixels that stand above the model by more are sources, listed or not, and have no say.
CLIP = 4.0
# Out to where an annulus as wide as a hat shows the galaxy at this S/N.
MIN_ANNULUS_SNR = 5.0
MAX_IN_R_EFF = 5.0


@dataclass(frozen=True, eq=False)
class BandStructure:
    """The structure of the target in one band.

    Parameters
    ----------
    modes : `galstep.core.imaging.structure_modes.StructureModes`
    coefficients : (n_modes,) array
    precision : (n_modes,) array
        1 / width^2 of the prior; infinite where the galaxy has none.
    n_determined : float
        How many coefficients the data determine, the prior not.
    image : (ny, nx) array
        The light that they add, image units.
    """

    modes: StructureModes
    coefficients: np.ndarray
    precision: np.ndarray
    n_determined: float
    image: np.ndarray


def _outer_radius(band, light, vector):
    """Semi-major axis beyond which the galaxy is too faint to have structure."""
    a = np.geomspace(1.0, MAX_IN_R_EFF, 40) * np.exp(vector[2])
    ny, nx = light.shape
    e = min(np.hypot(vector[3], vector[4]), 0.99)
    theta = 0.5 * np.arctan2(vector[4], vector[3])
    x = np.clip(np.rint(vector[0] + a * np.cos(theta)), 0, nx - 1).astype(int)
    y = np.clip(np.rint(vector[1] + a * np.sin(theta)), 0, ny - 1).astype(int)
    pixels = 2 * np.pi * a * (1 - e) / (1 + e) * np.maximum(0.3 * a, band.star_renderer.psf.fwhm)
    seen = light[y, x] / band.sigma * np.sqrt(pixels) > MIN_ANNULUS_SNR
    return float(a[seen].max()) if seen.any() else 0.0


def solve_structure(
    band: SceneBand,
    index: int,
    state: SceneState,
    evaluation: Evaluation,
) -> BandStructure | None:
    """The structure of the target in a band, everything else as it is fitted.

    Parameters
    ----------
    band, index : `galstep.core.engine.scene.SceneBand`, int
    state, evaluation
        The fit of its data, which lack the structure that it has.

    Returns
    -------
    BandStructure or None
        None where the galaxy is too small or faint to have any.
    """
    stack = evaluation.galaxies[index]
    own = state.target
    light = np.tensordot(state.galaxy_flux[index][own], stack[own, 0], axes=1)
    main = int(np.argmax(np.where(own, state.galaxy_flux[index], -np.inf)))
    vector = band.own_vector(state.shapes_in(band)[main], state.shift[index])
    modes = structure_modes(
        light, vector, band.star_renderer.psf.fwhm, _outer_radius(band, light, vector)
    )
    if not len(modes):
        return None
    residual = (evaluation.residuals[index] + band.structure_light).ravel()[modes.places]
    weight = band.weight.ravel()[modes.places]
    others = np.concatenate(
        [stack[own].reshape(-1, band.data.size), band.basis.reshape(len(band.basis), -1)]
    )[:, modes.places]
    others = others[np.abs(others).max(axis=1) > 0]
    coefficients, precision, n_determined = _evidence(modes, residual, weight, others)
    image = modes.image(coefficients)
    return BandStructure(modes, coefficients, precision, n_determined, image)


def _evidence(modes, residual, weight, others):
    """Coefficients and the precision of their prior."""
    n, order = len(modes), modes.order
    columns = np.concatenate([modes.images, others])
    start = np.full(n, 1 / START_WIDTH**2)
    coefficients = np.zeros(n)
    for _ in range(2):
        left = residual - coefficients @ modes.images
        own = np.where(left * np.sqrt(weight) > CLIP, 0.0, weight)
        matrix, right = _projected(columns, own, residual, n)
        coefficients, precision, n_determined = _maximised(matrix, right, order, start)
    return coefficients, precision, n_determined


def _projected(columns, weight, residual, n):
    """Normal equations of the first n columns, the others solved for."""
    weighted = columns * weight
    matrix, right = weighted @ columns.T, weighted @ residual
    other = slice(n, None)
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix)[other], np.finfo(float).tiny))
    inner = matrix[other, other] * scale[:, None] * scale + 1e-9 * np.eye(len(scale))
    across = matrix[other, :n] * scale[:, None]
    solved = np.linalg.solve(inner, np.column_stack([across, right[other] * scale]))
    return matrix[:n, :n] - across.T @ solved[:, :-1], right[:n] - across.T @ solved[:, -1]


def _maximised(matrix, right, order, precision):
    """Coefficients at the maximum of the evidence over one width per order."""
    precision = precision.copy()
    for _ in range(ROUNDS):
        coefficients, determined = _solved(matrix, right, precision)
        for m in np.unique(order):
            own = order == m
            gamma, power = determined[own].sum(), (coefficients[own] ** 2).sum()
            wanted = gamma / power if power > 0 else NO_STRUCTURE
            precision[own] = np.clip(wanted, 1 / MAX_WIDTH**2, NO_STRUCTURE)
    whole = _log_evidence(matrix, right, precision)
    for m in np.unique(order):
        without = np.where(order == m, NO_STRUCTURE, precision)
        if whole - _log_evidence(matrix, right, without) < MIN_EVIDENCE:
            precision = without
            whole = _log_evidence(matrix, right, precision)
    coefficients, determined = _solved(matrix, right, precision)
    return coefficients, precision, float(determined.sum())


def _solved(matrix, right, precision):
    """Coefficients, and how far the data determine each, from 0 to 1."""
    inverse = np.linalg.inv(matrix + np.diag(precision))
    return inverse @ right, 1 - precision * np.diag(inverse)


def _log_evidence(matrix, right, precision):
    """ln of the evidence over that without any structure."""
    total = matrix + np.diag(precision)
    lower = np.linalg.cholesky(total)
    explained = np.linalg.solve(lower, right)
    return 0.5 * (explained @ explained + np.log(precision).sum()) - np.log(np.diag(lower)).sum()
