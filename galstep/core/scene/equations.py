"""The normal equations of a scene: sources in the body, the sky in the border.

The unknowns of a source are its free entries of z and one flux per band, in this order; the
border has the sky factors of one frame after the other. Gradients use the residual of the whole
model, derivatives end with the fit stamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_matrix

from galstep.core.engine.bordered import BorderedMatrix

if TYPE_CHECKING:
    from galstep.core.engine.bordered import BorderedFactor
    from galstep.core.scene.grams import Grams
    from galstep.core.scene.scene import Evaluation, Scene

__all__ = ["Equations", "Layout", "normal_equations"]

# On a diagonal of 1: what two copies of one source need to have a solution.
_RIDGE = 1e-10


class Layout:
    """Where each unknown of a scene stands.

    Attributes
    ----------
    first : (N + 1,) int array
        Source i has the body's unknowns first[i] to first[i + 1].
    linear : (n_body,) bool array
        Fluxes.
    sky : (n_bands + 1,) int array
        Frame b has the border's unknowns sky[b] to sky[b + 1].
    """

    def __init__(self, scene: Scene) -> None:
        n_free = np.array([source.n_free for source in scene.sources], dtype=int)
        self.n_free, self.n_bands = n_free, scene.n_bands
        self.first = np.concatenate([[0], np.cumsum(n_free + scene.n_bands)]).astype(int)
        self.sky = np.concatenate([[0], np.cumsum([len(f.sky) for f in scene.frames])]).astype(int)
        self.linear = np.zeros(self.first[-1], dtype=bool)
        for start, n in zip(self.first, n_free, strict=False):
            self.linear[start + n : start + n + scene.n_bands] = True
        self.owner = np.repeat(np.arange(len(n_free)), n_free + scene.n_bands)

    @property
    def n_body(self) -> int:
        """Unknowns of all sources."""
        return int(self.first[-1])

    @property
    def n_border(self) -> int:
        """Unknowns of the sky."""
        return int(self.sky[-1])

    def of(self, index: int) -> slice:
        """The unknowns of a source."""
        return slice(self.first[index], self.first[index + 1])

    def shape_of(self, index: int) -> slice:
        """Its free entries of z."""
        return slice(self.first[index], self.first[index] + self.n_free[index])

    def flux_of(self, index: int) -> slice:
        """Its fluxes."""
        return slice(self.first[index] + self.n_free[index], self.first[index + 1])


@dataclass(frozen=True, eq=False)
class Equations:
    """Matrix and gradient (downhill) of a state."""

    layout: Layout
    border: np.ndarray
    coupling: np.ndarray
    body: csc_matrix
    border_gradient: np.ndarray
    gradient: np.ndarray

    @cached_property
    def diagonal(self) -> np.ndarray:
        """(n_body,) of the matrix."""
        return self.body.diagonal()

    def factor(
        self, damping: np.ndarray | None = None, keep: np.ndarray | None = None
    ) -> tuple[BorderedFactor, np.ndarray, np.ndarray]:
        """Factorise with unit diagonal.

        Parameters
        ----------
        damping : (n_body,) array, optional
            Added to the diagonal.
        keep : (n_body,) bool array, optional
            The unknowns that are solved for; the others are held.

        Returns
        -------
        factor : BorderedFactor
        body_scale, border_scale : arrays
            x = scale * (solution of the scaled system).

        Raises
        ------
        numpy.linalg.LinAlgError
        """
        body, coupling, diagonal = self.body, self.coupling, self.diagonal
        total = diagonal if damping is None else diagonal + damping
        if keep is not None:
            body, coupling = body[keep][:, keep], coupling[:, keep]
            total, diagonal = total[keep], diagonal[keep]
        scale = 1 / np.sqrt(total)
        border_scale = 1 / np.sqrt(np.maximum(np.diag(self.border), 1e-300))
        body = body.copy()
        body.data *= scale[body.indices] * np.repeat(scale, np.diff(body.indptr))
        # the scaled diagonal is 1 with the damping
        body.setdiag(1.0 + _RIDGE)
        border = self.border * border_scale[:, None] * border_scale
        coupling = coupling * border_scale[:, None] * scale
        return BorderedMatrix(border, coupling, body.tocsc()).factor(), scale, border_scale

    def solve(
        self,
        damping: np.ndarray | None = None,
        held: np.ndarray | None = None,
        values: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The step of all unknowns.

        Parameters
        ----------
        damping : (n_body,) array, optional
        held : (n_body,) bool array, optional
            Unknowns whose step is given by ``values``.
        values : (n_body,) array, optional

        Returns
        -------
        border_step, step : arrays
        """
        right, border_right = self.gradient, self.border_gradient
        step = np.zeros(len(right))
        keep = None
        if held is not None and held.any():
            step = np.where(held, values, 0.0)
            right = right - self.body @ step
            border_right = border_right - self.coupling @ step
            keep = ~held
        factor, scale, border_scale = self.factor(damping, keep)
        own = right if keep is None else right[keep]
        border, inner = factor.solve(border_scale * border_right, scale * own)
        step[slice(None) if keep is None else keep] = scale * inner
        return border_scale * border, step


