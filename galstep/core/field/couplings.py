"""Which sources have to be fitted together, and the blocks that the work is done in.

The coupling of two sources is the normalised product of their unit images,

    c = <P_i, P_j> / (|P_i| |P_j|),

in the band where it is largest: 1 for two stars on one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.scene.box import Box

if TYPE_CHECKING:
    from galstep.core.scene.stamps import SourceStamps

__all__ = ["Links", "bisected_blocks", "coupled_groups", "stamp_links"]

LEAST = 1e-3  # couplings below it are not kept
# Sources coupled by more are fitted in one group, of so many at most: in clean fields such links
# are few, 33 among 100 sources and 515 among 1600.
LINK, LARGEST_GROUP = 0.01, 25
# A block's pixels are in memory, several times
LARGEST_SIDE = 1024


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of sources (i < j) and their couplings, strongest first."""

    i: np.ndarray
    j: np.ndarray
    coupling: np.ndarray

    @classmethod
    def sorted(cls, i: np.ndarray, j: np.ndarray, coupling: np.ndarray) -> Links:
        """From pairs in any order; of a pair that comes twice, the stronger."""
        i, j = np.minimum(i, j).astype(int), np.maximum(i, j).astype(int)
        order = np.lexsort((j, i, -np.asarray(coupling)))
        i, j, coupling = i[order], j[order], np.asarray(coupling, dtype=float)[order]
        _, first = np.unique(np.column_stack([i, j]), axis=0, return_index=True)
        keep = np.sort(first)
        return cls(i[keep], j[keep], coupling[keep])

    @classmethod
    def joined(cls, parts: list[Links]) -> Links:
        """Several lists in one."""
        columns = [np.concatenate([getattr(p, n) for p in parts]) for n in ("i", "j", "coupling")]
        return cls.sorted(*columns)

    def neighbours(self, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per source its neighbours and the couplings with them."""
        one, two = np.concatenate([self.i, self.j]), np.concatenate([self.j, self.i])
        coupling = np.concatenate([self.coupling, self.coupling])
        order = np.argsort(one, kind="stable")
        bounds = np.searchsorted(one[order], np.arange(size + 1))
        return [(two[order[a:b]], coupling[order[a:b]]) for a, b in pairwise(bounds)]


def stamp_links(index: np.ndarray, stamps: list[SourceStamps]) -> Links:
    """Couplings of sources from their fit stamps.

    Parameters
    ----------
    index : (n,) int array
        What the sources are called.
    stamps : list of SourceStamps
    """
    i, j, coupling = [], [], []
    boxes = np.array([[s.box for s in own.fit] for own in stamps]).reshape(len(stamps), -1, 4)
    y0, y1, x0, x1 = np.moveaxis(boxes, 2, 0)
    norms = np.array([[np.linalg.norm(s.values[0]) for s in own.fit] for own in stamps])
    for a in range(len(stamps) - 1):
        rest = slice(a + 1, None)
        near = (y0[a] < y1[rest]) & (y1[a] > y0[rest]) & (x0[a] < x1[rest]) & (x1[a] > x0[rest])
        for b in np.flatnonzero(near.any(axis=1)) + a + 1:
            c = max(
                _product(stamps[a].fit[k], stamps[b].fit[k]) / (norms[a, k] * norms[b, k])
                for k in np.flatnonzero(near[b - a - 1])
            )
            if c > LEAST:
                i.append(index[a])
                j.append(index[b])
                coupling.append(c)
    return Links.sorted(np.array(i, int), np.array(j, int), np.array(coupling))


def _product(one, two):
    a, b = one.box, two.box
    box = max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])
    return float(np.einsum("ij,ij", one.cut(box)[0], two.cut(box)[0]))


def coupled_groups(size: int, links: Links) -> list[np.ndarray]:
    """Groups of coupled sources: the strongest couplings first, none larger than 25."""
    root, count = list(range(size)), [1] * size

    def find(a):
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        return a

    for i, j, coupling in zip(links.i.tolist(), links.j.tolist(), links.coupling, strict=True):
        if coupling < LINK:
            break
        a, b = find(i), find(j)
        if a != b and count[a] + count[b] <= LARGEST_GROUP:
            root[b] = a
            count[a] += count[b]
    groups = {}
    for k in range(size):
        groups.setdefault(find(k), []).append(k)
    return [np.array(groups[k]) for k in sorted(groups)]


def bisected_blocks(
    x: np.ndarray, y: np.ndarray, groups: list[np.ndarray], largest: int, area: Box
) -> list[tuple[np.ndarray, Box]]:
    """Whole groups gathered into compact blocks, and the part of the plane that is each one's.

    The area is cut across its longer side until no block has more sources, or is larger, than
    it may.

    Parameters
    ----------
    x, y : (N,) arrays
        Places of all sources.
    groups : list of int arrays
    largest : int
        Number of sources of a block; a single group may have more.
    area : Box

    Returns
    -------
    list of (rows, Box)
        Rows ascending; the boxes cover the area without overlap. Blocks without a source are
        left out.
    """
    centre = np.array([[x[g].mean(), y[g].mean()] for g in groups]).reshape(-1, 2)
    count = np.array([len(g) for g in groups], dtype=int)
    blocks = []

    def cut(own, box):
        ny, nx = box.shape
        small = max(ny, nx) <= LARGEST_SIDE
        if not len(own):
            return
        if small and (count[own].sum() <= largest or len(own) == 1):
            blocks.append((np.sort(np.concatenate([groups[k] for k in own])), box))
            return
        axis = int(ny > nx)
        own = own[np.lexsort((own, centre[own, axis]))]
        low, high = ((box.x0, box.x1), (box.y0, box.y1))[axis]
        if count[own].sum() <= largest or len(own) == 1:  # too large a box, not too many sources
            at = (low + high) // 2
            n_first = int(np.searchsorted(centre[own, axis], at))
        else:
            middle = np.searchsorted(np.cumsum(count[own]), count[own].sum() / 2)
            n_first = int(np.clip(middle, 1, len(own) - 1))
            at = int(np.ceil(centre[own[n_first - 1 : n_first + 1], axis].mean()))
            at = min(max(at, low + 1), high - 1)
        if axis:
            first, second = Box(box.x0, low, box.x1, at), Box(box.x0, at, box.x1, high)
        else:
            first, second = Box(low, box.y0, at, box.y1), Box(at, box.y0, high, box.y1)
        cut(own[:n_first], first)
        cut(own[n_first:], second)

    cut(np.arange(len(groups)), area)
    return blocks
