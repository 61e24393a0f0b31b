"""The noise of a scene whose bands have different pixel grids.

A covariance that depends on the separation alone has a power spectrum on the
grid that the pixels lie on. Bands with the same pixels share one spectrum matrix
(`galstep.core.noise.noise_power`). Between bands with different pixels the noise
covaries too, for their unresolved stars are the same. With u the scaled influence
images (`galstep.core.noise.errors`), the sum over the pixels q of a band is

    sum_q u(q) f(q) = scale^2 sum_s u(A s) f(s)

over the scene's pixels s, up to structure finer than a pixel: A is the affine map
and scale^2 the number of the band's pixels in one of the scene. So only these
cross terms are measured, and summed, from images that are interpolated onto the
scene's grid; interpolation costs them what happens between neighbouring pixels,
where bands have nothing in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.imaging.resample import SceneSampler
from galstep.core.noise.noise_power import NoisePower, measure_noise_power

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand

__all__ = ["SceneNoise", "data_box", "grid_groups", "measure_scene_noise", "with_cross_terms"]

# Cross terms may take at most this share of what the bands' own terms give.
MAX_CROSS = 0.98
# Directions in which quantities vary by less than this share of their variance.
MIN_VARIANCE = 1e-4


@dataclass(frozen=True, eq=False)
class SceneNoise:
    """Powers of all bands, grid by grid, and between grids.

    Parameters
    ----------
    groups : tuple of (tuple of int, NoisePower)
        Bands with the same pixels, and their powers.
    between : NoisePower or None
        Cross powers on the scene's grid, 0 for bands with the same pixels; None
        where all bands have them.
    """

    groups: tuple
    between: NoisePower | None = None

    @classmethod
    def of(cls, noise: SceneNoise | NoisePower, n_bands: int) -> SceneNoise:
        """A `NoisePower` of bands on one grid as a `SceneNoise`; one as it is."""
        return noise if isinstance(noise, cls) else cls(((tuple(range(n_bands)), noise),))

    def place(self, band: int) -> tuple[int, int]:
        """Group of a band and its place in it."""
        for group, (members, _) in enumerate(self.groups):
            if band in members:
                return group, members.index(band)
        raise IndexError(f"band must be one of the {self.n_bands} measured, got {band}")

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return sum(len(members) for members, _ in self.groups)

    def own_power(self, band: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The power of one band, and the shape of its transform."""
        group, place = self.place(band)
        noise = self.groups[group][1]
        return noise.power[place][place], noise.shape


def grid_groups(bands: Sequence[SceneBand]) -> list[tuple[int, ...]]:
    """Indices of the bands, those with the same pixels together.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`

    Returns
    -------
    list of tuple of int
    """
    groups = {}
    for i, band in enumerate(bands):
        # a displacement of less than a pixel is no other grid: that of the registration is none
        key = (band.shape, band.pixel_map.matrix, tuple(np.rint(band.origin)))
        groups.setdefault(key, []).append(i)
    return [tuple(members) for members in groups.values()]


def data_box(bands: Sequence[SceneBand]) -> tuple[slice, slice]:
    """The part of a frame that bands with the same pixels have data in.

    Noise is measured on it: a border without data must not count as scales that the
    frame shows.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`

    Returns
    -------
    tuple of slice
        (y, x), around the pixels that any band has; all of the frame if none has one.
    """
    data = ~np.logical_and.reduce([band.mask for band in bands])
    if not data.any():
        return slice(0, data.shape[0]), slice(0, data.shape[1])
    rows, columns = (np.flatnonzero(data.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def measure_scene_noise(
    bands: Sequence[SceneBand],
    residuals: Sequence[np.ndarray],
    good: Sequence[np.ndarray],
    shifts: np.ndarray,
) -> SceneNoise:
    """The powers of a scene's residuals.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    residuals : sequence of (ny, nx) arrays
        In units of the pixel sigma, each on its own band's pixels.
    good : sequence of (ny, nx) bool arrays
        The pixels to use.
    shifts : (nb, 2) array
        Registration of the bands.

    Returns
    -------
    SceneNoise
    """
    groups: Any = grid_groups(bands)
    own = []
    for members in groups:
        box = data_box([bands[i] for i in members])
        own.append(
            measure_noise_power(
                [residuals[i][box] for i in members], [good[i][box] for i in members]
            )
        )
    groups = tuple(zip(groups, own, strict=True))
    if len(groups) == 1:
        return SceneNoise(groups)
    on_scene = [_on_scene(*each) for each in zip(bands, residuals, good, shifts, strict=True)]
    between = measure_noise_power(*zip(*on_scene, strict=True))  # type: ignore[arg-type]
    for members, _ in groups:
        for a in members:
            for b in members:
                between.power[a][b] = np.zeros_like(between.power[a][b])
    return SceneNoise(groups, between)


def _on_scene(band, residual, good, shift):
    if band.in_scene_frame:
        return residual, good
    sampler = SceneSampler(band, shift)
    return sampler.smooth(residual), sampler.covered(good)


def with_cross_terms(own: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """A covariance with the terms between different grids added.

    These were measured by themselves, so that nothing keeps the sum positive.
    They are scaled down together as far as it takes.

    Parameters
    ----------
    own : (nq, nq) array
        Sum over the grids.
    cross : (nq, nq) array
        Terms between grids; symmetric.

    Returns
    -------
    (nq, nq) array
    """
    size = np.sqrt(np.diag(own))
    size = np.outer(size, size)
    values, vectors = np.linalg.eigh(own / size)
    # in directions of less, rounding and the scatter of measured powers decide
    seen = values > MIN_VARIANCE
    unit = vectors[:, seen] / np.sqrt(values[seen])
    lowest = np.linalg.eigvalsh(unit.T @ (cross / size) @ unit)[0]
    return own + cross * min(1.0, MAX_CROSS / max(-lowest, MAX_CROSS))
