"""The pixels of each star of a fitted scene: what the model has there, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["StarCutouts"]


@dataclass(frozen=True, eq=False)
class StarCutouts:
    """Small boxes about the stars of one band.

    Parameters
    ----------
    stamps : (n, 3, h, h) array
        A star of unit flux and its derivatives along x and y.
    weight, residual : (n, h, h) arrays
        Inverse variance, 0 beyond the edge, and data less the whole model.
    """

    stamps: np.ndarray
    weight: np.ndarray
    residual: np.ndarray

    @classmethod
    def of(
        cls, band: SceneBand, index: int, state: SceneState, residual: np.ndarray
    ) -> StarCutouts:
        """Boxes of 1.5 FWHM to each side.

        Parameters
        ----------
        band, index : `galstep.core.engine.scene.SceneBand`, int
        state : `galstep.core.engine.scene.SceneState`
        residual : (ny, nx) array
            Of the band.
        """
        renderer = band.star_renderer
        x, y = band.to_pixels(state.x, state.y, state.shift[index])
        stamps, ix, iy = renderer.stamps(x, y, int(np.ceil(1.5 * renderer.psf.fwhm)) + 1)
        side = stamps.shape[-1]
        return cls(stamps, _parts(band.weight, ix, iy, side), _parts(residual, ix, iy, side))

    def beside(self, templates: np.ndarray, n_columns: int = 3) -> np.ndarray:
        """What of some images the first columns of ``stamps`` cannot do.

        Parameters
        ----------
        templates : (n, h, h) array
        n_columns : int, optional
            1: the star's flux; 3 (default): flux and position.

        Returns
        -------
        (n, h, h) array
            Orthogonal, by the weights, to those columns.
        """
        n, n_pixels = len(self.stamps), self.weight[:1].size or 1
        columns = self.stamps[:, :n_columns].reshape(n, n_columns, n_pixels)
        weight, flat = (image.reshape(n, n_pixels) for image in (self.weight, templates))
        matrix = np.einsum("nap,np,nbp->nab", columns, weight, columns)
        right = np.einsum("nap,np,np->na", columns, weight, flat)
        scale = np.sqrt(np.maximum(np.einsum("naa->na", matrix), np.finfo(float).tiny))
        unit = matrix / (scale[:, :, None] * scale[:, None, :]) + 1e-9 * np.eye(n_columns)
        terms = np.linalg.solve(unit, (right / scale)[..., None])[..., 0] / scale
        return (flat - np.einsum("na,nap->np", terms, columns)).reshape(templates.shape)


def _parts(image, ix, iy, side):
    """(n, side, side) parts of an image about pixels, 0 beyond its edge."""
    half = side // 2
    padded = np.pad(image, half)
    offset = np.arange(side)
    ny, nx = padded.shape
    rows, columns = iy[:, None] + offset, ix[:, None] + offset
    inside = ((rows >= 0) & (rows < ny))[:, :, None] & ((columns >= 0) & (columns < nx))[:, None]
    rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    return np.where(inside, padded[rows[:, :, None], columns[:, None, :]], 0.0)
