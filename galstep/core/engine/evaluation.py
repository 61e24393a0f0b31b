"""A state of the scene beside the data: `Evaluation`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand

__all__ = ["Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A state's images: what the next normal equations are made from.

    ``stacks`` are the galaxies as they were drawn, per band. ``residuals`` are data - model,
    0 where masked.
    ``chi2`` includes the priors.
    """

    chi2: float
    residuals: tuple
    stacks: tuple
    stars: tuple

    def images(self, band: int) -> np.ndarray:
        """(n_galaxies, ny, nx) of unit flux in a band."""
        return self.stacks[band].images

    def galaxies(self, band: int) -> np.ndarray:
        """(n_galaxies, 7, ny, nx): the images and their derivatives, put together.

        The derivatives are with respect to the scene's parameters; (n_galaxies, 1, ny, nx)
        without them.
        """
        own = self.stacks[band]
        return np.concatenate([own.images[:, None], own.derivatives], axis=1)

    def of_other_data(self, before: Sequence[SceneBand], after: Sequence[SceneBand]) -> Evaluation:
        """The same model on bands whose data have changed, and nothing else."""
        chi2, residuals = self.chi2, []
        for old, new, residual in zip(before, after, self.residuals, strict=True):
            own = residual + (new.data - old.data)
            chi2 += float(np.vdot(old.weight, own * own - residual * residual))
            residuals.append(own)
        return replace(self, chi2=chi2, residuals=tuple(residuals))
