"""Images of a band's own grid, read off on the scene's grid.

Only maps that are made of the data are interpolated (significance, residuals in
units of their noise, influence images), to be combined with those of other
bands. The data that are fitted never are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SceneSampler"]

# A pixel is good if more than half of what it is made from is.
_COVERED = 0.5


class SceneSampler:
    """Where the scene's pixels lie in a band, to read images off there.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    shift : (dx, dy)
        Registration of the band.
    padding : int, optional
        Pixels by which the images, and the scene's frame, are wider than their
        frames on every side.
    within : (float, float), optional
        Where in the scene's pixels to read, (x, y) from their centres.
    """

    def __init__(
        self,
        band: Any,
        shift: Sequence[float] | np.ndarray,
        padding: int = 0,
        within: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        ny, nx = (size + 2 * padding for size in band.scene_shape)
        yy, xx = np.mgrid[:ny, :nx] - padding
        x, y = band.to_pixels(xx + within[0], yy + within[1], shift)
        self.shape, self._places = (ny, nx), np.array([y, x]) + padding

    def smooth(self, image: np.ndarray) -> np.ndarray:
        """Cubic spline interpolation; 0 beyond the image's pixel centres."""
        image = np.asarray(image, dtype=float)
        values = map_coordinates(image, self._places, order=3, mode="mirror")
        return np.where(self._on_image(image.shape), values, 0.0)

    def linear(self, image: np.ndarray) -> np.ndarray:
        """Linear interpolation, which keeps values between their neighbours'; 0 beyond."""
        return map_coordinates(np.asarray(image, dtype=float), self._places, order=1, cval=0.0)

    def covered(self, good: np.ndarray) -> np.ndarray:
        """Where the pixels about a place are good for the larger part."""
        return self.linear(np.asarray(good, dtype=float)) > _COVERED

    def _on_image(self, shape):
        y, x = self._places
        return (y >= 0) & (y <= shape[0] - 1) & (x >= 0) & (x <= shape[1] - 1)
