"""Star fluxes that are not negative: NNLS on the normal equations.

With positions and shapes held the scene is linear. Galaxy fluxes and sky, which
may have any sign, are eliminated by their Schur complement

    G = S - C^T B^-1 C,    h = G f + g_s - C^T B^-1 g_b,

and the star fluxes minimise f^T G f / 2 - h^T f with f >= 0, which with the
Cholesky factor G = L L^T is the non-negative least-squares problem
min |L^T f - L^-1 h| (Lawson & Hanson 1974, Solving Least Squares Problems,
chapter 23). The matrix is made of truncated stamps and the gradient of full
wings, so that a few rounds are needed until the gradient agrees.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from galstep.core.engine.freedom import N_SHAPE
from galstep.core.engine.normal import evaluate, normal_equations, wing_half_sizes
from galstep.core.engine.solve import Solution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.normal import NormalEquations
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["fit_nonnegative", "nonnegative_step"]

# On G's diagonal, relative: two stars on one place have one flux between them.
RIDGE = 1e-9
LINEAR: dict[str, Any] = dict(
    shape=(False,) * N_SHAPE,
    positions=False,
    registration=(),
    gradient=(0,) * N_SHAPE,
    shape_priors=(),
)


def nonnegative_step(equations: NormalEquations, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What minimises the quadratic form of some normal equations with flux >= 0.

    Parameters
    ----------
    equations : `galstep.core.engine.normal.NormalEquations`
        Of the linear parameters alone.
    flux : (n_bands * n_stars,) array
        Where they were made, in the order of the layout.

    Returns
    -------
    border : array
        Step of galaxy fluxes and sky.
    flux : array
        The new star fluxes, all >= 0.
    """
    matrix = equations.matrix
    eliminated = np.linalg.solve(matrix.border, matrix.coupling)
    gram = matrix.stars.toarray() - matrix.coupling.T @ eliminated
    gradient = equations.star_gradient - eliminated.T @ equations.border_gradient
    # unit diagonal: the ridge and nnls's tolerance are then those of all stars
    size = np.sqrt(np.diag(gram))
    scaled = gram / np.outer(size, size) + RIDGE * np.eye(len(size))
    right = scaled @ (flux * size) + gradient / size
    lower = cholesky(scaled, lower=True)
    best, _ = nnls(lower.T, solve_triangular(lower, right, lower=True))
    best /= size
    border = np.linalg.solve(matrix.border, equations.border_gradient)
    return border - eliminated @ (best - flux), best


def fit_nonnegative(
    bands: Sequence[SceneBand],
    state: SceneState,
    freedom: Freedom,
    *,
    max_iterations: int = 12,
    tolerance: float = 0.1,
    reuse: tuple[SceneState, Evaluation] | None = None,
    **ignored: Any,
) -> Solution:
    """Fit the linear parameters of a scene with no star below zero.

    Parameters
    ----------
    bands, state, freedom
        As for `galstep.core.engine.solve.fit_scene`; shapes, positions and
        registration stay where they are, whatever is free.
    max_iterations : int, optional
    tolerance : float, optional
        In chi2.
    reuse : optional
        See `galstep.core.engine.normal.evaluate`.
    **ignored
        Other options of `fit_scene`.

    Returns
    -------
    `galstep.core.engine.solve.Solution`
        Its equations are those of all that ``freedom`` leaves free.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the equations are singular.
    """
    linear = replace(freedom, **LINEAR)
    half_sizes = tuple(
        wing_half_sizes(band, flux) for band, flux in zip(bands, state.star_flux, strict=True)
    )
    state = replace(state, star_flux=np.maximum(state.star_flux, 0.0))
    evaluation = evaluate(bands, state, half_sizes, linear, reuse)
    n_iterations, decrease = 0, np.inf
    while n_iterations < max_iterations and decrease >= tolerance:
        n_iterations += 1
        equations = normal_equations(bands, state, evaluation, half_sizes, linear)
        trial = _stepped(bands, state, equations)
        tried = evaluate(bands, trial, half_sizes, linear, (state, evaluation))
        decrease = evaluation.chi2 - tried.chi2
        if decrease < 0:
            break
        state, evaluation = trial, tried
    converged = decrease < tolerance
    evaluation = evaluate(bands, state, half_sizes, freedom, (state, evaluation))
    equations = normal_equations(bands, state, evaluation, half_sizes, freedom)
    return Solution(state, evaluation, half_sizes, n_iterations, converged, equations)


def _stepped(bands, state, equations):
    layout = equations.layout
    if layout.n_stars:
        border, flux = nonnegative_step(equations, state.star_flux.T.ravel())
    else:
        border = np.linalg.solve(equations.matrix.border, equations.border_gradient)
        flux = np.zeros(0)
    galaxy, sky = state.galaxy_flux.copy(), []
    for i in range(len(bands)):
        first = layout.galaxy_flux(i)
        galaxy[i] += border[first : first + layout.n_galaxies]
        sky.append(state.sky[i] + border[layout.sky(i)])
    star_flux = flux.reshape(layout.n_stars, len(bands)).T.copy()
    return replace(state, galaxy_flux=galaxy, sky=tuple(sky), star_flux=star_flux)
