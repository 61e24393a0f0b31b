"""chi2 as a function of the galaxies' shapes alone, for searches that sample it.

Stars stay where they are; every flux and every sky coefficient is solved for at
each trial (variable projection: Golub & Pereyra 1973, SIAM J. Numer. Anal. 10,
413). Stars and sky are the same columns A for all shapes, so that their normal
matrix K = A'WA is factorised once. With T the images of the trial's galaxies
and d the data less the stars and sky of the start,

    N = T'WT - V'K^-1 V,    V = T'WA,    b = T'Wd - V'K^-1 A'Wd,

the fluxes solve N F = b and chi2 = const - b'F. With the derivatives of the
images among the columns of T the same sums hold the gradient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import N_SHAPE, Freedom
from galstep.core.engine.normal import evaluate, normal_equations, wing_half_sizes
from galstep.core.engine.priors import prior_chi2, prior_equations
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["ShapeChi2"]

_LINEAR = Freedom(shape=(False,) * N_SHAPE, positions=False)
_SHAPES = Freedom(positions=False)
# Half-size of the stars here (pixels): it is the changes of their fluxes that are
# solved for, and those have no wings worth the time.
_HALF_SIZE = 20
_RIDGE = 1e-10


class ShapeChi2:
    """The chi2 that is left when everything linear is solved for.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
        The start: the sums are expanded about its stars and sky, so let its
        linear parameters be solved for. Its star positions, registration and
        the wavelength gradients of its shapes are kept.
    freedom : `galstep.core.engine.freedom.Freedom`, optional
        Which shape parameters are free, whether the galaxies share a centre,
        and the priors on the first.
    bounds : `galstep.core.engine.bounds.ShapeBounds`, optional
        Trials are brought inside.

    Attributes
    ----------
    start : (n,) array
        The free parameters of ``state``, galaxy by galaxy.
    places : (n,) int array
        Their places in ``state.shapes.ravel()``.
    n_evaluations : int
        Trials so far.

    Raises
    ------
    ParameterError
        If there is no galaxy or no shape parameter is free.
    """

    def __init__(
        self,
        bands: Sequence[SceneBand],
        state: SceneState,
        freedom: Freedom = _SHAPES,
        bounds: ShapeBounds = ShapeBounds(),
    ) -> None:
        self.bands, self.state, self.bounds = list(bands), state, bounds
        self.priors, self._leaders = freedom.shape_priors, state.leaders
        free = np.tile(np.asarray(freedom.shape, dtype=bool), (len(state.shapes), 1))
        free[self._leaders != np.arange(len(free)), :2] = False
        self.places = np.flatnonzero(free)
        if not len(self.places):
            raise ParameterError("freedom must leave a shape parameter of a galaxy free")
        self.start = state.shapes.ravel()[self.places]
        self.n_evaluations = 0
        self._others = self._stars_and_sky()

    def state_at(self, vector: np.ndarray) -> SceneState:
        """The start with these shapes; its linear parameters are not solved for."""
        shapes = self.state.shapes.copy()
        shapes.ravel()[self.places] = vector
        shapes = np.array([self.bounds.clip(shape) for shape in shapes])
        shapes[:, :2] = shapes[self._leaders, :2]
        return replace(self.state, shapes=shapes)

    def __call__(self, vector):
        """chi2 of a trial, priors on the shape included.

        Galaxy fluxes are not negative: a dark galaxy could stand in for an
        error of the sky.
        """
        return self._sums(vector, _LINEAR)[0]

    def with_gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """chi2 and its gradient with respect to the free parameters, (n,)."""
        chi2, gradient = self._sums(vector, _SHAPES)
        gradient = gradient.reshape(-1, N_SHAPE)
        if self.priors:
            _, right = prior_equations(self.priors, self.state_at(vector).shapes[0])
            gradient[0] -= 2 * right
        centres = np.zeros((len(gradient), 2))
        np.add.at(centres, self._leaders, gradient[:, :2])
        gradient[:, :2] = centres
        return chi2, gradient.ravel()[self.places]

    def _stars_and_sky(self):
        """What does not depend on the shapes, band by band."""
        none = np.zeros((0, N_SHAPE))
        without = replace(
            self.state,
            shapes=none,
            galaxy_flux=np.zeros((len(self.bands), 0)),
            gradients=np.zeros((0, *none.shape)),
            galaxy_id=np.zeros(0, dtype=int),
        )
        return [_BandSums(band, _one_band(without, index)) for index, band in enumerate(self.bands)]

    def _sums(self, vector, freedom):
        self.n_evaluations += 1
        state = self.state_at(vector)
        chi2 = prior_chi2(self.priors, state.shapes[0])
        gradient = np.zeros(state.shapes.size)
        bare = state.select_stars(np.zeros(state.n_stars, dtype=bool))
        empty = [np.zeros(0, dtype=int)] * len(self.bands)
        evaluation = evaluate(self.bands, bare, empty, freedom)
        for i, others in enumerate(self._others):
            own_chi2, own_gradient = others.solved(evaluation.galaxies(i))
            chi2 += own_chi2
            gradient += own_gradient
        return chi2, gradient


def _one_band(state, index):
    """A scene without galaxies as one of its bands sees it."""
    own = slice(index, index + 1)
    return replace(
        state,
        galaxy_flux=state.galaxy_flux[own],
        sky=(state.sky[index],),
        star_flux=state.star_flux[own],
        shift=state.shift[own],
    )


class _BandSums:
    """Stars and sky of one band, and what they leave of the galaxies' images."""

    def __init__(self, band, state):
        self.band = band
        half_sizes = (wing_half_sizes(band, state.star_flux[0]),)
        evaluation = evaluate([band], state, half_sizes, _LINEAR)
        equations = normal_equations(
            [band], state, evaluation, half_sizes, _LINEAR, half_size=_HALF_SIZE
        )
        self._factor = equations.matrix.factor()
        near = np.minimum(half_sizes[0], _HALF_SIZE)
        self._stars = (*band.to_pixels(state.x, state.y, state.shift[0]), near)
        self._right = equations.border_gradient, equations.star_gradient
        self._solved = self._factor.solve(*self._right)
        self._weighted = (band.weight * evaluation.residuals[0]).ravel()
        self._chi2 = float(self._weighted @ evaluation.residuals[0].ravel())
        self._chi2 -= float(sum(r @ s for r, s in zip(self._right, self._solved, strict=True)))

    def solved(self, stack):
        """chi2 with the best fluxes, and its gradient.

        Parameters
        ----------
        stack : (n_galaxies, 1 or 7, ny, nx) array
            Images of unit flux, with or without derivatives.

        Returns
        -------
        chi2 : float
        gradient : (n_galaxies * 6,) array
            Zeros without derivatives.
        """
        n_galaxies, n_images = stack.shape[:2]
        matrix, right = self._projected(stack.reshape(-1, *self.band.shape))
        own = n_images * np.arange(n_galaxies)
        flux = _non_negative(matrix[np.ix_(own, own)], right[own])
        gradient = np.zeros((n_galaxies, N_SHAPE))
        if n_images > 1:
            slope = (right - matrix[:, own] @ flux).reshape(n_galaxies, n_images)[:, 1:]
            gradient = -2 * flux[:, None] * slope
        explained = 2 * right[own] @ flux - flux @ matrix[np.ix_(own, own)] @ flux
        return self._chi2 - explained, gradient.ravel()

    def _projected(self, images):
        """N and b of the module's docstring."""
        weighted = self.band.weight * images
        flat = images.reshape(len(images), -1)
        weighted_flat = weighted.reshape(len(images), -1)
        basis = self.band.basis.reshape(len(self.band.basis), -1)
        border = basis @ weighted_flat.T
        stars = self.band.star_renderer.project(weighted, *self._stars)
        inner = self._factor.solve(border, stars)
        matrix = flat @ weighted_flat.T - border.T @ inner[0] - stars.T @ inner[1]
        right = flat @ self._weighted - border.T @ self._solved[0] - stars.T @ self._solved[1]
        return matrix, right


def _non_negative(matrix, right):
    """Minimise F'NF/2 - b'F over F >= 0, for a few galaxies."""
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    scaled = matrix * scale[:, None] * scale + _RIDGE * np.eye(len(matrix))
    lower = np.linalg.cholesky(scaled)
    flux, _ = nnls(lower.T, np.linalg.solve(lower, scale * right))
    return scale * flux
