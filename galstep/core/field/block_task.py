"""What travels to a worker that fits a block of a field, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.keys import content_key

if TYPE_CHECKING:
    from galstep.core.field.frames import LightRows
    from galstep.core.field.options import FieldOptions
    from galstep.core.scene.box import Box

__all__ = ["BlockResult", "BlockTask"]


@dataclass(frozen=True, eq=False)
class BlockTask:
    """What is needed to fit a block.

    Attributes
    ----------
    bands : tuple of FieldBand
    block, round : int
    box : Box
        Reference pixels that are fitted.
    share : float
        Of the pixels that are the block's own: what it says of the sky counts so much; 0: it has
        said what it knows.
    sources : list of SceneSource
        The block's own, then its guests: sources of other blocks that move along here because
        they overlap, and whose own block keeps its result.
    z : (n, 6) array
    flux : (n, n_bands) array
    kind : (n,) int array
        `galstep.core.field.records.SourceType`, not AUTO.
    n_own : int
    choose : (n_own,) bool array
        Whose type is to be chosen.
    templates : list of SceneSource or None
        Those as SERSIC, with bounds and priors.
    starts : (n_own, 6) array
        Vectors that types are tried from.
    neighbours : LightRows
        All others whose light reaches the box.
    skies : list of SkyPrior
        Per band.
    options : FieldOptions
    """

    bands: tuple
    block: int
    round: int
    box: Box
    share: float
    sources: list
    z: np.ndarray
    flux: np.ndarray
    kind: np.ndarray
    n_own: int
    choose: np.ndarray
    templates: list
    starts: np.ndarray
    neighbours: LightRows
    skies: list
    options: FieldOptions

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative: which tasks to begin with."""
        return float(len(self.sources) * len(self.bands) * (3.0 if self.round == 0 else 1.0))


@dataclass(frozen=True, eq=False)
class BlockResult:
    """A fitted block; arrays of its own sources, in their order.

    Attributes
    ----------
    block : int
    z, flux, kind
    free : (n, 6) bool array
    covariance : list of arrays
        Of the free entries of z and the fluxes.
    at_bound : list of str
    reach : (n, 2) array
        How far the fit and the model stamps go, reference pixels.
    own_chi2, own_pixels, frac_masked : (n, n_bands) arrays
    seen : (n, n_bands) bool array
        Whether any good pixel has the source's light.
    type_chi2 : (n, 4) array
    sky : list of arrays
        Factors of the knots, per band.
    messages : list of SkyMessage or None
    chi2, n_pixels : (n_bands,) arrays
    n_iterations : int
    converged : bool
    seconds : float
        CPU time.
    """

    block: int
    z: np.ndarray
    flux: np.ndarray
    kind: np.ndarray
    free: np.ndarray
    covariance: list
    at_bound: list
    reach: np.ndarray
    own_chi2: np.ndarray
    own_pixels: np.ndarray
    frac_masked: np.ndarray
    seen: np.ndarray
    type_chi2: np.ndarray
    sky: list
    messages: list
    chi2: np.ndarray
    n_pixels: np.ndarray
    n_iterations: int
    converged: bool
    seconds: float
