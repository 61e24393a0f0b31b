"""Where the fit of a field begins: shapes, fluxes, couplings, tile by tile.

A tile is read with a margin; the sources of the margin are fitted along and belong to their own
tiles. Fluxes and sky come from one linear fit at the starting shapes. What is much larger than the
rest is known before (`galstep.core.field.large_objects`): it is taken off where others are
measured, and stands beside the sources of tiles that it only reaches into.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.field.couplings import Links, stamp_links
from galstep.core.field.frames import LightRows, beside, read_frames
from galstep.core.field.keys import content_key
from galstep.core.field.moments import measured_shape, psf_moments, white_image
from galstep.core.field.records import SourceType
from galstep.core.field.tasks import own_reach
from galstep.core.scene.scene import Scene
from galstep.core.scene.solve import linear_fit
from galstep.core.scene.source import SceneSource

if TYPE_CHECKING:
    from galstep.core.scene.box import Box

__all__ = ["HALO", "TILE", "StartResult", "StartTask", "start_tile"]

# Side of the part that is started in one task, and how far beyond it is read (pixels).
TILE, HALO = 512, 64
_BESIDE = 70.0  # sources so near share out the pixels between them (pixels)
_GUESS = 100.0  # start flux in sky sigma: decides the size of the first stamps


@dataclass(frozen=True, eq=False)
class StartTask:
    """A tile.

    Attributes
    ----------
    bands : tuple of FieldBand
    box : Box
        With the margin, reference pixels.
    index : (n,) int array
        Names of the sources in the box.
    own : (n,) bool array
        Those of the tile itself.
    z : (n, 6) array
    flux : (n, n_bands) array
        NaN where not known.
    kind : (n,) int array
    measure : (n,) bool array
        Whose shape is to be measured.
    skies : list of SkyPrior
    large_index : (m,) int array
        Names of the large objects of the field.
    large : LightRows
        Their light.
    """

    bands: tuple
    box: Box
    index: np.ndarray
    own: np.ndarray
    z: np.ndarray
    flux: np.ndarray
    kind: np.ndarray
    measure: np.ndarray
    skies: list
    large_index: np.ndarray
    large: LightRows

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative: which tasks to begin with."""
        return float(len(self.index) * len(self.bands))


@dataclass(frozen=True, eq=False)
class StartResult:
    """Of the tile's own sources, in the order of ``index``; links name sources by index."""

    index: np.ndarray
    z: np.ndarray
    flux: np.ndarray
    point: np.ndarray
    reach: np.ndarray
    links: Links
    seconds: float


def start_tile(task: StartTask) -> StartResult:
    """Shapes, fluxes and couplings to start from."""
    begun = time.process_time()
    frames = read_frames(task.bands, task.box, task.skies)
    z, point = _shapes(task, frames)
    elsewhere = ~np.isin(task.large_index, task.index)
    frames = beside(frames, task.large.rows(elsewhere))
    sources = [SceneSource(bool(p), np.zeros(6, dtype=bool)) for p in point]
    scene = Scene(frames, sources)
    sigma = np.array([frame.sigma for frame in frames])
    known = np.where(np.isfinite(task.flux), task.flux, _GUESS * sigma)
    end = linear_fit(scene, scene.start(z, known))
    flux = np.maximum(end.state.flux, 0.0)
    end = replace(end, state=replace(end.state, flux=flux))
    own = np.flatnonzero(task.own)
    reach = [own_reach(sources[i], z[i], flux[i], frames) for i in own]
    links = stamp_links(task.index, end.stamps)
    mine = np.isin(links.i, task.index[own]) | np.isin(links.j, task.index[own])
    return StartResult(
        index=task.index[own],
        z=z[own],
        flux=flux[own],
        point=point[own],
        reach=np.array(reach, dtype=float).reshape(-1, 2),
        links=Links(links.i[mine], links.j[mine], links.coupling[mine]),
        seconds=time.process_time() - begun,
    )


def _shapes(task, frames):
    """Vectors, those that are to be measured from the image; and which sources are points."""
    z, point = task.z.copy(), task.kind == SourceType.STAR
    if not task.measure.any():
        return z, point
    white, weight = white_image(beside(frames, task.large))
    frame = frames[0]
    places = np.array([frame.place(*own[:2]) for own in z])
    tree = cKDTree(places)
    for i in np.flatnonzero(task.measure & ~np.isin(task.index, task.large_index)):
        psf = frame.psf_map.at(*frame.pixel_map.points(z[i, 0], z[i, 1]))
        x, y = places[i]
        near = [k for k in tree.query_ball_point(places[i], _BESIDE) if np.any(places[k] != (x, y))]
        found = measured_shape(white, weight, x, y, psf_moments(psf), places[near])
        if found is None:
            continue
        r_eff, e1, e2 = found
        if r_eff == 0.0 and task.kind[i] == SourceType.AUTO:
            point[i] = True
        z[i, 2:5] = np.log(max(r_eff / frame.pixel_map.scale, 0.5)), e1, e2
    return z, point
