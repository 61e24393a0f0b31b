"""Limits of a galaxy's shape, and why they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ShapeBounds"]

_NEAR = 1e-6
# A companion is not what the frame was made for: it has at most this share of the target's
# largest r_eff, and a cusp beyond this n is that of a star with wings that play the sky.
COMPANION_SHARE, COMPANION_N = 0.5, 6.0


@dataclass(frozen=True)
class ShapeBounds:
    """Limits of a galaxy's shape.

    ``r_eff``: below half a pixel a galaxy is a star; above the frame its light
    cannot be told from the sky. ``n``: the range in which the profile's
    transform is tabulated with a margin; no galaxy needs more. ``e``: modulus
    of (e1, e2), 0.9 is an axis ratio of 0.05.
    """

    r_eff: tuple = (0.5, 200.0)
    n: tuple = (0.35, 8.0)
    e: float = 0.9

    @property
    def of_companions(self) -> ShapeBounds:
        """The narrower limits of the galaxies that are not the target."""
        (smallest, largest), (flattest, steepest) = self.r_eff, self.n
        largest = max(COMPANION_SHARE * largest, smallest)
        return replace(self, r_eff=(smallest, largest), n=(flattest, min(steepest, COMPANION_N)))

    def clip(self, shape: np.ndarray) -> np.ndarray:
        """The shape vector, its entries brought inside the bounds."""
        shape = np.array(shape, dtype=float)
        e = np.hypot(shape[3], shape[4])
        if e > self.e:
            shape[3:5] *= self.e / e
        shape[2] = np.clip(shape[2], *np.log(self.r_eff))
        shape[5] = np.clip(shape[5], *np.log(self.n))
        return shape

    def at_bound(self, shape: np.ndarray) -> list[str]:
        """Names of the parameters that sit at a bound."""
        names = []
        if np.min(np.abs(shape[2] - np.log(self.r_eff))) < _NEAR:
            names.append("r_eff")
        if np.min(np.abs(shape[5] - np.log(self.n))) < _NEAR:
            names.append("n")
        if np.hypot(shape[3], shape[4]) > self.e - _NEAR:
            names.append("ellip")
        return names

    def shrunk(
        self, shapes: np.ndarray, gradients: np.ndarray, log_wavelengths: Sequence[float]
    ) -> np.ndarray:
        """Gradients made so small that every band's shape is inside the bounds.

        Parameters
        ----------
        shapes : (ng, 6) array
            Inside the bounds; the shapes where the log wavelength is 0.
        gradients : (n_powers, ng, 6) array
            Coefficients of t, t^2, ...
        log_wavelengths : sequence of float
            t of each band.

        Returns
        -------
        (n_powers, ng, 6) array
            Each parameter's coefficients times one factor from 0 to 1, the two
            ellipticities together.
        """
        if not gradients.any():
            return gradients
        gradients = gradients.copy()
        powers = 1 + np.arange(len(gradients))
        for t in log_wavelengths:
            change = np.tensordot(float(t) ** powers, gradients, axes=1)
            for g, (shape, own) in enumerate(zip(shapes, change, strict=True)):
                for k, limits in ((2, np.log(self.r_eff)), (5, np.log(self.n))):
                    gradients[:, g, k] *= _factor(shape[k], own[k], *limits)
                gradients[:, g, 3:5] *= self._ellipticity_factor(shape[3:5], own[3:5])
        return gradients

    def _ellipticity_factor(self, e, change):
        """The largest f <= 1 with |e + f change| <= the bound."""
        squared = change @ change
        if squared == 0 or np.hypot(*(e + change)) <= self.e:
            return 1.0
        half = e @ change
        room = max(self.e**2 - e @ e, 0.0)
        return (np.sqrt(half**2 + squared * room) - half) / squared


def _factor(value, change, low, high):
    """The largest f <= 1 with low <= value + f change <= high."""
    if change > 0 and value + change > high:
        return max(high - value, 0.0) / change
    if change < 0 and value + change < low:
        return min(low - value, 0.0) / change
    return 1.0
