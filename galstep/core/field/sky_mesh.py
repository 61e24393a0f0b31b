"""The sky of a band: bilinear between knots of the whole image, known by all blocks together.

A block that fits its own constant makes the sky, and with it the fluxes, jump at its borders.
Here the knots belong to the image. A block fits those that its pixels touch; what the other
blocks' pixels say of them comes along as a Gaussian prior, so that every block sees the sky of
the whole neighbourhood and its error is the true one. The exchange is that of information
filters: a block's message is what its posterior knows beyond its prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.scene.frame import SkyTerms

if TYPE_CHECKING:
    from galstep.core.scene.box import Box

__all__ = ["SkyKnowledge", "SkyMesh", "SkyMessage", "SkyPrior"]

# Width of the prior that knots have before any block has spoken, in sigma of a pixel: hundreds
# of errors of any block.
_RIDGE = 30.0


@dataclass(frozen=True, eq=False)
class SkyMesh:
    """Knots over an image.

    Parameters
    ----------
    shape : (ny, nx)
    scale : float
        Wanted distance of the knots, pixels; infinite: one constant; 0: no sky.
    """

    shape: tuple[int, int]
    scale: float

    def _knots(self, axis):
        size = self.shape[axis]
        if not self.scale:
            return np.zeros(0)
        if not np.isfinite(self.scale):
            return np.array([0.5 * (size - 1)])
        return np.linspace(-0.5, size - 0.5, max(1, round(size / self.scale)) + 1)

    @property
    def n_terms(self) -> int:
        """Number of knots."""
        return len(self._knots(0)) * len(self._knots(1))

    def touched(self, box: Box) -> np.ndarray:
        """Indices of the knots that have a part in a box of the image."""
        rows = _touched(self._knots(0), box.y0, box.y1)
        columns = _touched(self._knots(1), box.x0, box.x1)
        return (rows[:, None] * len(self._knots(1)) + columns).ravel()

    def basis(self, box: Box) -> np.ndarray:
        """(n, ny, nx): the hats of `touched` on the pixels of a box."""
        rows = _hats(self._knots(0), box.y0, box.y1)
        columns = _hats(self._knots(1), box.x0, box.x1)
        return (rows[:, None, :, None] * columns[None, :, None, :]).reshape(-1, *box.shape)

    def values(self, x: np.ndarray, y: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """The sky at places (pixels of the image) with these factors of all knots."""
        grid = np.reshape(factors, (len(self._knots(0)), len(self._knots(1))))
        rows, columns = _at(self._knots(0), y), _at(self._knots(1), x)
        return np.einsum("ik,kl,il->i", rows, grid, columns)

    def image(self, box: Box, factors: np.ndarray) -> np.ndarray:
        """The sky on a box with these factors of all knots."""
        return np.tensordot(factors[self.touched(box)], self.basis(box), 1)


def _at(knots, values):
    """(n, n_knots) hat functions at values, constant beyond the outermost knots."""
    values = np.asarray(values, dtype=float)
    if len(knots) < 2:
        return np.ones((len(values), len(knots)))
    step = knots[1] - knots[0]
    values = np.clip(values, knots[0], knots[-1])
    return np.clip(1 - np.abs(values[:, None] - knots) / step, 0.0, None)


def _touched(knots, first, last):
    if last <= first:
        return np.zeros(0, dtype=int)
    return np.flatnonzero(_at(knots, np.arange(first, last)).any(axis=0))


def _hats(knots, first, last):
    own = _at(knots, np.arange(first, last)).T
    return own[_touched(knots, first, last)]


@dataclass(frozen=True, eq=False)
class SkyPrior:
    """What is known of the knots that a box of an image touches.

    Attributes
    ----------
    mesh : SkyMesh
    index : (n,) int array
    mean : (n,) array
    precision : (n, n) array
    """

    mesh: SkyMesh
    index: np.ndarray
    mean: np.ndarray
    precision: np.ndarray

    def terms(self, box: Box) -> SkyTerms:
        """As the terms of a scene's frame; ``box`` is the one it was made for."""
        return SkyTerms(self.mesh.basis(box), self.mean, self.precision)


@dataclass(frozen=True, eq=False)
class SkyMessage:
    """What one block's pixels say of the knots of a band: precision and information vector."""

    index: np.ndarray
    precision: np.ndarray
    information: np.ndarray

    @classmethod
    def from_posterior(
        cls,
        index: np.ndarray,
        mean: np.ndarray,
        covariance: np.ndarray,
        prior: SkyPrior,
        share: float,
    ) -> SkyMessage:
        """What a posterior knows beyond its prior.

        Parameters
        ----------
        index, mean, covariance
            Knots and their posterior.
        prior : SkyPrior
            What the fit was given.
        share : float
            Of the block's pixels that no other block counts as its own.
        """  # fmt: skip
        total = np.linalg.inv(covariance)
        precision = total - prior.precision
        information = total @ mean - prior.precision @ prior.mean
        values, vectors = np.linalg.eigh(0.5 * (precision + precision.T))
        # rounding beside a strong prior
        precision = (vectors * np.maximum(values, 0.0)) @ vectors.T
        return cls(index, share * precision, share * information)


class SkyKnowledge:
    """What all blocks together say of the sky of a band.

    Parameters
    ----------
    mesh : SkyMesh
    level, sigma : float
        First estimate of the sky, noise of a pixel.
    """

    def __init__(self, mesh: SkyMesh, level: float, sigma: float) -> None:
        self.mesh = mesh
        self._ridge = 1 / (_RIDGE * sigma) ** 2
        self._level = level
        self._messages = {}

    def tell(self, block: int, message: SkyMessage) -> None:
        """A block's message, in place of the one it sent before."""
        self._messages[block] = message

    def forget(self, block: int | None = None) -> None:
        """No message of a block any more, or of none: the blocks are made anew."""
        if block is None:
            self._messages.clear()
        else:
            self._messages.pop(block, None)

    def _summed(self, but=None):
        n = self.mesh.n_terms
        precision = self._ridge * np.eye(n)
        information = np.full(n, self._ridge * self._level)
        for block in sorted(self._messages):
            if block == but:
                continue
            own = self._messages[block]
            precision[np.ix_(own.index, own.index)] += own.precision
            information[own.index] += own.information
        return precision, information

    def prior(self, box: Box, but: int | None = None) -> SkyPrior:
        """What all blocks but one know of the sky of a box of the image."""
        index = self.mesh.touched(box)
        precision, information = self._summed(but)
        covariance = np.linalg.inv(precision)
        mean = covariance @ information
        own = np.linalg.inv(covariance[np.ix_(index, index)])
        return SkyPrior(self.mesh, index, mean[index], 0.5 * (own + own.T))

    def factors(self) -> np.ndarray:
        """The best value of every knot."""
        return np.linalg.solve(*self._summed())
