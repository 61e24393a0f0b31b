"""The light of a profile inside an ellipse that is not its own isophote.

Total fluxes reach into wings that no sky lets one see. The flux inside one
ellipse, the same in every band, does not, and colours made of it are safe.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from galstep.core.imaging.sersic import enclosed_fraction, shape_matrix

__all__ = ["fraction_and_gradient", "fraction_inside", "half_light_ellipse"]

_N_ANGLES = 256
_STEP = 1e-4


def _root(matrix):
    """The symmetric square root of a positive 2 x 2 matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values) @ vectors.T


def fraction_inside(shape: np.ndarray, ellipse: np.ndarray) -> float:
    """Share of a profile's total light inside a concentric ellipse.

    Parameters
    ----------
    shape : (6,) array
        The profile, (x_0, y_0, ln r_eff, e1, e2, ln n); before any PSF.
    ellipse : (2, 2) array
        Its points are p with p^T E^-1 p = 1 (as `shape_matrix`).

    Returns
    -------
    float
        From 0 to 1.

    Notes
    -----
    In the frame where the profile is round, the boundary is s = A u(phi) with
    A = S^-1/2 E^1/2 and u a unit vector, and the light inside is the mean over
    the polar angle alpha of the curve of growth at |s|:

        (1 / 2 pi) int f(|s|; n) (d alpha / d phi) d phi,
        d alpha / d phi = det(A) / |s|^2.
    """
    stretch = np.linalg.solve(_root(shape_matrix(*shape[2:5])), _root(ellipse))
    angle = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    squared = np.square(stretch @ np.array([np.cos(angle), np.sin(angle)])).sum(axis=0)
    turn = np.linalg.det(stretch) / squared
    return float(np.mean(enclosed_fraction(np.sqrt(squared), np.exp(shape[5])) * turn))


def fraction_and_gradient(shape: np.ndarray, ellipse: np.ndarray) -> tuple[float, np.ndarray]:
    """`fraction_inside` and its derivatives with respect to the shape, (6,)."""
    shape, gradient = np.asarray(shape, dtype=float), np.zeros(6)
    for k in range(2, 6):
        step = np.zeros(6)
        step[k] = _STEP
        ends = [fraction_inside(shape + sign * step, ellipse) for sign in (1, -1)]
        gradient[k] = (ends[0] - ends[1]) / (2 * _STEP)
    return fraction_inside(shape, ellipse), gradient


def half_light_ellipse(shapes: np.ndarray, fluxes: np.ndarray) -> np.ndarray | None:
    """The ellipse that holds half the light of concentric components.

    It has the axis ratio and the angle of the component with most of the light.

    Parameters
    ----------
    shapes : (ng, 6) array
    fluxes : (ng,) array
        Not all of them need be positive; their sum must be.

    Returns
    -------
    (2, 2) array or None
        None where there is no positive total.
    """
    fluxes = np.asarray(fluxes, dtype=float)
    if not fluxes.sum() > 0:
        return None
    main = shapes[int(np.argmax(fluxes))]
    if len(fluxes) == 1:
        return shape_matrix(*main[2:5])

    def excess(ln_a):
        ellipse = shape_matrix(ln_a, *main[3:5])
        return fluxes @ [fraction_inside(shape, ellipse) for shape in shapes] - fluxes.sum() / 2

    low, high = shapes[:, 2].min() - 3, shapes[:, 2].max() + 3
    if excess(low) * excess(high) > 0:  # a negative component hollows the profile out
        return shape_matrix(*main[2:5])
    return shape_matrix(brentq(excess, low, high), *main[3:5])
