"""The images of single sources on the frames of a scene, cut to small boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer
from galstep.core.scene.reach import (
    FIT_CAP,
    FIT_LEVEL,
    MODEL_CAP,
    MODEL_LEVEL,
    NEGLIGIBLE,
    ladder_half,
    light_reach,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.scene.frame import SceneFrame
    from galstep.core.scene.source import SceneSource

__all__ = ["SourceStamps", "Stamp", "render_source", "stamp_halves"]


@dataclass(frozen=True, eq=False)
class Stamp:
    """A unit-flux source on a box of a frame, cut to it.

    Attributes
    ----------
    values : (k, h, w) array
        The value and, if k > 1, its derivatives with respect to the reference vector z.
    y0, x0 : int
        The first pixel.
    """

    values: np.ndarray
    y0: int
    x0: int

    @property
    def part(self) -> tuple[slice, slice]:
        """Slices of the frame's arrays."""
        h, w = self.values.shape[1:]
        return np.s_[self.y0 : self.y0 + h, self.x0 : self.x0 + w]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """y0, y1, x0, x1."""
        h, w = self.values.shape[1:]
        return self.y0, self.y0 + h, self.x0, self.x0 + w

    def cut(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """The values on a box within it."""
        y0, y1, x0, x1 = box
        return self.values[:, y0 - self.y0 : y1 - self.y0, x0 - self.x0 : x1 - self.x0]


@dataclass(frozen=True, eq=False)
class SourceStamps:
    """The stamps of one source, one per frame: ``fit`` with derivatives, ``model`` without.

    ``halves`` are their half-sizes, a pair per frame.
    """

    fit: list
    model: list
    halves: list


def stamp_halves(
    source: SceneSource, z: np.ndarray, flux: np.ndarray, frames: Sequence[SceneFrame]
) -> list[tuple[int, int]]:
    """Half-sizes of a source's fit and model stamps in each frame's pixels.

    The best band decides for all, scaled to each band's pixels.
    """
    reach = np.zeros((len(frames), 2))
    scale = np.array([frame.pixel_map.scale for frame in frames])
    for i, frame in enumerate(frames):
        psf = _psf(frame, z)
        shape = None if source.point else frame.pixel_map.vector(z)
        for j, level in enumerate((FIT_LEVEL, MODEL_LEVEL)):
            reach[i, j] = light_reach(flux[i], frame.sigma, level, psf, shape) / scale[i]
    fit, model = reach.max(axis=0)
    fit = max(fit, source.least_half)
    r_eff = 0.0 if source.point else float(np.exp(z[2]))
    halves = []
    for factor in scale:
        cap = max(FIT_CAP[0], source.least_half * factor), FIT_CAP[1]
        one = ladder_half(fit * factor, cap, r_eff * factor)
        halves.append((one, max(one, ladder_half(model * factor, MODEL_CAP, r_eff * factor))))
    return halves


def render_source(
    source: SceneSource,
    z: np.ndarray,
    flux: np.ndarray,
    frames: Sequence[SceneFrame],
    derivatives: bool = True,
    before: SourceStamps | None = None,
) -> SourceStamps:
    """The stamps of a source where it stands.

    Parameters
    ----------
    source : SceneSource
    z : (6,) array
        Reference grid.
    flux : (n_bands,) array
        Decides the sizes.
    frames : sequence of SceneFrame
    derivatives : bool
        False: model stamps alone, ``fit`` is then empty.
    before : SourceStamps, optional
        Of the last step: sizes stay as they were. What a stamp's edge cuts off makes chi2 jump by
        some units when it moves, and no step lowers it then.

    Returns
    -------
    SourceStamps
        Boxes that lie off a frame are empty.
    """
    fit, model = [], []
    halves = stamp_halves(source, z, flux, frames) if before is None else before.halves
    for frame, total, (small, large) in zip(frames, flux, halves, strict=True):
        dim = NEGLIGIBLE * frame.sigma / max(abs(total), frame.sigma)
        if derivatives:
            fit.append(_stamp(source, z, frame, small, source.n_rows > 1, dim))
        if derivatives and small == large:
            model.append(Stamp(fit[-1].values[:1], fit[-1].y0, fit[-1].x0))
        else:
            model.append(_stamp(source, z, frame, large, False, dim))
    return SourceStamps(fit, model, halves)


def _psf(frame, z):
    return frame.psf_map.at(*frame.pixel_map.points(z[0], z[1]))


def _stamp(source, z, frame, half, derivatives, dim):
    x, y = frame.place(z[0], z[1])
    ix, iy = int(np.rint(x)), int(np.rint(y))
    ny, nx = frame.shape
    y0, y1, x0, x1 = (
        max(iy - half, 0),
        min(iy + half + 1, ny),
        max(ix - half, 0),
        min(ix + half + 1, nx),
    )
    n_rows = source.n_rows if derivatives else 1
    if y1 <= y0 or x1 <= x0:
        return Stamp(np.zeros((n_rows, 0, 0)), 0, 0)
    psf = _psf(frame, z)
    if source.point:
        values = _point(psf, x, y, ix, iy, half)[:n_rows]
    else:
        values = _profile(psf, z, frame, (x - (ix - half), y - (iy - half)), half, derivatives, dim)
    if derivatives and not frame.pixel_map.is_translation:
        matrix = np.array(frame.pixel_map.matrix)
        values[1:3] = np.tensordot(matrix.T, values[1:3], 1)
    cut = values[:, y0 - iy + half : y1 - iy + half, x0 - ix + half : x1 - ix + half]
    # a copy of a part lets the whole go
    return Stamp(cut if cut.shape == values.shape else cut.copy(), y0, x0)


def _point(psf, x, y, ix, iy, half):
    renderer = psf.derived("star renderer", lambda: StarRenderer(psf))
    centres = np.array([ix]), np.array([iy])
    return renderer.stamps(np.array([x]), np.array([y]), half, centres)[0][0]


def _profile(psf, z, frame, place, half, derivatives, dim):
    side = 2 * half + 1
    renderer = psf.derived(("profiles", side), lambda: GalaxyRenderer((side, side), psf))
    matrix = None if frame.pixel_map.is_translation else np.array(frame.pixel_map.matrix)
    local = np.array([*place, *z[2:]])
    if derivatives:
        return renderer.image_and_derivatives(local, matrix, tolerance=dim)
    return renderer.image(local, matrix, tolerance=dim)[None]
