"""All stars of a field moved and scaled together, the field read in tiles.

The equations (`galstep.core.scene.star_system`) are summed up tile by tile and
solved once for the field, so no star is fitted twice and none is torn apart by a tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.stars import gram_stamps, project_stamps, stamp_pairs
from galstep.core.scene.star_system import StarSystem, pairs_of
from galstep.core.star_field.boxes import boxes_are_cheaper, look_at_boxes
from galstep.core.star_field.sky import annulus_levels
from galstep.core.star_field.tiles import Tile

if TYPE_CHECKING:
    from galstep.core.star_field.model import FieldModel, StarState

__all__ = ["field_equations"]


def _pairs(state, reach, groups):
    """Pairs of stars whose boxes overlap, the first with the smaller index."""
    pairs = stamp_pairs(np.rint(state.x), np.rint(state.y), reach)
    pairs.sort(axis=1)
    if groups is not None:
        pairs = pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def field_equations(
    model: FieldModel,
    state: StarState,
    who: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    local_radii: tuple[float, float] | None = None,
) -> tuple[StarSystem, StarState]:
    """Sum up the normal equations of stars, tile by tile.

    Parameters
    ----------
    model : FieldModel
    state : StarState
        All stars.
    who : (n,) int array, optional
        The stars that are free; the others stay as they are. Default: all.
    groups : (N,) int array, optional
        Stars of different groups are fitted beside each other's current
        estimate, not together.
    local_radii : (inner, outer), optional
        Rings of local sky; the levels are put into the state that is returned.

    Returns
    -------
    StarSystem
        Of the stars ``who``, in that order.
    state : StarState
    """
    who = np.arange(len(state)) if who is None else np.asarray(who)
    state = _with_own_sky(model, state)
    if local_radii is None:
        wings = boxes_are_cheaper(model, state, who)
        if wings is not None:
            return _equations_of_boxes(model, state, who, groups, wings), state
    free, half = state.select(who), model.half_size
    pairs = _pairs(free, 2 * half, None if groups is None else groups[who])
    sums = _Sums(np.zeros((len(who), 3)), np.zeros((len(who), 3, 3)),
                 np.zeros((len(pairs), 3, 3)), free.level.copy(), np.zeros(len(who)))  # fmt: skip
    margin = half if local_radii is None else max(half, int(np.ceil(local_radii[1])) + 1)
    for tile in model.tiles:
        own = np.flatnonzero(_owned(tile, free, model.image.shape))
        if len(own):
            frame = tile
            if len(own) < len(state) / len(model.tiles) / 4:
                frame = _frame_of(free.select(own), tile)
            frame = frame.grown(margin, model.image.shape)
            _add_tile(model, state, free, own, pairs, frame, local_radii, sums)
    level = state.level.copy()
    level[who] = sums.level
    blocks = np.concatenate([sums.own, sums.pairs])
    seen = sums.seen * model.psfs.mean.noise_area
    system = StarSystem(sums.right, *pairs_of(len(who), pairs), blocks, seen)
    return system, replace(state, level=level)


def _with_own_sky(model, state):
    """The state with the levels, above the mesh, that were given with stars."""
    own = np.isfinite(state.own_sky)
    if not own.any():
        return state
    level = state.level.copy()
    level[own] = state.own_sky[own] - model.sky.at(state.x_init[own], state.y_init[own])
    return replace(state, level=level)


def _equations_of_boxes(model, state, who, groups, wings):
    """The same sums, from the boxes of the stars alone."""
    boxes = look_at_boxes(model, state, who, wings)
    free = state.select(who)
    star = boxes.stamps[:, 0]
    squares = np.einsum("npq,npq->n", star * boxes.good, star)
    boxes.stamps[:, 1:] *= free.flux[:, None, None, None]
    pairs = _pairs(free, 2 * model.half_size, None if groups is None else groups[who])
    residual = boxes.residual
    if free.subtracted_level.any():
        residual = residual - free.subtracted_level[:, None, None]
    right = np.einsum("napq,npq->na", boxes.stamps, boxes.weight * residual)
    first, second = pairs_of(len(who), pairs)
    blocks = gram_stamps(boxes.weight, boxes.stamps, *boxes.middles, first, second)
    return StarSystem(right, first, second, blocks, squares * model.psfs.mean.noise_area)


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the tiles add to, in place: gradients, blocks, local sky, P^2 on good pixels."""

    right: np.ndarray
    own: np.ndarray
    pairs: np.ndarray
    level: np.ndarray
    seen: np.ndarray


def _frame_of(stars, tile):
    """The part of a tile that its stars lie in: no more is looked at."""
    ix, iy = np.rint(stars.x).astype(int), np.rint(stars.y).astype(int)
    ix, iy = np.clip(ix, tile.x0, tile.x1 - 1), np.clip(iy, tile.y0, tile.y1 - 1)
    return Tile(int(ix.min()), int(iy.min()), int(ix.max()) + 1, int(iy.max()) + 1)


def _add_tile(model, state, free, own, pairs, frame, local_radii, sums):
    """The sums of the stars ``own``, whose pixels are in one tile."""
    residual, weight, good, _ = model.look(frame, state)
    mine = np.flatnonzero(np.isin(pairs[:, 0], own))
    used = np.union1d(own, pairs[mine].ravel())
    stamps, ix, iy = model.psfs.stamps(frame.origin, free.x[used], free.y[used], model.half_size)
    stamps[:, 1:] *= free.flux[used, None, None, None]
    if local_radii is not None:
        x, y = free.x[own] - frame.x0, free.y[own] - frame.y0
        level = annulus_levels(residual, good, x, y, local_radii, model.image.step)
        sums.level[own] = np.where(np.isfinite(free.own_sky[own]), sums.level[own], level)
    at = np.searchsorted(used, own)
    own_stamps = stamps[at], ix[at], iy[at]
    sums.right[own] = project_stamps((weight * residual)[None], *own_stamps)[:, 0]
    level = np.nan_to_num(sums.level[own])
    if level.any():
        on_level = project_stamps(weight[None], *own_stamps)[:, 0]
        sums.right[own] -= level[:, None] * on_level
    sums.own[own] = gram_stamps(weight, stamps, ix, iy, at, at)
    sums.seen[own] = gram_stamps(good.astype(float), stamps, ix, iy, at, at)[:, 0, 0]
    if len(mine):
        i, j = np.searchsorted(used, pairs[mine]).T
        sums.pairs[mine] = gram_stamps(weight, stamps, ix, iy, i, j)


def _owned(tile, state, shape):
    """Stars that a tile takes care of; one outside the field belongs to the nearest pixel."""
    ny, nx = shape
    x, y = np.clip(np.rint(state.x), 0, nx - 1), np.clip(np.rint(state.y), 0, ny - 1)
    return tile.holds(x, y)
