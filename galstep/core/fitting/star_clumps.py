"""Where the stars of a fitted scene clump as the frame's stars do not.

A second galaxy that no profile stands for is taken for a cloud of stars. The stars of a
frame lie as chance has it, at the density of the rest of the frame, for which the same
completeness holds: how improbable their number about one of them is follows from Poisson's
law and needs no threshold of brightness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import pdtrc

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneState

__all__ = ["Clump", "star_clumps", "target_radius"]


@dataclass(frozen=True, eq=False)
class Clump:
    """Stars about one of them.

    Parameters
    ----------
    x, y : float
        The star in the middle (scene positions).
    members : (n,) int array
        Indices of the stars.
    chance : float
        -log10 of the probability of so many stars so close together.
    """

    x: float
    y: float
    members: np.ndarray
    chance: float


def target_radius(state: SceneState, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance from the target's centre in units of its r_eff.

    Not along the isophotes: what lies above a disc seen edge-on, within its radius, is its
    bulge, its halo or its dust.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
        Of the target's profiles the largest counts; without any all is infinitely far.
    x, y : arrays
        Scene positions.

    Returns
    -------
    array
    """
    if not len(state.shapes):
        return np.full(np.shape(x), np.inf)
    own = state.shapes[state.target]
    x_0, y_0 = own[0, :2]
    return np.hypot(np.asarray(x) - x_0, np.asarray(y) - y_0) / np.exp(own[:, 2].max())


def star_clumps(
    state: SceneState, allowed: np.ndarray, n_pixels: float, radius: float, least: float = 1.0
) -> list[Clump]:
    """Groups of two stars and more that chance hardly makes.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
    allowed : (ns,) bool array
        The stars that may be in the middle of a clump.
    n_pixels : float
        Pixels of the scene on which stars were looked for.
    radius : float
        Of a clump (pixels).
    least : float, optional
        Least ``chance``.

    Returns
    -------
    list of Clump
        The least probable first; each set of stars once. The density is that of the stars
        that are not in the clump; of the radii at which the clump gains a star the one
        counts at which it is least probable.
    """
    distance = np.hypot(state.x[:, None] - state.x, state.y[:, None] - state.y)
    found = {}
    for middle in np.flatnonzero(allowed):
        members = np.flatnonzero(distance[middle] < radius)
        if len(members) < 2:
            continue
        outside = max(state.n_stars - len(members), 1)
        density = outside / max(n_pixels - np.pi * radius**2, 1.0)
        reach = np.sort(distance[middle, members])[1:]
        expected = density * np.pi * reach**2
        # Poisson's probability of more; scipy.stats would take long to import
        with np.errstate(divide="ignore"):
            chance = -np.log(pdtrc(np.arange(len(reach)), expected)) / np.log(10)
        clump = Clump(state.x[middle], state.y[middle], members, float(chance.max()))
        known = found.get(members.tobytes())
        if clump.chance >= max(least, known.chance if known else 0.0):
            found[members.tobytes()] = clump
    return sorted(found.values(), key=lambda clump: -clump.chance)
