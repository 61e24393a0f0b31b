"""Which fitted stars stay: significance, pairs that are one star, blends in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.neighbours import pairs_within

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneState

__all__ = ["merged_pairs", "weakest_of_pairs"]


def merged_pairs(
    state: SceneState, significance: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Stars so close that they are one: the weaker gives its flux to the stronger.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
    significance : (n_stars,) array
    reach : float
        Pixels of the scene; 0: none.

    Returns
    -------
    flux : (nb, n_stars) array
    keep : (n_stars,) bool array
    """
    flux, keep = state.star_flux.copy(), np.ones(state.n_stars, dtype=bool)
    if state.n_stars > 1 and reach > 0:
        for a, b in pairs_within(state.x, state.y, reach):
            if keep[a] and keep[b]:
                weak, strong = (a, b) if significance[a] < significance[b] else (b, a)
                keep[weak] = False
                flux[:, strong] += flux[:, weak]
    return flux, keep


def weakest_of_pairs(
    state: SceneState, poor: np.ndarray, gone: np.ndarray, significance: np.ndarray, reach: float
) -> np.ndarray:
    """Of the poor stars, those that may be dropped now.

    Where stars overlap each is insignificant beside the others; dropping
    all of them would lose their light. So one of a pair goes at a time, and
    none beside a star that is going already.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
    poor, gone : (n_stars,) bool arrays
        Stars without significance, and stars that are dropped in any case.
    significance : (n_stars,) array
    reach : float
        How far stars overlap, pixels of the scene.

    Returns
    -------
    (n_stars,) bool array
    """
    if not poor.any():
        return poor
    poor = poor.copy()
    for a, b in pairs_within(state.x, state.y, reach):
        if gone[a] or gone[b]:
            poor[[a, b]] &= gone[[a, b]]
        elif poor[a] and poor[b]:
            poor[a if significance[a] > significance[b] else b] = False
    return poor
