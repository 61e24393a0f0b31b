"""Whitening: a band's pixels turned into independent ones, mask and edges included.

Noise whose covariance C depends on the separation alone has a simple inverse only
on a frame without edges. On one with edges and masked pixels, the inverse of the
whole frame's covariance takes every missing pixel for one that is known, and gives
the pixels beside it many times their weight. So the pixels are taken one after the
other, row by row, and each is compared with what its good neighbours among those
before it predict (Vecchia 1988, J. R. Statist. Soc. B 50, 297):

    r'_p = (u_p - sum_q a_pq u_q) / s_p,   a_p = C_qq^-1 C_qp,   s_p^2 = C_pp - a_p . C_pq

with u the residual in units of the pixel sigma. That is a sparse triangular matrix A,
r' = A u, and A^T A stands for the inverse of the covariance of the good pixels: it is
positive whatever the mask, and a pixel that is not there has no part in it. Estimates
come out within some 5 percent as good as with the exact inverse.

Where a spectrum has next to no power, its inverse would trust the model to far below
the noise of a pixel. All correlations are therefore lowered by the same small share,
as if a tenth of the variance were white noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import irfft2
from scipy.sparse import csr_matrix, diags

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand

__all__ = ["Whitening", "noise_correlation", "weighted", "whitening_of"]

# White noise that is added to what was measured, in units of its variance.
FLOOR = 0.1
# The neighbourhood: everything so close (pixels), and a few pixels farther out,
# which stand for the noise on larger scales.
NEAR = 3.2
# Steps this far (pixels) stand for all that is farther: the sides and corners of that square.
FAR = 5


@dataclass(frozen=True, eq=False)
class Whitening:
    """The matrix A of a band, the pixels' weights included.

    Parameters
    ----------
    matrix : (n, n) sparse array
        From the pixels of a frame, row by row, in image units, to independent ones
        of unit variance. Rows and columns of masked pixels are empty.
    shape : (ny, nx)
    """

    matrix: Any
    shape: tuple

    @cached_property
    def _transposed(self):
        return self.matrix.T.tocsr()

    def whiten(self, images: np.ndarray) -> np.ndarray:
        """A times one or several images, (..., ny, nx)."""
        return self._times(self.matrix, images)

    def weigh(self, images: np.ndarray) -> np.ndarray:
        """A^T A times one or several images: what ``weight *`` is to independent pixels."""
        return self._times(self._transposed, self.whiten(images))

    def _times(self, matrix, images):
        flat = np.reshape(images, (-1, matrix.shape[0]))
        return np.reshape([matrix @ image for image in flat], np.shape(images))


def weighted(images: np.ndarray, band: SceneBand, whitening: Whitening | None = None) -> np.ndarray:
    """Images times the inverse covariance that a fit assumes.

    Parameters
    ----------
    images : (..., ny, nx) array
    band : `galstep.core.engine.scene.SceneBand`
    whitening : `Whitening`, optional
        Without it pixels count as independent, with the band's weights.

    Returns
    -------
    (..., ny, nx) array
    """
    return images * band.weight if whitening is None else whitening.weigh(images)


def noise_correlation(power: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """The correlation of pixels from a power spectrum, lowered by the floor.

    Parameters
    ----------
    power : array
        On the half-plane of an FFT (`galstep.core.noise.noise_power.NoisePower`).
    shape : (int, int)
        Of that FFT.

    Returns
    -------
    correlation : array of ``shape``
        By separation, [dy, dx] modulo the shape; 1 at the origin. No correlation
        where there is no power.
    variance : float
        That of a pixel; 1 where there is no power.
    """
    covariance = irfft2(power, shape)
    variance = float(covariance[0, 0])
    if not variance > 0:
        correlation, variance = np.zeros(shape), 1.0
    else:
        correlation = covariance / (variance * (1 + FLOOR))
    correlation[0, 0] = 1.0
    return correlation, variance


def _offsets():
    """(m, 2) steps (dy, dx) to the neighbours that come before a pixel."""
    dy, dx = (d.ravel() for d in np.mgrid[-FAR : FAR + 1, -FAR : FAR + 1])
    before = (dy < 0) | ((dy == 0) & (dx < 0))
    far = np.isin(dy, (-FAR, 0)) & np.isin(dx, (-FAR, 0, FAR))
    chosen = far | (np.hypot(dy, dx) <= NEAR)
    offsets = np.column_stack([dy, dx])[before & chosen]
    return offsets[np.argsort(np.hypot(*offsets.T), kind="stable")]


def _neighbours(good, offsets):
    """Flat indices of the good pixels and of their neighbours, -1 where there is none."""
    nx = good.shape[1]
    y, x = np.nonzero(good)
    there_y, there_x = y[:, None] + offsets[:, 0], x[:, None] + offsets[:, 1]
    inside = (there_y >= 0) & (there_x >= 0) & (there_x < nx)
    index = np.where(inside, there_y * nx + there_x, 0)
    index = np.where(inside & good.ravel()[index], index, -1)
    return y * nx + x, index


def _predictions(correlation, offsets, available):
    """Coefficients and what they leave of a unit variance, for each row of ``available``.

    A neighbour that is not available is made one that is correlated with nothing.
    """
    dy, dx = (o[:, None] - o for o in offsets.T)
    among = correlation[dy, dx]
    towards = correlation[offsets[:, 0], offsets[:, 1]]
    both = available[:, :, None] & available[:, None, :]
    among = np.where(both, among, np.eye(len(offsets)))
    towards = np.where(available, towards, 0.0)
    coefficients = np.linalg.solve(among, towards[..., None])[..., 0]
    left = 1 - (coefficients * towards).sum(axis=1)
    return coefficients, left


def whitening_of(root_weight: np.ndarray, power: np.ndarray, shape: tuple[int, int]) -> Whitening:
    """The `Whitening` of a band.

    Parameters
    ----------
    root_weight : (ny, nx) array
        1 / sigma of each pixel, 0 where masked.
    power, shape
        Power spectrum of the noise in units of sigma, as for `noise_correlation`.

    Returns
    -------
    Whitening
    """
    correlation, variance = noise_correlation(power, shape)
    offsets = _offsets()
    own, others = _neighbours(root_weight > 0, offsets)
    # most pixels have all their neighbours: each pattern is solved for once
    patterns, pattern = np.unique(np.packbits(others >= 0, axis=1), axis=0, return_inverse=True)
    available = np.unpackbits(patterns, axis=1, count=len(offsets)).astype(bool)
    coefficients, left = _predictions(correlation, offsets, available)
    scale = 1 / np.sqrt(variance * left)
    values = (-coefficients * scale[:, None])[pattern.ravel()]
    known = others >= 0
    rows = np.broadcast_to(own[:, None], others.shape)
    entries = (
        np.concatenate([scale[pattern.ravel()], values[known]]),
        (np.concatenate([own, rows[known]]), np.concatenate([own, others[known]])),
    )
    n_pixels = root_weight.size
    matrix = csr_matrix(entries, shape=(n_pixels, n_pixels)) @ diags(root_weight.ravel())
    return Whitening(matrix.tocsr(), root_weight.shape)
