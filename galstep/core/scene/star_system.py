"""The normal equations of stars: flux, x and y of each, every pair that overlaps.

Whoever fits many stars together (a star field, the calibration of a PSF) has this system: blocks
of 3 x 3 for each pair of stars whose stamps overlap, made of weighted products of the stamps, one
rule for what a step may do (`StarSystem.damped`), and a solver chosen by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from galstep.core.imaging import _kernels
from galstep.core.imaging.stars import gram_stamps, project_stamps, stamp_pairs
from galstep.exceptions import ParameterError

__all__ = ["SOLVERS", "StarSystem", "pairs_of"]

# Smallest share of a star's P^2 that must lie on good pixels, else it has no flux of its own.
LEAST_SEEN = 1e-3
# Keeps two stars at one place apart, as a share of the information of each flux.
RIDGE = 1e-9
# Of the conjugate gradients: what may be left, in units of the unknowns' own errors. What a
# bright star leaves undone is no less for a faint one.
ACCURACY, MAX_CG_STEPS = 1e-10, 500
SOLVERS = ("cg", "direct")


@dataclass(frozen=True, eq=False)
class StarSystem:
    """Normal equations of all stars.

    Parameters
    ----------
    right : (N, 3) array
        The gradient (downhill), in the order flux, x, y. Positions are in pixels, derivatives
        those of the star as bright as it is.
    first, second : (npairs,) int arrays
        Pairs of stars, each star with itself first, in order; of other pairs one of two.
    blocks : (npairs, 3, 3) array
        Rows of the first star, columns of the second.
    seen : (N,) array, optional
        The share of each star's sum of P^2 that lies on good pixels: it knows neither the unit
        of the image nor how noisy the pixels are. None: of all that have any information.
    """

    right: np.ndarray
    first: np.ndarray
    second: np.ndarray
    blocks: np.ndarray
    seen: np.ndarray | None = None

    @classmethod
    def of_stamps(
        cls,
        weight: np.ndarray,
        residual: np.ndarray,
        stamps: np.ndarray,
        ix: np.ndarray,
        iy: np.ndarray,
    ) -> StarSystem:
        """The system of stamps on one frame.

        Parameters
        ----------
        weight, residual : (ny, nx) arrays
            Inverse variances, 0 where there are no data, and data less model.
        stamps, ix, iy
            From `galstep.core.imaging.stars.StarRenderer.stamps`, derivatives times the flux.
        """
        right = project_stamps((weight * residual)[None], stamps, ix, iy)[:, 0]
        pairs = stamp_pairs(ix, iy, stamps.shape[-1] - 1)
        first, second = pairs_of(len(ix), pairs)
        return cls(right, first, second, gram_stamps(weight, stamps, ix, iy, first, second))

    def __len__(self) -> int:
        return len(self.right)

    @property
    def diagonal(self) -> np.ndarray:
        """(N, 3): the information of each unknown by itself."""
        return np.einsum("naa->na", self.blocks[: len(self)])

    @property
    def unseen(self) -> np.ndarray:
        """Stars too much of which lies on bad pixels or off the frame: (N,) bool."""
        unseen = ~(self.diagonal[:, 0] > 0)
        return unseen if self.seen is None else unseen | ~(self.seen >= LEAST_SEEN)

    def held(self, which: np.ndarray) -> StarSystem:
        """With the positions of some stars held: their gradients and products are 0.

        Parameters
        ----------
        which : (N,) bool array
        """
        if not which.any():
            return self
        right, blocks = self.right.copy(), self.blocks.copy()
        right[which, 1:] = 0.0
        blocks[which[self.first], 1:, :] = 0.0
        blocks[which[self.second], :, 1:] = 0.0
        return replace(self, right=right, blocks=blocks)

    def damped(self, trust: float | np.ndarray) -> StarSystem:
        """What a step may do: the one rule of all fits.

        A star that is not seen keeps what it has; two stars at one place are kept apart by a
        ridge on each flux; the step of a position has a prior.

        Parameters
        ----------
        trust : float or (N,) array
            Width of that prior, pixels.
        """
        n_stars, unseen = len(self), self.unseen
        right, blocks = self.right.copy(), self.blocks.copy()
        right[unseen] = 0.0
        for side in (self.first, self.second):
            blocks[unseen[side]] = 0.0
        own = np.einsum("naa->na", blocks[:n_stars])
        own[:, 0] = np.where(unseen, 1.0, own[:, 0] * (1 + RIDGE))
        own[:, 1:] += (1.0 / np.square(np.broadcast_to(trust, (n_stars,))))[:, None]
        return replace(self, right=right, blocks=blocks)

    def matrix(self) -> csc_matrix:
        """The symmetric sparse matrix; the unknowns of a star are neighbours."""
        cross = self.first != self.second
        one = np.concatenate([self.first, self.second[cross]])
        two = np.concatenate([self.second, self.first[cross]])
        values = np.concatenate([self.blocks, self.blocks[cross].transpose(0, 2, 1)])
        row = np.broadcast_to(3 * one[:, None, None] + np.arange(3)[:, None], values.shape)
        column = np.broadcast_to(3 * two[:, None, None] + np.arange(3), values.shape)
        entries = values.ravel(), (row.ravel(), column.ravel())
        return csc_matrix(entries, shape=(3 * len(self),) * 2)

    def steps(
        self, trust: float | np.ndarray, solver: str = "cg", accuracy: float = ACCURACY
    ) -> np.ndarray:
        """The Gauss-Newton step of every star.

        Parameters
        ----------
        trust : float or (N,) array
            As in `damped`.
        solver : str
            cg: conjugate gradients in units of each unknown's own error, with the inverses of
            the stars' own blocks; direct: sparse factors.
        accuracy : float
            Of cg: the norm of what is left, in these units.

        Returns
        -------
        (N, 3) array
            Steps of flux, x, y.

        Raises
        ------
        ParameterError
            If there is no such solver.
        """
        if solver not in SOLVERS:
            raise ParameterError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
        if not len(self):
            return np.zeros((0, 3))
        system = self.damped(trust)
        scale = 1 / np.sqrt(system.diagonal)
        blocks = system.blocks
        blocks *= scale[self.first][:, :, None] * scale[self.second][:, None, :]
        right, solution = system.right * scale, np.empty((len(self), 3))
        if solver == "direct":
            solution[:] = splu(system.matrix()).solve(right.ravel()).reshape(-1, 3)
        else:
            inverse = np.linalg.inv(blocks[: len(self)])
            _kernels.solve_blocks(
                self.first, self.second, blocks, inverse, right, solution, accuracy, MAX_CG_STEPS
            )
        return solution * scale


def pairs_of(n_stars: int, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and second star of all blocks: each with itself, then pairs of two.

    Parameters
    ----------
    n_stars : int
    pairs : (npairs, 2) int array

    Returns
    -------
    first, second : (n_stars + npairs,) int arrays
    """
    own = np.arange(n_stars)
    return np.concatenate([own, pairs[:, 0]]), np.concatenate([own, pairs[:, 1]])
