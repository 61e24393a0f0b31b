"""The part of every band that a box of the reference grid covers, as frames of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.scene.frame import SceneFrame
from galstep.core.scene.source import SceneSource
from galstep.core.scene.stamps import render_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.field.records import FieldBand
    from galstep.core.field.sky_mesh import SkyPrior
    from galstep.core.scene.box import Box

__all__ = ["LightRows", "band_box", "beside", "read_frames"]


@dataclass(frozen=True, eq=False)
class LightRows:
    """Sources that are drawn and not fitted: vectors, fluxes, whether they are points."""

    z: np.ndarray
    flux: np.ndarray
    point: np.ndarray

    def __len__(self) -> int:
        return len(self.z)

    @classmethod
    def none(cls, n_bands: int) -> LightRows:
        """No light."""
        return cls(np.zeros((0, 6)), np.zeros((0, n_bands)), np.zeros(0, dtype=bool))

    def followed_by(self, other: LightRows) -> LightRows:
        """Both."""
        return LightRows(
            np.concatenate([self.z, other.z]),
            np.concatenate([self.flux, other.flux]),
            np.concatenate([self.point, other.point]),
        )

    def rows(self, index: np.ndarray) -> LightRows:
        """Some of them."""
        return LightRows(self.z[index], self.flux[index], self.point[index])


def band_box(band: FieldBand, box: Box) -> Box:
    """The pixels of a band that a box of the reference grid covers."""
    return box.on(band.pixel_map).inside(band.pixels.shape)


def read_frames(
    bands: Sequence[FieldBand], box: Box, skies: Sequence[SkyPrior]
) -> list[SceneFrame]:
    """Read the pixels of a box in all bands.

    Parameters
    ----------
    bands : sequence of FieldBand
    box : Box
        Reference pixels.
    skies : sequence of SkyPrior
        For each band's box.
    """
    frames = []
    for band, sky in zip(bands, skies, strict=True):
        own = band_box(band, box)
        pixels = band.pixels.read(own)
        variance: float | np.ndarray = band.sigma**2
        mask = np.array(pixels.mask, dtype=bool)
        if pixels.sigma is not None:
            good = np.isfinite(pixels.sigma) & (pixels.sigma > 0)
            mask |= ~good
            variance = np.where(good, pixels.sigma, band.sigma) ** 2
        frames.append(
            SceneFrame(
                band.name,
                np.asarray(pixels.data, dtype=float),
                mask,
                variance,
                band.variance_per_unit,
                band.psf,
                sky.terms(own),
                (own.x0, own.y0),
                band.pixel_map,
            )
        )
    return frames


def beside(frames: list[SceneFrame], light: LightRows) -> list[SceneFrame]:
    """The same frames with the light of sources that are not fitted."""
    if not len(light):
        return frames
    fixed = [np.zeros(frame.shape) for frame in frames]
    held = {point: SceneSource(point, np.zeros(6, dtype=bool)) for point in (False, True)}
    for z, flux, point in zip(light.z, light.flux, light.point, strict=True):
        stamps = render_source(held[bool(point)], z, flux, frames, derivatives=False)
        for image, stamp, factor in zip(fixed, stamps.model, flux, strict=True):
            image[stamp.part] += factor * stamp.values[0]
    return [frame.with_fixed(image) for frame, image in zip(frames, fixed, strict=True)]
