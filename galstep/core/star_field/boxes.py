"""The boxes of single stars, where drawing whole tiles would be a waste.

A sparse field, or the few stars of a crowded one that still move: their boxes
are looked at one by one, each with the light of every star that reaches it. The
numbers are those of the tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from galstep.core.star_field.model import FieldModel, StarState

__all__ = ["Boxes", "boxes_are_cheaper", "look_at_boxes"]

# Reaches of wings, pixels: neighbours are looked for tier by tier.
TIERS = (8, 16, 32, 64, 128)
# So many pairs are sooner looked at one and all.
FEW_PAIRS = 10_000


@dataclass(frozen=True, eq=False)
class Boxes:
    """One box per star: (N, side, side) arrays.

    ``stamps`` (N, 3, side, side) are the stars of unit flux and their derivatives, about the
    pixels ``middles`` (ix, iy).
    """

    residual: np.ndarray
    weight: np.ndarray
    good: np.ndarray
    stamps: np.ndarray
    middles: tuple[np.ndarray, np.ndarray]


def wing_pairs(
    state: StarState, who: np.ndarray, half_size: int, half_sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Stars whose light reaches the boxes of others.

    Parameters
    ----------
    state : `galstep.core.star_field.model.StarState`
    who : (n,) int array
        The stars whose boxes are meant.
    half_size : int
        Of the boxes.
    half_sizes : (N,) int array
        Of what is drawn of each star.

    Returns
    -------
    box, star : int arrays
        Index in ``who``, index in ``state``; no star with itself.
    """
    ix, iy = np.rint(state.x), np.rint(state.y)
    if len(who) * len(state) < FEW_PAIRS:
        apart = np.maximum(np.abs(ix[who, None] - ix), np.abs(iy[who, None] - iy))
        apart[np.arange(len(who)), who] = np.inf
        return np.nonzero(apart <= half_sizes + half_size)  # type: ignore[return-value]
    boxes, places = cKDTree(np.column_stack([ix[who], iy[who]])), np.column_stack([ix, iy])
    first, second, low = [], [], -1
    for high in (*TIERS, max(TIERS[-1], int(half_sizes.max(initial=0)))):
        tier = np.flatnonzero((half_sizes > low) & (half_sizes <= high))
        low = high
        if not len(tier):
            continue
        reach = half_sizes[tier] + half_size
        near = boxes.sparse_distance_matrix(
            cKDTree(places[tier]), reach.max() + 0.5, p=np.inf, output_type="ndarray"
        )
        near = near[near["v"] <= reach[near["j"]]]
        first.append(near["i"])
        second.append(tier[near["j"]])
    if not first:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    box, star = np.concatenate(first), np.concatenate(second)
    # one order, however the tree was made: sums do not depend on it
    order = np.lexsort((star, box))
    box, star = box[order], star[order]
    other = who[box] != star
    return box[other], star[other]


def boxes_are_cheaper(
    model: FieldModel, state: StarState, who: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The ``wing_pairs``, if looking at boxes costs less than drawing the tiles; else None."""
    area = (2 * model.half_size + 1) ** 2
    n_pixels = model.image.shape[0] * model.image.shape[1]
    if 3 * len(who) * area > n_pixels:
        return None
    half_sizes = model.half_sizes(state.flux)
    pairs = wing_pairs(state, who, model.half_size, half_sizes)
    return pairs if 3 * (len(who) + len(pairs[0])) * area < n_pixels else None


def _gather(model, ix, iy):
    """Data (0 where bad), goodness, weight (None if it needs the model) of boxes; the pixels."""
    half, (ny, nx) = model.half_size, model.image.shape
    offsets = np.arange(-half, half + 1)
    rows, columns = iy[:, None] + offsets, ix[:, None] + offsets
    at = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    data, good, weight = model.gather(*at)
    inside = (at[0] == rows)[:, :, None] & (at[1] == columns)[:, None, :]
    if not inside.all():
        good &= inside
        data[~good] = 0.0
        if weight is not None:
            weight[~good] = 0.0
    return data, good, weight, (at[0][:, :, None], at[1][:, None, :])


def look_at_boxes(
    model: FieldModel, state: StarState, who: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> Boxes:
    """Residuals, weights and stamps of the boxes of some stars.

    Parameters
    ----------
    model : `galstep.core.star_field.model.FieldModel`
    state : `galstep.core.star_field.model.StarState`
        All stars.
    who : (n,) int array
        The stars whose boxes are meant.
    pairs : (box, star)
        From ``wing_pairs``.

    Returns
    -------
    Boxes
    """
    half, psfs = model.half_size, model.psfs
    stamps, ix, iy = psfs.stamps((0, 0), state.x[who], state.y[who], half)
    data, good, weight, at = _gather(model, ix, iy)
    light = state.flux[who, None, None] * stamps[:, 0]
    box, star = pairs
    if len(box):
        others, _, _ = psfs.stamps((0, 0), state.x[star], state.y[star], half, (ix[box], iy[box]))
        others = others[:, 0] * _drawn(model, state, star, ix[box], iy[box])
        np.add.at(light, box, state.flux[star, None, None] * others)
    if weight is None:
        weight = model.image.gathered_weight(at, good, light)
    return Boxes(np.where(good, data - light, 0.0), weight, good, stamps, (ix, iy))


def _drawn(model, state, star, ix, iy):
    """Pixels of boxes about (ix, iy) that lie in the box in which each star is drawn."""
    half_sizes = model.half_sizes(state.flux)[star]
    offsets = np.arange(-model.half_size, model.half_size + 1)
    rows = np.abs(iy[:, None] + offsets - np.rint(state.y[star])[:, None]) <= half_sizes[:, None]
    columns = np.abs(ix[:, None] + offsets - np.rint(state.x[star])[:, None]) <= half_sizes[:, None]
    return rows[:, :, None] & columns[:, None, :]
