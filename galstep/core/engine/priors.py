"""Gaussian priors on a galaxy's shape, in the parameters that people know.

A prior is one more datum: chi2 grows by ((g(z) - mean) / sigma)^2 with g the
parameter as a function of the fitted vector z, and its gradient enters the
normal equations as one more row, linearised like all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.freedom import N_SHAPE
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PRIOR_NAMES", "ShapePrior", "prior_chi2", "prior_equations"]

PRIOR_NAMES = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


@dataclass(frozen=True)
class ShapePrior:
    """A Gaussian prior on one shape parameter.

    Parameters
    ----------
    name : str
        One of x_0, y_0, r_eff (pixels of the scene's frame), n, ellip, theta
        (radians; compared modulo pi).
    mean, sigma : float
        Its centre and width.

    Raises
    ------
    ParameterError
        If the name is unknown, the width is not positive or a value is not
        finite.
    """

    name: str
    mean: float
    sigma: float

    def __post_init__(self):
        if self.name not in PRIOR_NAMES:
            raise ParameterError(
                f"prior must be on one of {', '.join(PRIOR_NAMES)}, got {self.name!r}"
            )
        if not (np.isfinite(self.mean) and np.isfinite(self.sigma) and self.sigma > 0):
            raise ParameterError(
                f"prior on {self.name} must have a finite mean and a positive sigma, "
                f"got {self.mean} and {self.sigma}"
            )

    def pull(self, shape: np.ndarray) -> tuple[float, np.ndarray]:
        """(g(z) - mean) / sigma and its gradient with respect to z, (6,)."""
        value, gradient = _VALUES[self.name](np.asarray(shape, dtype=float))
        difference = value - self.mean
        if self.name == "theta":
            difference = (difference + np.pi / 2) % np.pi - np.pi / 2
        return difference / self.sigma, gradient / self.sigma


def _unit(k, value=1.0):
    row = np.zeros(N_SHAPE)
    row[k] = value
    return row


def _ellip(z):
    # ellip = 2 e / (1 + e); at e = 0 it has no direction, and no gradient
    e = np.hypot(z[3], z[4])
    row = np.zeros(N_SHAPE)
    if e > 0:
        row[3:5] = 2 / (1 + e) ** 2 * z[3:5] / e
    return 2 * e / (1 + e), row


def _theta(z):
    # theta = atan2(e2, e1) / 2
    squared = max(z[3] ** 2 + z[4] ** 2, 1e-12)
    row = np.zeros(N_SHAPE)
    row[3:5] = -0.5 * z[4] / squared, 0.5 * z[3] / squared
    return 0.5 * np.arctan2(z[4], z[3]), row


_VALUES = {
    "x_0": lambda z: (z[0], _unit(0)),
    "y_0": lambda z: (z[1], _unit(1)),
    "r_eff": lambda z: (np.exp(z[2]), _unit(2, np.exp(z[2]))),
    "n": lambda z: (np.exp(z[5]), _unit(5, np.exp(z[5]))),
    "ellip": _ellip,
    "theta": _theta,
}


def prior_chi2(priors: Sequence[ShapePrior], shape: np.ndarray) -> float:
    """Sum of the squared pulls of a shape vector."""
    return float(sum(prior.pull(shape)[0] ** 2 for prior in priors))


def prior_equations(
    priors: Sequence[ShapePrior], shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What priors add to the normal equations.

    Parameters
    ----------
    priors : sequence of `ShapePrior`
    shape : (6,) array
        The shape vector.

    Returns
    -------
    matrix : (6, 6) array
    gradient : (6,) array
        -J^T r, so that the step is K^-1 gradient.
    """
    pulls = [prior.pull(shape) for prior in priors]
    residual = np.array([pull for pull, _ in pulls])
    rows = np.array([row for _, row in pulls]).reshape(len(pulls), N_SHAPE)
    return rows.T @ rows, -rows.T @ residual
