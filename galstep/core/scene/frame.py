"""One image of a scene: the pixels, their noise, the PSF, and where the scene lands on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.medians import median
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from galstep.core.scene.psf_map import PsfMap

__all__ = ["SceneFrame", "SkyTerms"]


@dataclass(frozen=True, eq=False)
class SkyTerms:
    """The sky of a frame: a sum of terms, and what is known of their factors.

    Parameters
    ----------
    basis : (n, ny, nx) array
        n may be 0: the sky is known and taken off.
    mean : (n,) array
    precision : (n, n) array
        Gaussian prior of the factors; zeros: none.
    """

    basis: np.ndarray
    mean: np.ndarray
    precision: np.ndarray

    @classmethod
    def free(cls, basis: np.ndarray) -> SkyTerms:
        """Terms of which nothing is known."""
        n = len(basis)
        return cls(basis, np.zeros(n), np.zeros((n, n)))

    def __len__(self) -> int:
        return len(self.basis)

    def image(self, factors: np.ndarray) -> np.ndarray | float:
        """The sky with these factors."""
        return np.tensordot(factors, self.basis, 1) if len(self) else 0.0

    def chi2(self, factors: np.ndarray) -> float:
        """What the prior adds to chi2."""
        d = factors - self.mean
        return float(d @ self.precision @ d)


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """One image, or a part of one.

    Parameters
    ----------
    name : str
        The filter.
    data : (ny, nx) array
        Any value where masked.
    mask : (ny, nx) bool array
        True = not used.
    variance : float or (ny, nx) array
        Of the noise without that of the sources.
    variance_per_unit : float
        Variance that a unit of a source's light adds; 0: none.
    psf_map : `galstep.core.scene.psf_map.PsfMap`
        By position in the pixels of the whole image.
    sky : `SkyTerms`
    origin : (x, y)
        Of the first pixel in the whole image.
    pixel_map : `galstep.pixel_map.PixelMap`
        From the reference grid to the pixels of the whole image.
    fixed : (ny, nx) array, optional
        Light of sources that are not of the scene: part of the model.
    """

    name: str
    data: np.ndarray
    mask: np.ndarray
    variance: float | np.ndarray
    variance_per_unit: float
    psf_map: PsfMap
    sky: SkyTerms
    origin: tuple[int, int] = (0, 0)
    pixel_map: PixelMap = field(default_factory=PixelMap)
    fixed: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape

    @cached_property
    def good(self) -> np.ndarray:
        """Pixels that are used."""
        return ~self.mask & np.isfinite(self.data)

    @cached_property
    def clean(self) -> np.ndarray:
        """The data less the fixed light; 0 where not good."""
        data = self.data if self.fixed is None else self.data - self.fixed
        return np.where(self.good, data, 0.0)

    @cached_property
    def sigma(self) -> float:
        """Typical noise of a pixel: what is small beside it does not show."""
        variance = np.asarray(self.variance)
        if variance.ndim == 0:
            return float(np.sqrt(variance))
        used = variance[self.good] if self.good.any() else variance
        return float(np.sqrt(median(used)))

    def weight(self, light: np.ndarray | None) -> np.ndarray:
        """1 / variance of the pixels, 0 where not good.

        Parameters
        ----------
        light : (ny, nx) array, optional
            Of the scene's sources; the fixed light is added. None: noise of the sky alone.
        """
        variance = self.variance
        if self.variance_per_unit:
            total = 0.0 if light is None else light
            if self.fixed is not None:
                total = total + self.fixed
            variance = variance + self.variance_per_unit * np.maximum(total, 0.0)
        return np.where(self.good, 1.0 / variance, 0.0)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the reference grid in this frame's pixels."""
        own_x, own_y = self.pixel_map.points(x, y)
        return float(own_x) - self.origin[0], float(own_y) - self.origin[1]

    def with_fixed(self, fixed: np.ndarray) -> SceneFrame:
        """The same frame beside other sources."""
        return replace(self, fixed=fixed)
