"""Weighted products of the sources' unit stamps, kept as long as neither stamp has changed.

From the third iteration of a fit most sources stand still: then only products with those that
move are made again. Fluxes are no part of the products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.stars import gram_cut_stamps

if TYPE_CHECKING:
    from galstep.core.scene.scene import Scene
    from galstep.core.scene.stamps import SourceStamps, Stamp

__all__ = ["Grams"]

# Sources whose unit images have a smaller normalised product are no neighbours; of stars it is the
# product with the weights. With 1e-3 the first iterations of a crowded block (85 sources in
# 200 x 200 pixels) need one step more, with none at all they gain nothing.
LEAST_COUPLING = 1e-4


class Grams:
    """Products of one scene under fixed weights.

    Parameters
    ----------
    scene : Scene
    weights : list of (ny, nx) arrays
    """

    def __init__(self, scene: Scene, weights: list[np.ndarray]) -> None:
        self.scene, self.weights = scene, weights
        self._own, self._pairs = {}, {}
        self.sky = [
            _sky_products(f.sky.basis, w) for f, w in zip(scene.frames, weights, strict=True)
        ]

    def own(self, index: int, stamps: SourceStamps) -> tuple[list, list]:
        """A source's products with itself and with the sky terms.

        Returns
        -------
        own : list of (k, k) arrays
            Per band; rows of the fit stamp.
        sky : list of (k, n_terms) arrays
        """
        kept = self._own.get(index)
        if kept is None or kept[0] is not stamps:
            kept = self._own[index] = (stamps, *self._make_own(stamps))
        return kept[1:]

    def _make_own(self, stamps):
        own, sky = [], []
        for stamp, weight, frame in zip(stamps.fit, self.weights, self.scene.frames, strict=True):
            flat = _flat(stamp.values)
            weighted = flat * weight[stamp.part].ravel()
            own.append(weighted @ flat.T)
            basis = frame.sky.basis[(slice(None), *stamp.part)]
            sky.append(weighted @ _flat(basis).T)
        return own, sky

    def pair(self, i: int, j: int, one: SourceStamps, two: SourceStamps) -> list | None:
        """Products of two sources.

        Returns
        -------
        list of (k_i, k_j) arrays or None
            Per band, None where they do not overlap; None altogether for sources that are no
            neighbours.
        """
        if self._stale(i, j, {i: one, j: two}):
            self._pairs[i, j] = (one, two, self._make_pair(one, two))
        return self._pairs[i, j][2]

    def _make_pair(self, one, two):
        overlaps = [_overlap(a, b) for a, b in zip(one.fit, two.fit, strict=True)]
        parts = zip(one.fit, two.fit, overlaps, strict=True)
        if not any(box and _coupling(a, b, box) > LEAST_COUPLING for a, b, box in parts):
            return None
        products = []
        for a, b, box, weight in zip(one.fit, two.fit, overlaps, self.weights, strict=True):
            if box is None:
                products.append(None)
                continue
            y0, y1, x0, x1 = box
            first = _flat(a.cut(box) * weight[y0:y1, x0:x1])
            products.append(first @ _flat(b.cut(box)).T)
        return products

    def _make_star_pairs(self, pairs, stamps):
        """Products of the pairs of stars whose stamps have changed, all at once."""
        star = np.array([s.point and s.n_rows == 3 for s in self.scene.sources], dtype=bool)
        changed = [pair for pair in pairs[star[pairs].all(axis=1)] if self._stale(*pair, stamps)]
        if not changed:
            return
        used, places = np.unique(changed, return_inverse=True)
        i, j = places.reshape(-1, 2).T
        products, coupled = [], np.zeros(len(changed), dtype=bool)
        for b, weight in enumerate(self.weights):
            own = [stamps[k].fit[b] for k in used]
            corners = np.array([(stamp.y0, stamp.x0) for stamp in own])
            values = gram_cut_stamps(weight, [stamp.values for stamp in own], corners, i, j)
            squares = np.array([self.own(k, stamps[k])[0][b][0, 0] for k in used])
            coupled |= values[:, 0, 0] > LEAST_COUPLING * np.sqrt(squares[i] * squares[j])
            products.append(values)
        for pair, near, *own in zip(changed, coupled, *products, strict=True):
            one, two = (stamps[k] for k in pair)
            self._pairs[tuple(pair)] = one, two, own if near else None

    def _stale(self, i, j, stamps):
        kept = self._pairs.get((i, j))
        return kept is None or kept[0] is not stamps[i] or kept[1] is not stamps[j]

    def neighbours(self, stamps: list[SourceStamps]) -> list[tuple[int, int, list]]:
        """(i, j, products) of all pairs i < j that are neighbours."""
        near = np.zeros((len(stamps),) * 2, dtype=bool)
        for b in range(self.scene.n_bands):
            y0, y1, x0, x1 = np.array([s.fit[b].box for s in stamps]).reshape(-1, 4).T
            near |= (
                (y0[:, None] < y1) & (y1[:, None] > y0) & (x0[:, None] < x1) & (x1[:, None] > x0)
            )
        found = []
        pairs = np.argwhere(np.triu(near, 1))
        self._make_star_pairs(pairs, stamps)
        for i, j in pairs:
            products = self.pair(i, j, stamps[i], stamps[j])
            if products is not None:
                found.append((i, j, products))
        return found


def _overlap(one: Stamp, two: Stamp):
    """y0, y1, x0, x1 of the pixels that two boxes share; None without any."""
    a, b = one.box, two.box
    y0, y1, x0, x1 = max(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), min(a[3], b[3])
    return (y0, y1, x0, x1) if y1 > y0 and x1 > x0 else None


def _coupling(one, two, box):
    a, b = one.cut(box)[0], two.cut(box)[0]
    norm = np.sqrt(np.vdot(one.values[0], one.values[0]) * np.vdot(two.values[0], two.values[0]))
    return float(np.einsum("ij,ij", a, b)) / max(norm, 1e-300)


def _flat(images):
    # the shape in full: nothing can be inferred of no images or no pixels
    return images.reshape(len(images), images.shape[1] * images.shape[2])


def _sky_products(basis, weight):
    flat = _flat(basis)
    return (flat * weight.ravel()) @ flat.T
