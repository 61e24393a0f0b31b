"""What comes out of the fit of a field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.field.noise_factors import NoiseFactors
    from galstep.core.field.records import Box, FieldSources

__all__ = ["SHAPE_NAMES", "BandSky", "BlockRecord", "FieldResult", "RoundRecord", "SourceErrors"]

# Names of the shape vector that is fitted; a covariance adds flux_<band> after the free ones.
SHAPE_NAMES = ("x", "y", "ln_r_eff", "e1", "e2", "ln_n")


@dataclass(frozen=True, eq=False)
class SourceErrors:
    """1-sigma errors, marginalised over everything in the source's block and its sky.

    Correlated noise is in all of them, what is not known of the PSF in those of fluxes.

    All (N,) arrays but ``flux`` (N, n_bands); NaN where the parameter was held, or has no
    meaning for the type. Same units as `galstep.core.field.records.FieldSources`.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    r_eff: np.ndarray
    n: np.ndarray
    ellip: np.ndarray
    theta: np.ndarray


@dataclass(frozen=True, eq=False)
class BandSky:
    """The sky of a band: bilinear between knots.

    Attributes
    ----------
    shape : (ny, nx)
        Of the image.
    scale : float
        Distance of the knots that was asked for; infinite: a constant; 0: none.
    factors : (n,) array
        Values at the knots, row by row.
    """

    shape: tuple[int, int]
    scale: float
    factors: np.ndarray


@dataclass(frozen=True, eq=False)
class BlockRecord:
    """One block of the last round that fitted it.

    Attributes
    ----------
    block : int
    box : `Box`
        Reference pixels.
    rows : (n,) int array
        Its sources, indices of the result's rows.
    n_iterations : int
    chi2 : (n_bands,) array
        Over all pixels of the block.
    n_pixels : (n_bands,) int array
    sky : list of (n_knots,) arrays
        Per band, values of the knots of `BandSky` that the box touches.
    seconds : float
        CPU time of all its fits.
    reason : str
        Why it failed, "" if it did not.
    """

    block: int
    box: Box
    rows: np.ndarray
    n_iterations: int
    chi2: np.ndarray
    n_pixels: np.ndarray
    sky: list
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class RoundRecord:
    """One round: how many blocks and sources were fitted, what still moves, what was found."""

    round: int
    n_blocks: int
    n_sources: int
    n_moving: int
    largest_move: float  # sigma
    n_added: int
    seconds: float  # CPU time of the round's tasks
    not_searched: tuple = ()  # a reason for each tile in which no light could be looked for


@dataclass(frozen=True, eq=False)
class FieldResult:
    """The fitted field.

    Attributes
    ----------
    sources : `FieldSources`
        Every input row in input order with its fitted values, those found behind;
        ``kind`` is the type that was fitted (never AUTO where ``fit``), ``flags`` complete.
    errors : `SourceErrors`
    covariance : list of (k, k) arrays
        Per source, of ``names(i)``; (0, 0) where nothing was fitted.
    free : (N, 6) bool array
        Which of `SHAPE_NAMES` were free.
    at_bound : list of str
        Per source, such as ``"r_eff@upper,x@lower"``; "".
    issues : list of str
        Per source, the reason of FAILED and other words; "".
    n_iterations : (N,) int array
    converged : (N,) bool array
    chi2 : (N, n_bands) array
        Reduced, over the pixels where the source's light counts (its fit stamp).
    sky : (N, n_bands) array
        At the source's place, image units.
    frac_masked : (N, n_bands) array
        Share of the source's light on masked pixels.
    blend : (N,) array
        Largest coupling with another source, 0 to 1.
    type_chi2 : (N, 4) array
        chi2 less that of the type chosen, of STAR, EXP, DEV, SERSIC; NaN: not tried.
    block : (N,) int array
        Block of each source; -1 if not fitted.
    flux_psf_err : (N, n_bands) array
        The part of the fluxes' errors that is the PSF's: common to the sources of a band.
    noise : `galstep.core.field.noise_factors.NoiseFactors`
        What errors were multiplied with.
    skies : list of `BandSky`
        The sky of each band, whole.
    blocks : list of `BlockRecord`
    rounds : list of `RoundRecord`
    """

    sources: FieldSources
    errors: SourceErrors
    covariance: list
    free: np.ndarray
    at_bound: list
    issues: list
    n_iterations: np.ndarray
    converged: np.ndarray
    chi2: np.ndarray
    sky: np.ndarray
    frac_masked: np.ndarray
    blend: np.ndarray
    type_chi2: np.ndarray
    block: np.ndarray
    flux_psf_err: np.ndarray
    noise: NoiseFactors
    skies: list = field(default_factory=list)
    blocks: list = field(default_factory=list)
    rounds: list = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a block failed: the exit code is then not 0."""
        return any(block.reason for block in self.blocks)

    def names(self, index: int, bands: list[str]) -> list[str]:
        """Names of the rows of a source's covariance."""
        shape = [n for n, free in zip(SHAPE_NAMES, self.free[index], strict=True) if free]
        return shape + [f"flux_{band}" for band in bands]
