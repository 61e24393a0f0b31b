"""Light that the model of a field lacks: sources to be added and fitted.

What an uncatalogued object leaves of its neighbours is not theirs: masked, it would still spoil
the sky about it. It is looked for in the white residual, tile by tile, where an imperfect model
of a bright source does not pass for one: a share of the model's light counts as noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from galstep.core.field.frames import band_box, beside, read_frames
from galstep.core.field.keys import content_key
from galstep.core.field.moments import on_first
from galstep.core.field.records import FieldSources, SourceType
from galstep.core.field.sky_mesh import SkyPrior
from galstep.core.imaging.medians import mad_std
from galstep.flags import FieldFlag

if TYPE_CHECKING:
    from galstep.core.field.frames import LightRows
    from galstep.core.field.options import FieldOptions
    from galstep.core.scene.box import Box

__all__ = ["ResidualTask", "joined_light", "residual_tasks", "search_tile"]

# How far beyond a tile residuals are read (pixels).
MARGIN = 48
# Smoothing (pixels), and the share of a model's light that it may be wrong by.
_SMOOTH, _MODEL_ERROR = 1.5, 0.03
# A model that is wrong leaves too little beside too much: light counts if it stands out by so many
# times what is missing within so far (pixels).
_TIMES_THE_LACK, _LACK_REACH = 2.0, 12
# What is found is where it is seen, to this (pixels): beside a bright source whose model is poor it
# would else become a part of that source.
_SHIFT = 1.5
# A hole of the mask (a star's full core) and what is about it holds nothing new (pixels).
_HOLE, _ABOUT = 9, 12


@dataclass(frozen=True, eq=False)
class ResidualTask:
    """A tile, and the model of the field there.

    Attributes
    ----------
    bands : tuple of FieldBand
    tile, box : Box
        Reference pixels; ``box`` has the margin.
    light : LightRows
        All sources that reach the box.
    factors : list of arrays
        Of the knots of each band's sky that the box touches.
    skies : list of SkyPrior
    options : FieldOptions
    """

    bands: tuple
    tile: Box
    box: Box
    light: LightRows
    factors: list
    skies: list[SkyPrior]
    options: FieldOptions

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative: which tasks to begin with."""
        return float(len(self.light) * len(self.bands))


def search_tile(task: ResidualTask) -> np.ndarray:
    """Places of light that the model lacks.

    Returns
    -------
    (n, 3) array
        x, y (reference pixels) and the flux in the first band's unit, of what is in the tile.
    """
    frames = beside(read_frames(task.bands, task.box, task.skies), task.light)
    parts = []
    for frame, factors in zip(frames, task.factors, strict=True):
        if not frame.good.size:
            continue
        light = np.zeros(frame.shape) if frame.fixed is None else frame.fixed
        variance = 1 / np.maximum(frame.weight(None), 1e-300) + (_MODEL_ERROR * light) ** 2
        residual = np.where(frame.good, frame.clean - frame.sky.image(factors), 0.0)
        parts.append((residual, np.where(frame.good, 1 / variance, 0.0), frame))
    white, weight = on_first(parts, frames[0])
    good = weight > 0
    if not good.any():
        return np.zeros((0, 3))
    smooth = ndimage.gaussian_filter(white * np.sqrt(weight), _SMOOTH)
    smooth /= max(mad_std(smooth[good]), 1e-12)
    smooth[_near_holes(good)] = 0.0
    return _peaks(smooth, white, task, frames[0])


def _near_holes(good):
    """Pixels in or near a hole of the mask that is more than single bad pixels."""
    holes, count = ndimage.label(~good)
    if not count:
        return np.zeros(good.shape, dtype=bool)
    large = np.bincount(holes.ravel()) >= _HOLE
    large[0] = False
    inside = large[holes]
    return ndimage.distance_transform_edt(~inside) <= _ABOUT if inside.any() else inside


def _peaks(smooth, white, task, frame):
    labels, _ = ndimage.label(smooth > task.options.detect_threshold)
    found = []
    lack = ndimage.maximum_filter(np.maximum(-smooth, 0.0), 2 * _LACK_REACH + 1)
    for k, part in enumerate(ndimage.find_objects(labels), 1):
        own = labels[part] == k
        if np.count_nonzero(own) < task.options.detect_min_area:
            continue
        peak = np.unravel_index(np.argmax(np.where(own, smooth[part], -np.inf)), own.shape)
        if smooth[part][peak] < _TIMES_THE_LACK * lack[part][peak]:
            continue
        light = np.maximum(white[part] * own, 0.0)
        if not light.sum() > 0:
            continue
        y, x = np.indices(light.shape)
        x = float((x * light).sum() / light.sum()) + part[1].start + frame.origin[0]
        y = float((y * light).sum() / light.sum()) + part[0].start + frame.origin[1]
        x, y = (float(v) for v in frame.pixel_map.inverse().points(x, y))
        if task.tile.holds(x, y):
            found.append((x, y, float(light.sum())))
    return np.array(found).reshape(-1, 3)


def residual_tasks(bands, area, state, skies, tiles) -> list[ResidualTask]:
    """One task per tile of a field."""
    tasks = []
    factors = [sky.factors() for sky in skies]
    for tile in tiles:
        box = tile.grown(MARGIN).common(area)
        x, y, reach = state.z[:, 0], state.z[:, 1], state.reach[:, 1] + 1
        near = state.sources.fit & (x + reach > box.x0) & (x - reach < box.x1)
        near &= (y + reach > box.y0) & (y - reach < box.y1)
        priors = [sky.prior(band_box(b, box)) for sky, b in zip(skies, bands, strict=True)]
        own = [values[prior.index] for values, prior in zip(factors, priors, strict=True)]
        light = state.light(np.flatnonzero(near))
        tasks.append(ResidualTask(tuple(bands), tile, box, light, own, priors, state.options))
    return tasks


def joined_light(found: list[np.ndarray], state) -> FieldSources | None:
    """The places of all tiles as sources, those left out that a source is at already."""
    places = np.concatenate([own for own in found if len(own)] or [np.zeros((0, 3))])
    active = state.active
    if len(places) and len(active):
        known = cKDTree(state.z[active, :2])
        places = places[known.query(places[:, :2])[0] >= state.options.detect_match]
    if not len(places):
        return None
    order = np.lexsort((places[:, 0], places[:, 1]))
    x, y, _ = places[order].T
    kind = SourceType.AUTO
    n_bands = state.sources.n_bands
    return FieldSources.make(
        x, y, n_bands, kind=int(kind), flags=int(FieldFlag.ADDED), max_shift=_SHIFT
    )