def normal_equations(evaluation: Evaluation, grams: Grams) -> Equations:
    """The Gauss-Newton equations of a state.

    Parameters
    ----------
    evaluation : Evaluation
    grams : Grams
        Of the same weights.
    """
    scene, state, stamps = evaluation.scene, evaluation.state, evaluation.stamps
    layout = Layout(scene)
    blocks = _Blocks()
    coupling = np.zeros((layout.n_border, layout.n_body))
    gradient = np.zeros(layout.n_body)
    weighted = [w * r for w, r in zip(evaluation.weights, evaluation.residuals, strict=True)]
    for i, source in enumerate(scene.sources):
        own, sky = grams.own(i, stamps[i])
        block = _block(own, source, source, state.flux[i], state.flux[i])
        slopes = _gradient(stamps[i], source, state.flux[i], weighted)
        if source.prior is not None:
            _add_prior(block, slopes, source, state.z[i], state.flux[i])
        # what no pixel and no prior says anything about stays
        empty = np.diag(block) <= 0
        block[empty, empty] = 1.0
        blocks.add(layout.first[i], layout.first[i], block)
        gradient[layout.of(i)] = slopes
        for b, products in enumerate(sky):
            rows = slice(layout.sky[b], layout.sky[b + 1])
            n_free = source.n_free
            coupling[rows, layout.shape_of(i)] = state.flux[i, b] * products[source.rows].T
            coupling[rows, layout.first[i] + n_free + b] = products[0]
    for i, j, products in grams.neighbours(stamps):
        block = _block(products, scene.sources[i], scene.sources[j], state.flux[i], state.flux[j])
        blocks.add(layout.first[i], layout.first[j], block)
        blocks.add(layout.first[j], layout.first[i], block.T)
    border, border_gradient = _border(evaluation, grams, layout, weighted)
    body = blocks.matrix(layout.n_body)
    return Equations(layout, border, coupling, body, border_gradient, gradient)


def _block(products, one, two, flux_one, flux_two):
    """Unknowns of one source against those of another, from products of unit stamps."""
    n_one, n_two, n_bands = one.n_free, two.n_free, len(flux_one)
    block = np.zeros((n_one + n_bands, n_two + n_bands))
    for b, product in enumerate(products):
        if product is None:
            continue
        f, g = flux_one[b], flux_two[b]
        block[:n_one, :n_two] += f * g * product[one.rows][:, two.rows]
        block[:n_one, n_two + b] = f * product[one.rows, 0]
        block[n_one + b, :n_two] = g * product[0, two.rows]
        block[n_one + b, n_two + b] = product[0, 0]
    return block


def _gradient(stamps, source, flux, weighted):
    n_free = source.n_free
    gradient = np.zeros(n_free + len(flux))
    for b, (stamp, image) in enumerate(zip(stamps.fit, weighted, strict=True)):
        sums = np.tensordot(stamp.values, image[stamp.part], 2)
        gradient[:n_free] += flux[b] * sums[source.rows]
        gradient[n_free + b] = sums[0]
    return gradient


def _add_prior(block, gradient, source, z, flux):
    prior, free, n = source.prior, source.free, source.n_free
    block[:n, :n] += prior.precision[np.ix_(free, free)]
    gradient[:n] -= (prior.precision @ (z - prior.mean))[free]
    index = np.arange(n, len(gradient))
    block[index, index] += prior.flux_precision
    gradient[n:] -= prior.flux_precision * (flux - prior.flux_mean)


def _border(evaluation, grams, layout, weighted):
    matrix, gradient = np.zeros((layout.n_border,) * 2), np.zeros(layout.n_border)
    frames = evaluation.scene.frames
    for b, (frame, factors) in enumerate(zip(frames, evaluation.state.sky, strict=True)):
        own = slice(layout.sky[b], layout.sky[b + 1])
        matrix[own, own] = grams.sky[b] + frame.sky.precision
        gradient[own] = np.tensordot(frame.sky.basis, weighted[b], 2)
        gradient[own] -= frame.sky.precision @ (factors - frame.sky.mean)
    empty = np.diag(matrix) <= 0
    matrix[empty, empty] = 1.0
    return matrix, gradient


class _Blocks:
    """Dense blocks of a sparse matrix, gathered."""

    def __init__(self):
        self.rows, self.columns, self.values = [], [], []

    def add(self, row, column, block):
        n, m = block.shape
        self.rows.append(np.repeat(np.arange(row, row + n), m))
        self.columns.append(np.tile(np.arange(column, column + m), n))
        self.values.append(block.ravel())

    def matrix(self, size):
        if not self.values:
            return csc_matrix((size, size))
        parts = (np.concatenate(own) for own in (self.values, self.rows, self.columns))
        values, rows, columns = parts
        return csc_matrix((values, (rows, columns)), shape=(size, size))
