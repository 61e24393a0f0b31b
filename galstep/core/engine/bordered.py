"""Symmetric matrices with a small dense border and a large sparse body.

    K = [B  C]      B: (nb, nb) dense, C: (nb, ns) dense,
        [C' S]      S: (ns, ns) sparse, positive definite

The body is factorised once (sparse LU in symmetric mode; stars meet few
neighbours, so the factor stays sparse) and the border eliminated by its Schur
complement H = B - C S^-1 C'. Then K^-1 of anything is cheap, and

    (K^-1)_BB = H^-1,    (K^-1)_SB = -X H^-1,    (K^-1)_SS = S^-1 + X H^-1 X',

with X = S^-1 C'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import diags
from scipy.sparse.linalg import splu

__all__ = ["BorderedFactor", "BorderedMatrix"]


@dataclass(frozen=True, eq=False)
class BorderedMatrix:
    """The parts of K; ``stars`` (S) is in CSC format and may be empty."""

    border: np.ndarray
    coupling: np.ndarray
    stars: Any

    def damped(self, border_diagonal: np.ndarray, star_diagonal: np.ndarray) -> BorderedMatrix:
        """K with these numbers added to its diagonal."""
        border = self.border + np.diag(border_diagonal)
        stars = self.stars
        if stars.shape[0]:
            stars = (stars + diags(star_diagonal)).tocsc()
        return BorderedMatrix(border, self.coupling, stars)

    def factor(self) -> BorderedFactor:
        """Factorise.

        Returns
        -------
        BorderedFactor

        Raises
        ------
        numpy.linalg.LinAlgError
            If K is not positive definite.
        """
        n_stars = self.stars.shape[0]
        lower, solved = None, np.zeros((n_stars, len(self.border)))
        if n_stars:
            try:
                lower = splu(
                    self.stars,
                    permc_spec="MMD_AT_PLUS_A",
                    diag_pivot_thresh=0.0,
                    options={"SymmetricMode": True},
                )
            except RuntimeError as error:  # how SuperLU says "singular"
                raise LinAlgError(str(error)) from error
            solved = lower.solve(self.coupling.T)
        schur = self.border - self.coupling @ solved
        scale = 1 / np.sqrt(np.maximum(np.diag(self.border), np.finfo(float).tiny))
        # unit diagonal: fluxes and angles differ by many orders of magnitude
        scaled = schur * scale[:, None] * scale + 1e-12 * np.eye(len(schur))
        factor = cho_factor(scaled, lower=True, check_finite=False)
        return BorderedFactor(lower, solved, factor, scale, self.coupling)


@dataclass(frozen=True, eq=False)
class BorderedFactor:
    """A factorised `BorderedMatrix`."""

    stars: Any
    solved: np.ndarray
    schur: tuple
    scale: np.ndarray
    coupling: np.ndarray

    def border_solve(self, right: np.ndarray) -> np.ndarray:
        """H^-1 times a vector or the columns of a matrix."""
        if not len(self.scale):  # older versions of scipy do not solve nothing
            return np.zeros(right.shape)
        scale = self.scale if right.ndim == 1 else self.scale[:, None]
        return scale * cho_solve(self.schur, scale * right, check_finite=False)

    def solve(
        self, border_right: np.ndarray, star_right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """K^-1 times a vector, given and returned in its two parts."""
        if self.stars is None:
            return self.border_solve(border_right), star_right
        inner = self.stars.solve(star_right)
        border = self.border_solve(border_right - self.coupling @ inner)
        return border, inner - self.solved @ border

    def border_inverse(self) -> np.ndarray:
        """(K^-1)_BB: the border's covariance, everything else marginalised."""
        return self.border_solve(np.eye(len(self.scale)))
