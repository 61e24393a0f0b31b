"""Whether another galaxy lies where the target's light is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneState

__all__ = ["REACH", "near_companions"]

# In r_eff of the target's largest component, along the line to the companion. It holds 90 %
# of an exponential's light.
REACH = 3.0


def near_companions(state: SceneState) -> str:
    """Which companions share the target's light, in words for a band's ``reason``.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`

    Returns
    -------
    str
        "" if there is none within 3 r_eff of the target's centre.
    """
    if not len(state.shapes):
        return ""
    r_eff = np.exp(state.shapes[state.target, 2].max())
    offsets = state.shapes[~state.target, :2] - state.shapes[0, :2]
    distance = np.hypot(*offsets.T) / r_eff
    own = state.galaxy_id[~state.target]
    near = np.unique(own[distance < REACH])
    if not len(near):
        return ""
    noun = "companion" if len(near) == 1 else "companions"
    return f"{len(near)} {noun} within {REACH:g} r_eff, the nearest at {distance.min():.1f}"
