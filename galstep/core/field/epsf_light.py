"""What is known of a field when its PSF is measured again: the light about its stars.

Beside a fitted field a star's neighbours need no mask: their light is taken off, that of profiles
as it was fitted, that of other stars by the PSF as it is being measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.frames import LightRows, beside
from galstep.core.field.keys import content_key
from galstep.core.field.sky_mesh import SkyMesh
from galstep.core.scene.frame import SceneFrame, SkyTerms

if TYPE_CHECKING:
    from galstep.core.field.records import FieldBand
    from galstep.core.scene.box import Box

__all__ = ["FieldLight"]

# The light of a profile is looked for so many half-light radii, and so many pixels, from it.
_REACH_RADII, _REACH_PIXELS = 8.0, 60.0


@dataclass(frozen=True, eq=False)
class FieldLight:
    """The sources and the sky of one band, as a fit has found them.

    Parameters
    ----------
    z : (n, 6) array
        Vectors, reference pixels.
    flux : (n,) array
        Of this band; 0 where there is none.
    point : (n,) bool array
    sky_scale : float
        Distance of the sky's knots; see `galstep.core.field.sky_mesh.SkyMesh`.
    sky_factors : (k,) array
    """

    z: np.ndarray
    flux: np.ndarray
    point: np.ndarray
    sky_scale: float = 0.0
    sky_factors: np.ndarray | tuple = ()

    @cached_property
    def identity(self) -> str:
        """Of the contents."""
        return content_key(self.z, self.flux, self.point, self.sky_scale, self.sky_factors)

    def stars(self, band: FieldBand) -> np.ndarray:
        """(k, 3) array: x and y (pixels of the band) and flux of all points that shine."""
        own = self.point & (self.flux > 0)
        x, y = band.pixel_map.points(self.z[own, 0], self.z[own, 1])
        return np.column_stack([x, y, self.flux[own]])

    def sky(self, band: FieldBand, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The sky at pixels of the band."""
        ny, nx = band.pixels.shape
        mesh = SkyMesh((ny, nx), self.sky_scale)
        if not mesh.n_terms:
            return np.zeros(len(x))
        return mesh.values(x, y, np.asarray(self.sky_factors, dtype=float))

    def profiles(self, band: FieldBand, box: Box) -> np.ndarray:
        """The light of all profiles on a box of the band's pixels.

        Parameters
        ----------
        band : FieldBand
            With the PSF that they were fitted with.
        box : Box
            Inside the image.
        """
        x, y = band.pixel_map.points(self.z[:, 0], self.z[:, 1])
        reach = _REACH_PIXELS + _REACH_RADII * np.exp(self.z[:, 2]) * band.pixel_map.scale
        near = ~self.point & (self.flux != 0)
        near &= (x + reach > box.x0) & (x - reach < box.x1)
        near &= (y + reach > box.y0) & (y - reach < box.y1)
        rows = np.flatnonzero(near)
        if not len(rows):
            return np.zeros(box.shape)
        nothing = SkyTerms.free(np.zeros((0, *box.shape)))
        frame = SceneFrame(
            band.name, np.zeros(box.shape), np.zeros(box.shape, dtype=bool), band.sigma**2,
            band.variance_per_unit, band.psf, nothing, (box.x0, box.y0), band.pixel_map,
        )  # fmt: skip
        light = LightRows(self.z[rows], self.flux[rows, None], self.point[rows])
        return beside([frame], light)[0].fixed
