"""The Petrosian radius of a galaxy."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import zoom
from scipy.optimize import brentq

from galstep.core.photometry.apertures import aperture_sum, bounding_box, scaled
from galstep.exceptions import GalstepError, ParameterError

if TYPE_CHECKING:
    from galstep.core.photometry.isophotes import Isophotes
    from galstep.records import Aperture

__all__ = ["petrosian_radius", "petrosian_ratio"]

# of the radius: half the width of the ring in which the brightness at R is measured.
# Of R^-p the mean over it is larger than the value at R by (p - 1) (p - 2) / 6 of its
# square: 0.05 % for p = 3
RING = 0.05
# Radii at which the ratio is looked at first, in equal ratios; the crossing is then solved for.
N_SCAN = 24
INNERMOST = 0.5  # pixels: where the search begins, inside the first isophote
# pixels: a smaller semi-axis is laid over an image interpolated to finer ones. The
# share of a pixel in an ellipse takes the light as even over it, which is wrong by
# (R I'/I) / (12 R^2) of the mean inside: 0.2 % at 8 pixels
FINE = 8.0
_MARGIN = 8  # pixels around the ellipse, where the spline's end has died away


def petrosian_ratio(image: np.ndarray, aperture: Aperture, mask: np.ndarray | None = None) -> float:
    """Brightness at a radius over the mean brightness inside it.

    eta(R) = I(R) / <I>(< R) on ellipses of one shape (Petrosian 1976, ApJ 209,
    L1; Graham & Driver 2005, PASA 22, 118, eq. 7, whose eta is the inverse of this
    one). 1 in a flat centre, falling outwards. I(R) is the mean of a ring of +-5 %
    of R. The ratio of SDSS takes that between 0.8 and 1.25 R for it (Blanton et al.
    2001, AJ 121, 2358), which makes the radius of eta = 0.2 smaller by 2 % for n = 1
    and by 6 % for n = 4.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without stars and sky.
    aperture : galstep.records.Aperture
        The ellipse; R is its semi-major axis.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad; those pixels, and what lies off the frame, are left out of
        the means.

    Returns
    -------
    float
        NaN where there are no good pixels or no light inside R.
    """
    image, aperture, mask = _finer(image, aperture, mask)
    (inside, area), *ring = (
        aperture_sum(image, scaled(aperture, factor), mask)
        for factor in (1.0, 1.0 - RING, 1.0 + RING)
    )
    ring_sum, ring_area = np.subtract(ring[1], ring[0])
    if not (area > 0 and ring_area > 0 and inside > 0):
        return np.nan
    return float((ring_sum / ring_area) / (inside / area))


def _finer(image, aperture, mask):
    """The same on pixels that are small beside the ellipse."""
    factor = int(np.ceil(FINE / min(aperture.a, aperture.b)))
    if factor < 2:
        return image, aperture, mask
    box = bounding_box(aperture)
    y, x = (
        slice(max(low - _MARGIN, 0), max(high + _MARGIN, 0))
        for low, high in ((box.iymin, box.iymax), (box.ixmin, box.ixmax))
    )
    stamp = image[y, x]
    gaps = not stamp.size or not np.isfinite(stamp).all() or (mask is not None and mask[y, x].any())
    if gaps or min(stamp.shape) < 2:
        return image, aperture, mask
    # pixels stay where they are: each is cut into factor^2
    fine = zoom(stamp, factor, order=3, mode="nearest", grid_mode=True)
    moved = replace(
        scaled(aperture, factor),
        x=factor * (aperture.x - x.start + 0.5) - 0.5,
        y=factor * (aperture.y - y.start + 0.5) - 0.5,
    )
    return fine, moved, None


def petrosian_radius(
    image: np.ndarray, isophotes: Isophotes, eta: float, mask: np.ndarray | None = None
) -> float:
    """Where the Petrosian ratio first falls to ``eta``.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without stars and sky.
    isophotes : galstep.core.photometry.isophotes.Isophotes
        Shape of the ellipse at each radius; the last one ends the search.
    eta : float
        The ratio, in (0, 1). Without a PSF the radius of 0.2 holds 88 % of the
        light of a profile with n = 1 and 67 % with n = 4; that of 0.5 holds 54 %
        and 12 %.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad.

    Returns
    -------
    float
        Semi-major axis (pixels).

    Raises
    ------
    ParameterError
        If ``eta`` is out of range.
    GalstepError
        If the ratio does not cross ``eta`` between `INNERMOST` and the last
        isophote.
    """
    if not 0 < eta < 1:
        raise ParameterError(f"eta must be in (0, 1), got {eta}")

    def excess(a):
        return petrosian_ratio(image, isophotes.at(a), mask) - eta

    radii = np.geomspace(min(isophotes.a[0], INNERMOST), isophotes.a[-1], N_SCAN)
    previous = excess(radii[0])
    if not previous > 0:
        raise GalstepError(f"the Petrosian ratio is below {eta:g} already at a = {radii[0]:.2f} px")
    for inner, outer in pairwise(radii):
        current = excess(outer)
        if current <= 0:
            return float(brentq(excess, inner, outer, xtol=1e-4))
        previous = current
    raise GalstepError(
        f"the Petrosian ratio is still {previous + eta:.2f} at a = {radii[-1]:.1f} px, "
        f"above {eta:g}"
    )
