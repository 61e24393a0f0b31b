"""Pixel grids for synthetic images: of another size and direction than the scene's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from galstep.exceptions import ParameterError
from galstep.pixel_map import PixelMap
from galstep.records import SersicParams

__all__ = ["PixelGrid"]

# the sky position of the middle of every synthetic scene
RA, DEC = 150.1, 2.2


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of one image of a scene.

    The scene's own grid is not turned; the centre of its frame is the tangent
    point of the gnomonic projection of all grids, so that they are related by an
    exactly affine map.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx).
    pixel_scale : float
        Side of a pixel (arcsec).
    rotation : float, optional
        Angle by which the pixels are turned against the scene's (radians): a
        direction at the angle a in the scene is at a - rotation on the grid.
    centre : (float, float), optional
        Where the middle of the frame is off the middle of the scene (arcsec,
        along x and y of the scene).
    """

    shape: tuple
    pixel_scale: float = 0.03
    rotation: float = 0.0
    centre: tuple = (0.0, 0.0)

    def __post_init__(self):
        if len(self.shape) != 2 or min(self.shape) < 16:
            raise ParameterError(f"shape must be (ny, nx) of 16 pixels or more, got {self.shape}")
        if not self.pixel_scale > 0:
            raise ParameterError(f"pixel_scale must be positive, got {self.pixel_scale}")

    @property
    def _middle(self):
        return (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2

    def scale_from(self, scene: PixelGrid) -> float:
        """Pixels of this grid along one of the scene's."""
        return scene.pixel_scale / self.pixel_scale

    def place(self, scene: PixelGrid, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Positions on the scene's grid (a `PixelGrid`) in pixels of this one."""
        x_mid, y_mid = scene._middle
        dx = (np.asarray(x) - x_mid) * scene.pixel_scale - self.centre[0]
        dy = (np.asarray(y) - y_mid) * scene.pixel_scale - self.centre[1]
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        own_x, own_y = self._middle
        return (
            own_x + (cos * dx + sin * dy) / self.pixel_scale,
            own_y + (cos * dy - sin * dx) / self.pixel_scale,
        )

    def map_from(self, scene: PixelGrid) -> PixelMap:
        """`place` as a `galstep.pixel_map.PixelMap`."""
        origin, along_x, along_y = (
            np.array(self.place(scene, *point)) for point in ((0, 0), (1, 0), (0, 1))
        )
        return PixelMap(np.transpose([along_x - origin, along_y - origin]), origin)

    def galaxy(self, scene: PixelGrid, sersic: SersicParams) -> SersicParams:
        """A galaxy of the scene in pixels of this grid, `galstep.records.SersicParams`."""
        x, y = self.place(scene, sersic.x_0, sersic.y_0)
        return SersicParams(
            float(x),
            float(y),
            sersic.r_eff * self.scale_from(scene),
            sersic.n,
            sersic.ellip,
            (sersic.theta - self.rotation) % np.pi,
        )

    def wcs(self) -> WCS:
        """A celestial `astropy.wcs.WCS`: x of the scene is west, y is north."""
        wcs, step = WCS(naxis=2), self.pixel_scale / 3600
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        own = np.array(self._middle) - self._offset() / self.pixel_scale
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit, wcs.wcs.crval = ["deg", "deg"], [RA, DEC]
        wcs.wcs.crpix = own + 1
        wcs.wcs.cd = step * np.array([[-cos, sin], [sin, cos]])
        return wcs

    def _offset(self):
        """``centre`` along the axes of this grid (arcsec)."""
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        dx, dy = self.centre
        return np.array([cos * dx + sin * dy, cos * dy - sin * dx])
