"""Images of a fitted field: sources, sky and residual of a part of one band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.frames import LightRows, beside
from galstep.core.field.keys import content_key
from galstep.core.field.scene_sources import ellipticity
from galstep.core.field.sky_mesh import SkyMesh
from galstep.core.scene.frame import SceneFrame, SkyTerms

if TYPE_CHECKING:
    from galstep.core.field.records import FieldBand
    from galstep.core.field.results import BandSky
    from galstep.core.scene.box import Box

__all__ = ["ImageTask", "PartImages", "light_of", "render_part"]

# Pixels from a box within which a source's light can reach into it: the largest model stamp.
REACH = 140.0


@dataclass(frozen=True, eq=False)
class ImageTask:
    """A part of a band.

    Attributes
    ----------
    band : FieldBand
    box : Box
        Pixels of the band, inside the image.
    light : LightRows
        Sources with one flux each.
    sky : BandSky
    """

    band: FieldBand
    box: Box
    light: LightRows
    sky: BandSky

    @property
    def key(self) -> str:
        """Hash of all that the images depend on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative."""
        return float(np.prod(self.box.shape)) * (1 + 1e-3 * len(self.light))


@dataclass(frozen=True, eq=False)
class PartImages:
    """(ny, nx) float32 arrays: the sources' light, the sky, and what both leave of the data.

    ``residual`` is NaN where masked.
    """

    model: np.ndarray
    sky: np.ndarray
    residual: np.ndarray


def light_of(
    x: np.ndarray,
    y: np.ndarray,
    r_eff: np.ndarray,
    n: np.ndarray,
    ellip: np.ndarray,
    theta: np.ndarray,
    flux: np.ndarray,
) -> LightRows:
    """Sources to be drawn, by the columns of a catalogue.

    Parameters
    ----------
    x, y : (N,) arrays
        Reference pixels.
    r_eff, n, ellip, theta : (N,) arrays
        NaN: a star; theta in radians.
    flux : (N,) array
        Of one band. Rows with a NaN in place or flux have no light.
    """
    point = ~np.isfinite(r_eff)
    e1, e2 = ellipticity(np.where(point, 0.0, ellip), np.where(point, 0.0, theta))
    z = np.column_stack(
        [
            x, y, np.log(np.where(point, 1.0, r_eff)), e1, e2,
            np.log(np.where(point, 1.0, n)),
        ]
    )  # fmt: skip
    z[point, 2:] = 0.0
    known = np.isfinite(z).all(axis=1) & np.isfinite(flux)
    return LightRows(z[known], np.asarray(flux)[known, None], point[known])


def render_part(task: ImageTask) -> PartImages:
    """Draw a part of a band."""
    band, box = task.band, task.box
    pixels = band.pixels.read(box)
    x, y = band.pixel_map.points(task.light.z[:, 0], task.light.z[:, 1])
    near = (x > box.x0 - REACH) & (x < box.x1 + REACH)
    near &= (y > box.y0 - REACH) & (y < box.y1 + REACH)
    frame = SceneFrame(
        band.name, np.zeros(box.shape), np.zeros(box.shape, dtype=bool), band.sigma**2,
        band.variance_per_unit, band.psf, SkyTerms.free(np.zeros((0, *box.shape))),
        (box.x0, box.y0), band.pixel_map,
    )  # fmt: skip
    (lit,) = beside([frame], task.light.rows(np.flatnonzero(near)))
    model = np.broadcast_to(lit.fixed, box.shape) if np.any(near) else np.zeros(box.shape)
    ny, nx = task.sky.shape
    mesh = SkyMesh((ny, nx), task.sky.scale)
    sky = mesh.image(box, np.asarray(task.sky.factors)) if mesh.n_terms else np.zeros(box.shape)
    residual = np.where(pixels.mask, np.nan, pixels.data - model - sky)
    return PartImages(*(image.astype(np.float32) for image in (model, sky, residual)))
