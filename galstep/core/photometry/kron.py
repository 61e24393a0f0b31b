"""The Kron radius of a galaxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.photometry.apertures import aperture_sum
from galstep.exceptions import GalstepError

if TYPE_CHECKING:
    from galstep.core.photometry.isophotes import Isophotes

__all__ = ["kron_radius"]

KRON_FACTOR = 2.5
N_RINGS = 30
INNERMOST = 0.25  # pixels


def kron_radius(
    image: np.ndarray,
    isophotes: Isophotes,
    mask: np.ndarray | None = None,
    factor: float = KRON_FACTOR,
) -> float:
    """``factor`` times the mean radius of a galaxy's light.

    R_1 = sum R dF / sum dF over elliptical rings, R their semi-major axis
    (Kron 1980, ApJS 43, 305, eq. 1; factor 2.5 as SExtractor's MAG_AUTO, Bertin
    & Arnouts 1996, A&AS 117, 393, section 7.4). The sums end at the last
    isophote: for n = 4 the mean radius grows slowly with that limit (Graham &
    Driver 2005, PASA 22, 118, eq. 32).

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without stars and sky.
    isophotes : galstep.core.photometry.isophotes.Isophotes
        Shape of the ellipse at each radius.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad.
    factor : float, optional

    Returns
    -------
    float
        Semi-major axis (pixels).

    Raises
    ------
    GalstepError
        If there is no light inside the last isophote.
    """
    edges = np.geomspace(min(INNERMOST, isophotes.a[0]), isophotes.a[-1], N_RINGS)
    light = np.array([aperture_sum(image, isophotes.at(a), mask)[0] for a in edges])
    rings = np.diff(light, prepend=0.0)
    radii = np.concatenate([[edges[0] * 2 / 3], 0.5 * (edges[1:] + edges[:-1])])
    if not light[-1] > 0 or not (mean := (radii * rings).sum() / light[-1]) > 0:
        raise GalstepError("there is no light inside the last isophote, so no Kron radius")
    return float(factor * mean)
