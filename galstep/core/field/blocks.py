"""The tasks of a round: which sources are fitted where, beside which others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.block_task import BlockTask
from galstep.core.field.couplings import bisected_blocks, coupled_groups
from galstep.core.field.frames import band_box
from galstep.core.field.records import SourceType
from galstep.core.field.scene_sources import scene_source
from galstep.core.field.type_choice import of_type
from galstep.core.scene.box import Box

if TYPE_CHECKING:
    from galstep.core.field.records import FieldBand
    from galstep.core.field.sky_mesh import SkyKnowledge
    from galstep.core.field.state import FieldState

__all__ = ["Block", "block_task", "field_area", "make_blocks"]

# Sources of other blocks that move along are coupled by more than this.
GUEST = 0.0015
# Where single sources are fitted again, so do their guests' own neighbours from this coupling on:
# an error knows of what is behind the next source as its square.
DEEP_GUEST = 0.05
# Pixels about a block's sources that tell the sky.
PAD = 32
# A guest has so many pixels about it, if its light goes that far.
_GUEST_REACH = 40.0


@dataclass(frozen=True, eq=False)
class Block:
    """A number, the rows that are fitted in it, and its part of the plane."""

    number: int
    rows: np.ndarray
    territory: Box


def field_area(bands: list[FieldBand]) -> Box:
    """The smallest box of the reference grid that holds all images."""
    boxes = []
    for band in bands:
        ny, nx = band.pixels.shape
        boxes.append(Box(0, 0, nx, ny).on(band.pixel_map.inverse()))
    return Box(
        min(b.x0 for b in boxes), min(b.y0 for b in boxes),
        max(b.x1 for b in boxes), max(b.y1 for b in boxes),
    )  # fmt: skip


def make_blocks(state: FieldState, area: Box) -> list[Block]:
    """Blocks of all sources that are fitted."""
    active = state.active
    number = np.full(len(state), -1)
    number[active] = np.arange(len(active))
    links = state.links
    both = (number[links.i] >= 0) & (number[links.j] >= 0)
    own = type(links)(number[links.i[both]], number[links.j[both]], links.coupling[both])
    groups = coupled_groups(len(active), own)
    x, y = state.z[active, 0], state.z[active, 1]
    found = bisected_blocks(x, y, groups, state.options.block_size, area)
    return [Block(k, active[rows], box) for k, (rows, box) in enumerate(found)]


def block_task(
    block: Block,
    round_number: int,
    state: FieldState,
    bands: list[FieldBand],
    skies: list[SkyKnowledge],
    area: Box,
    neighbours: list,
    only: np.ndarray | None = None,
) -> BlockTask:
    """What a block needs to be fitted beside the field as it stands.

    Parameters
    ----------
    block : Block
    round_number : int
    state : FieldState
    bands : list of FieldBand
    skies : list of SkyKnowledge
        Per band.
    area : Box
        Of the field.
    neighbours : list
        From `Links.neighbours`.
    only : int array, optional
        Rows of the block that are fitted, with what is coupled to them; the others stand still,
        and the sky is what all blocks know, this one included.
    """
    own = block.rows if only is None else only
    guests = _guests(own, state, neighbours, deep=only is not None)
    rows = np.concatenate([own, guests])
    box = _box(own, guests, state).common(area)
    near = _reaching(box, state, rows)
    choose = (state.kind[own] == SourceType.AUTO) & state.sources.fit[own]
    kind = np.array([_begin_kind(state, row) for row in rows])
    z = np.where((kind == SourceType.STAR)[:, None] & (np.arange(6) > 1), 0.0, state.z[rows])
    return BlockTask(
        bands=tuple(bands),
        block=block.number,
        round=round_number,
        box=box,
        share=_share(bands, box, block.territory) if only is None else 0.0,
        sources=[_source(state, row, k) for row, k in zip(rows, kind, strict=True)],
        z=z,
        flux=state.flux[rows],
        kind=kind,
        n_own=len(own),
        choose=choose,
        templates=[
            _template(state, row) if c else None for row, c in zip(own, choose, strict=True)
        ],
        starts=state.start[own],
        neighbours=state.light(near),
        skies=[
            sky.prior(band_box(band, box), block.number if only is None else None)
            for sky, band in zip(skies, bands, strict=True)
        ],
        options=state.options,
    )


def _guests(own, state, neighbours, deep):
    """Rows coupled to a block's own; ``deep``: and those strongly coupled to them in turn."""
    known = set(own.tolist())
    found = _coupled(known, neighbours, GUEST) - known
    if deep:
        found |= _coupled(found, neighbours, DEEP_GUEST) - known
    guests = np.array(sorted(found), dtype=int)
    return guests[state.sources.fit[guests]]


def _coupled(rows, neighbours, least):
    found = set()
    for row in rows:
        others, coupling = neighbours[row]
        found.update(others[coupling > least].tolist())
    return found


def _box(own, guests, state):
    reach = np.concatenate([state.reach[own, 0], np.minimum(state.reach[guests, 0], _GUEST_REACH)])
    x, y = state.z[np.concatenate([own, guests]), :2].T
    return Box(
        int(np.floor((x - reach).min())), int(np.floor((y - reach).min())),
        int(np.ceil((x + reach).max())) + 1, int(np.ceil((y + reach).max())) + 1,
    ).grown(PAD)  # fmt: skip


def _reaching(box, state, but):
    """Rows of others whose model stamps have a part in a box."""
    x, y, reach = state.z[:, 0], state.z[:, 1], state.reach[:, 1] + 1
    near = (x + reach > box.x0) & (x - reach < box.x1) & (y + reach > box.y0) & (y - reach < box.y1)
    near &= state.sources.fit & np.any(state.flux != 0, axis=1)
    near[but] = False
    return np.flatnonzero(near)


def _begin_kind(state, row):
    kind = state.kind[row]
    if kind == SourceType.AUTO:
        return int(SourceType.STAR if state.point[row] else SourceType.SERSIC)
    return int(kind)


def _template(state, row):
    """A row as SERSIC, whatever it will be."""
    return scene_source(
        state.sources, row, SourceType.SERSIC, state.start[row], bool(state.measured[row]),
        state.options,
    )  # fmt: skip


def _source(state, row, kind):
    source = of_type(_template(state, row), kind)
    if row in state.results:
        return replace(source, least_half=float(state.reach[row, 0]) - 1.0)
    return source


def _share(bands, box, territory):
    """Share of the pixels of a block's box that no other block counts as its own."""
    own = box.common(territory)
    total = sum(band_box(band, box).size for band in bands)
    return sum(band_box(band, own).size for band in bands) / total if total else 0.0
