"""Which stars of a scene are held to the colours of the frame's stars."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.population.colour_prior import colour_precision
from galstep.core.population.colours import star_colours

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneState

__all__ = ["with_colour_prior"]

# The colours of stars nearer to the target than this are held to those of stars farther
# than that (r_eff, FWHM); a crowded star's error over that of a lone one.
CORE_IN_R_EFF, CORE_IN_FWHM, LIBRARY_IN_R_EFF = 2.0, 2.0, 2.5
CROWDED_ERROR = 1.3


def with_colour_prior(state: SceneState, lone_errors: np.ndarray, fwhm: float) -> SceneState:
    """The state with priors on the colours of what is probably a star in the target's core.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
        Its ``star_probability`` says which are.
    lone_errors : (nb,) array
        Per band the flux error of a star by itself.
    fwhm : float
        Of the sharpest band, pixels of the scene.

    Returns
    -------
    SceneState
        Without a prior where the frame has too few stars (`star_colours`).
    """
    error = np.broadcast_to(lone_errors[:, None], state.star_flux.shape)
    centre, r_eff = state.shapes[0, :2], np.exp(state.shapes[state.target, 2].max())
    distance = np.hypot(state.x - centre[0], state.y - centre[1])
    library = star_colours(state.star_flux, error, distance > LIBRARY_IN_R_EFF * r_eff)
    if library is None:
        return replace(state, flux_precision=None)
    reach = max(CORE_IN_R_EFF * r_eff, CORE_IN_FWHM * fwhm)
    core = np.flatnonzero((distance < reach) & (state.star_probability > 0.5))
    n_bands = len(lone_errors)
    precision = np.zeros((state.n_stars, n_bands, n_bands))
    # among others and a galaxy a flux is known worse than alone
    crowded = CROWDED_ERROR * error[:, core]
    precision[core] = colour_precision(state.star_flux[:, core], crowded, library)
    return replace(state, flux_precision=precision)
