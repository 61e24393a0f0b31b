"""From the pixels of one filter to those of another: an affine map.

Two images of one sky have pixels of other sizes and directions. Over a galaxy
their relation is affine to far below a pixel, and an affine map takes an
elliptical profile to an elliptical profile, so that positions, shapes and their
errors go from grid to grid in closed form. Fluxes do not: they stay in image unit
x pixel of their own filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["PixelMap"]

IDENTITY = ((1.0, 0.0), (0.0, 1.0))
_SAME = 1e-12  # of a matrix that is the identity but for rounding
_STEP = 1e-5


@dataclass(frozen=True)
class PixelMap:
    """(x, y) of one grid -> matrix @ (x, y) + origin of another.

    Parameters
    ----------
    matrix : 2 x 2 tuple of float
    origin : (float, float)
        Where the first grid's (0, 0) lies on the second, pixels.
    """

    matrix: tuple | np.ndarray = IDENTITY
    origin: tuple | np.ndarray = (0.0, 0.0)

    def __post_init__(self):
        matrix = tuple(tuple(float(v) for v in row) for row in self.matrix)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "origin", tuple(float(v) for v in self.origin))

    @property
    def scale(self) -> float:
        """Pixels of the second grid along the side of one of the first (mean)."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def is_translation(self) -> bool:
        """Whether both grids have the same pixels, up to a displacement."""
        return self.matrix == IDENTITY

    def points(self, x: np.ndarray | float, y: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Positions on the second grid."""
        (a, b), (c, d) = self.matrix
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        return a * x + b * y + self.origin[0], c * x + d * y + self.origin[1]

    def directions(self, dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences of positions on the second grid."""
        (a, b), (c, d) = self.matrix
        return a * dx + b * dy, c * dx + d * dy

    def inverse(self) -> PixelMap:
        """The map from the second grid to the first."""
        if self.is_translation:
            return PixelMap(origin=tuple(-v for v in self.origin))
        matrix = np.linalg.inv(self.matrix)
        return PixelMap(matrix, -matrix @ np.array(self.origin))

    def after(self, first: PixelMap) -> PixelMap:
        """The map that does ``first`` and then this one."""
        if self.is_translation:
            return PixelMap(first.matrix, np.add(first.origin, self.origin))
        matrix = np.array(self.matrix) @ np.array(first.matrix)
        # a turn and its inverse are none
        if np.abs(matrix - np.eye(2)).max() < _SAME:
            matrix = IDENTITY
        return PixelMap(matrix, self.points(*first.origin))

    def vector(self, vector: ArrayLike) -> np.ndarray:
        """A shape vector (`galstep.records.SersicParams.to_vector`) on the second grid.

        The ellipse x^T S^-1 x = 1 becomes that of A S A^T (A the matrix).
        """
        mapped = np.array(vector, dtype=float)
        mapped[:2] = self.points(*mapped[:2])
        if not self.is_translation:
            matrix = np.array(self.matrix)
            mapped[2:5] = _from_tensor(matrix @ _tensor(*mapped[2:5]) @ matrix.T)
        return mapped

    def jacobian(self, vector: np.ndarray) -> np.ndarray:
        """d mapped / d vector at a shape vector, (6, 6), by central differences."""
        if self.is_translation:
            return np.eye(6)
        steps = _STEP * np.eye(6)
        rows = [(self.vector(vector + s) - self.vector(vector - s)) / (2 * _STEP) for s in steps]
        return np.transpose(rows)

    def position_errors(
        self, x_err: np.ndarray | float, y_err: np.ndarray | float
    ) -> tuple[Any, Any]:
        """Errors of positions on the second grid, those of x and y taken as independent."""
        if self.is_translation:
            return x_err, y_err
        (a, b), (c, d) = self.matrix
        return np.hypot(a * x_err, b * y_err), np.hypot(c * x_err, d * y_err)


def _tensor(ln_r_eff, e1, e2):
    """S of the ellipse with semi-axes r_eff and r_eff (1 - e)/(1 + e)."""
    e = np.hypot(e1, e2)
    scale = np.exp(2 * ln_r_eff) / (1 + e) ** 2
    return scale * np.array([[1 + e**2 + 2 * e1, 2 * e2], [2 * e2, 1 + e**2 - 2 * e1]])


def _from_tensor(tensor):
    """(ln r_eff, e1, e2) of a tensor: the inverse of `_tensor`."""
    half = 0.5 * np.trace(tensor)
    first, second = 0.5 * (tensor[0, 0] - tensor[1, 1]), tensor[0, 1]
    difference = np.hypot(first, second)
    # of the semi-axes: a b = sqrt(det), a^2 - b^2 = 2 difference, so with
    # e = (a - b)/(a + b) the direction (first, second) has to be scaled to it
    product = np.sqrt(np.linalg.det(tensor))
    shrink = 1 / (half + product)
    return 0.5 * np.log(half + difference), shrink * first, shrink * second
