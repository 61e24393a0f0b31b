"""Formal errors of a fitted scene: from the inverse of its normal matrix.

They are marginalised over all other parameters, and hold for noise that is
independent from pixel to pixel and as large as the weights say;
`galstep.core.noise.errors` covers the rest.

The border's covariance is exact. A star's own is that of the star with its
nearest neighbours, the rest held, plus the exact share of the border: stars
farther away than that change it by less than a percent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.engine.layout import Layout
from galstep.core.engine.normal import normal_equations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galstep.core.engine.bordered import BorderedFactor
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.normal import NormalEquations
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = [
    "LateCovariance",
    "SceneCovariance",
    "covariance_of",
    "scene_covariance",
    "solution_equations",
]

# Stamps wide enough that the truncation of the matrix costs nothing.
COVARIANCE_HALF_SIZE = 12
N_NEIGHBOURS = 7


@dataclass(frozen=True, eq=False)
class SceneCovariance:
    """Formal covariance of a scene's parameters.

    Parameters
    ----------
    layout : `Layout`
    factor : `galstep.core.engine.bordered.BorderedFactor`
    star_variance : (n_stars, block) array
        Marginal variances of each star's parameters.
    whitenings : tuple of `galstep.core.noise.whitening.Whitening`, optional
        One per band where the fit weights pixels with their covariance
        (`galstep.core.fitting.gls`); without it they count as independent.
    """

    layout: Layout
    factor: BorderedFactor
    star_variance: np.ndarray
    whitenings: tuple = None

    def whitening(self, band: int) -> Any:
        """That of a band, or None."""
        return None if self.whitenings is None else self.whitenings[band]

    def star_flux_errors(self, bands: Sequence[SceneBand] | None = None) -> np.ndarray:
        """(n_bands, n_stars) 1-sigma errors.

        With ``bands`` an error is infinite where a star has no data in a band
        and its flux is held: no star is known better than one by itself on a
        frame without masked pixels.
        """
        errors = np.sqrt(self.star_variance[:, : self.layout.n_bands].T)
        if bands is None:
            return errors
        alone = [band.sigma * np.sqrt(band.star_renderer.psf.noise_area) for band in bands]
        return np.where(errors < 1e-3 * np.array(alone)[:, None], np.inf, errors)

    def position_errors(self) -> np.ndarray:
        """(2, n_stars) 1-sigma errors of x and y, NaN where pinned."""
        if not self.layout.positions:
            return np.full((2, self.layout.n_stars), np.nan)
        return np.sqrt(self.star_variance[:, self.layout.n_bands :].T)

    def registration_error(self, band: int) -> tuple[float, ...]:
        """1-sigma errors (dx, dy), NaN where the registration was not free."""
        if band not in self.layout.registration:
            return (np.nan, np.nan)
        variance = np.diag(self.factor.border_inverse())[self.layout.registration[band]]
        return tuple(float(v) for v in np.sqrt(variance))


class LateCovariance:
    """A `SceneCovariance` that is made when it is first asked for, and then kept.

    Most fits of a scene are steps to another one, and nobody asks for their errors.

    Parameters
    ----------
    make : callable
        Makes it, without arguments.
    """

    def __init__(self, make: Callable[[], SceneCovariance]) -> None:
        self._make = make

    @cached_property
    def value(self) -> SceneCovariance:
        """The covariance."""
        return self._make()


def _local_variance(stars, layout, x, y):
    """Diagonal of S^-1 from each star's neighbourhood.

    The blocks of a star and its nearest neighbours are cut out of S and
    inverted together, all stars at once.
    """
    n_stars, size = layout.n_stars, layout.block
    count = min(N_NEIGHBOURS + 1, n_stars)
    places = np.column_stack([x, y])
    _, near = cKDTree(places).query(places, k=count)
    near = near.reshape(n_stars, count)
    blocks = stars.tobsr((size, size))
    rows = np.repeat(np.arange(n_stars), np.diff(blocks.indptr))
    keys = rows * n_stars + blocks.indices
    order = np.argsort(keys)
    keys, data = keys[order], blocks.data[order]
    wanted = near[:, :, None] * n_stars + near[:, None, :]
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    cut = np.where((keys[found] == wanted)[..., None, None], data[found], 0.0)
    cut = cut.transpose(0, 1, 3, 2, 4).reshape(n_stars, count * size, count * size)
    unit = np.broadcast_to(np.eye(count * size, size), (n_stars, count * size, size))
    return np.linalg.solve(cut, unit)[:, np.arange(size), np.arange(size)]


def covariance_of(equations: NormalEquations, state: SceneState) -> SceneCovariance:
    """The formal covariance that belongs to some normal equations.

    Parameters
    ----------
    equations : `galstep.core.engine.normal.NormalEquations`
    state : `galstep.core.engine.scene.SceneState`
        Where the stars are.

    Returns
    -------
    SceneCovariance
    """
    layout = equations.layout
    factor = equations.matrix.factor()
    variance = np.zeros((layout.n_stars, layout.block))
    if layout.n_stars:
        variance = _local_variance(equations.matrix.stars, layout, state.x, state.y)
        shared = (factor.solved * factor.border_solve(factor.solved.T).T).sum(axis=1)
        variance = np.maximum(variance, 0.0) + shared.reshape(layout.n_stars, layout.block)
    return SceneCovariance(layout, factor, variance)


def scene_covariance(
    bands: Sequence[SceneBand],
    solution: Solution,
    freedom: Freedom,
    half_size: int | None = COVARIANCE_HALF_SIZE,
) -> SceneCovariance:
    """The formal covariance at a solution.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
    freedom : `galstep.core.engine.scene.Freedom`
    half_size : int, optional
        Half-size of the stamps in the matrix, None for each PSF's own.

    Returns
    -------
    SceneCovariance
    """
    return covariance_of(solution_equations(bands, solution, freedom, half_size), solution.state)


def solution_equations(
    bands: Sequence[SceneBand],
    solution: Solution,
    freedom: Freedom,
    half_size: int | None = COVARIANCE_HALF_SIZE,
) -> NormalEquations:
    """The normal equations at a solution, in stamps wide enough for a covariance.

    Parameters
    ----------
    bands, solution, freedom, half_size
        As for `scene_covariance`. The solution has the derivatives that ``freedom`` asks for.

    Returns
    -------
    galstep.core.engine.normal.NormalEquations
    """
    return normal_equations(
        bands,
        solution.state,
        solution.evaluation,
        solution.half_sizes,
        freedom,
        half_size=half_size,
    )
