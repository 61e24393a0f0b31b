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

    ``galaxies[band]`` is (n_galaxies, 7, ny, nx) of unit-flux images and
    derivatives with respect to the scene's parameters, or (n_galaxies, 1, ny,
    nx) without derivatives. ``residuals`` are data - model, 0 where masked.
    ``chi2`` includes the priors.
    """

    chi2: float
    residuals: tuple
    galaxies: tuple
    stars: tuple

    def of_other_data(self, before: Sequence[SceneBand], after: Sequence[SceneBand]) -> Evaluation:
        """The same model on bands whose data have changed, and nothing else."""
        chi2, residuals = self.chi2, []
        for old, new, residual in zip(before, after, self.residuals, strict=True):
            own = residual + (new.data - old.data)
            chi2 += float(np.vdot(old.weight, own * own - residual * residual))
            residuals.append(own)
        return replace(self, chi2=chi2, residuals=tuple(residuals))
