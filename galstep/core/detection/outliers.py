"""Pixels that no model explains, in the last fits: discounted, or left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.robust import with_robust_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions
    from galstep.core.engine.scene import SceneBand

__all__ = ["discounted_band", "within_isophote"]

# What a pixel that is left out still counts: nothing, but its noise is not forgotten.
LEFT_OUT = 1e-12


def within_isophote(shape: tuple[int, int], vector: np.ndarray, in_r_eff: float) -> np.ndarray:
    """Pixels inside the ellipse of a galaxy at so many r_eff.

    Parameters
    ----------
    shape : (ny, nx)
    vector : (6,) array
        Shape vector in the same pixels (`galstep.records.SersicParams.to_vector`).
    in_r_eff : float

    Returns
    -------
    (ny, nx) bool array
    """
    yy, xx = np.indices(shape)
    dx, dy = xx - vector[0], yy - vector[1]
    e, angle = np.hypot(vector[3], vector[4]), 0.5 * np.arctan2(vector[4], vector[3])
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    axis_ratio = (1 - e) / (1 + e)
    return np.hypot(along, across / axis_ratio) < in_r_eff * np.exp(vector[2])


def discounted_band(
    band: SceneBand, residual: np.ndarray, vectors: Sequence[np.ndarray], options: LadderOptions
) -> SceneBand:
    """A band with robust weights, and none where the residual is clipped.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        With plain weights.
    residual : (ny, nx) array
    vectors : sequence of (6,) arrays
        The galaxies' shape vectors in the pixels of the band.
    options : `galstep.core.detection.ladder_options.LadderOptions`
        ``robust``, ``robust_scale``, ``clip`` and ``clip_beyond`` of it.

    Returns
    -------
    SceneBand
    """
    scaled = np.abs(residual) * np.sqrt(band.weight) * band.noise_scale
    band = with_robust_weights(band, residual, options.robust, options.robust_scale)
    if options.clip <= 0:
        return band
    out = scaled > options.clip
    for vector in vectors:
        out &= ~within_isophote(band.shape, vector, options.clip_beyond)
    factor = np.where(out, LEFT_OUT, 1.0)
    return replace(band, weight=band.weight * factor, robust=band.robust * factor)
