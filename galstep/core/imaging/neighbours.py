"""Lists of places: what is near what, what is kept apart, what hangs together."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["apart", "distances", "groups_of", "pairs_within"]


def _tree(x, y):
    return cKDTree(np.column_stack([x, y]))


def distances(
    x: np.ndarray, y: np.ndarray, known_x: np.ndarray, known_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far the nearest of the known places is, and which it is.

    Parameters
    ----------
    x, y : (n,) arrays
    known_x, known_y : (k,) arrays
        Same unit.

    Returns
    -------
    distance : (n,) array
        Infinite if no place is known.
    nearest : (n,) int array
        0 then.
    """
    if not len(known_x) or not len(x):
        return np.full(len(x), np.inf), np.zeros(len(x), dtype=int)
    return _tree(known_x, known_y).query(np.column_stack([x, y]))


def pairs_within(x: np.ndarray, y: np.ndarray, distance: float) -> np.ndarray:
    """Pairs of places within a distance: (npairs, 2) int array, the smaller index first."""
    if len(x) < 2:
        return np.zeros((0, 2), dtype=int)
    return _tree(x, y).query_pairs(distance, output_type="ndarray")


def apart(
    x: np.ndarray,
    y: np.ndarray,
    rank: np.ndarray,
    separation: float,
    known_x: np.ndarray,
    known_y: np.ndarray,
) -> np.ndarray:
    """Places away from known ones and from those before them.

    A star midway between two pixels can give both of them the same maximum.

    Parameters
    ----------
    x, y : (n,) arrays
    rank : (n,) int array
        The order in which places are taken: indices, best first.
    separation : float
        Smallest distance.
    known_x, known_y : arrays

    Returns
    -------
    int array
        Indices of the places that are kept, in this order.
    """
    away = distances(x, y, known_x, known_y)[0] > separation
    rank = rank[away[rank]]
    keep = np.ones(len(rank), dtype=bool)
    pairs = pairs_within(x[rank], y[rank], separation)
    for first, second in pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]:
        keep[second] &= not keep[first]
    return rank[keep]


def groups_of(x: np.ndarray, y: np.ndarray, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Groups of stars that are linked by distances of at most ``separation``.

    Returns
    -------
    group_id : (N,) int array
        From 1, in order of the first star of each group.
    group_size : (N,) int array
    """
    n_stars = len(x)
    if n_stars == 0:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    one, two = pairs_within(x, y, separation).T
    graph = coo_matrix((np.ones(len(one)), (one, two)), (n_stars, n_stars))
    _, label = connected_components(graph, directed=False)
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[label] + 1, np.bincount(label)[label]
