"""Elliptical apertures: exact sums, and pixels without data filled.

The overlap of ellipse and pixels is exact throughout (``photutils.aperture``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import median as labelled_median

from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from photutils.aperture import ApertureMask, BoundingBox

    from galstep.records import Aperture

__all__ = [
    "FilledStamp",
    "aperture_sum",
    "bounding_box",
    "fill_stamp",
    "overlap",
    "scaled",
]

# A median of fewer pixels is one of them.
MIN_RING_PIXELS = 3


# every sum over an aperture asks for it anew, and it takes longer than the sum
@lru_cache(maxsize=64)
def overlap(aperture: Aperture) -> ApertureMask:
    """The exact overlap of an aperture with the pixels around it.

    Parameters
    ----------
    aperture : galstep.records.Aperture

    Returns
    -------
    photutils.aperture.ApertureMask
        ``data``: share of each pixel inside the ellipse, not to be changed;
        ``bbox`` says where.

    Raises
    ------
    InputError
        If a semi-axis is not positive or a number is not finite.
    """
    mask = _ellipse(aperture).to_mask(method="exact")
    mask.data.flags.writeable = False
    return mask


def bounding_box(aperture: Aperture) -> BoundingBox:
    """The pixels that an aperture can touch, as `overlap` has them in ``bbox``."""
    return _ellipse(aperture).bbox


def _ellipse(aperture):
    from photutils.aperture import EllipticalAperture

    numbers = (aperture.x, aperture.y, aperture.a, aperture.b, aperture.theta)
    if not np.isfinite(numbers).all() or min(aperture.a, aperture.b) <= 0:
        raise InputError(f"aperture needs finite numbers and positive semi-axes, got {aperture}")
    return EllipticalAperture(
        (aperture.x, aperture.y), aperture.a, aperture.b, theta=aperture.theta
    )


def scaled(aperture: Aperture, factor: float) -> Aperture:
    """The aperture about the same centre with semi-axes ``factor`` times as long."""
    return replace(aperture, a=factor * aperture.a, b=factor * aperture.b)


def aperture_sum(
    image: np.ndarray, aperture: Aperture, mask: np.ndarray | None = None, power: int = 1
) -> tuple[float, float]:
    """Sum over the good part of an aperture.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        NaN allowed where masked.
    aperture : galstep.records.Aperture
        May reach over the edge of the frame, or lie off it.
    mask : ndarray of bool, shape (ny, nx), optional
        True = bad.
    power : int, optional
        Of the overlap in the sum: 2 to add up variances.

    Returns
    -------
    total, area : float
        Sum (image unit x pixel) and area (pixels) of what is on the frame and
        not masked; both 0 where nothing is.
    """
    weights = overlap(aperture)
    inside, cut = weights.get_overlap_slices(image.shape)
    if inside is None:
        return 0.0, 0.0
    share, values = weights.data[cut], image[inside]
    if mask is not None:
        share = np.where(mask[inside], 0.0, share)
        values = np.where(mask[inside], 0.0, values)
    return float((share**power * values).sum()), float(share.sum())


@dataclass(frozen=True, eq=False)
class FilledStamp:
    """The pixels of an aperture's bounding box, gaps filled.

    Parameters
    ----------
    image : (ny, nx) array
        Finite everywhere.
    share : (ny, nx) array
        Overlap of each pixel with the aperture.
    masked : float
        Share of the aperture's area that was masked on the frame.
    off_frame : float
        Share of it that lies off the frame.
    """

    image: np.ndarray
    share: np.ndarray
    masked: float
    off_frame: float

    @property
    def total(self) -> float:
        """Sum over the aperture (image unit x pixel)."""
        return float((self.share * self.image).sum())


def fill_stamp(
    image: np.ndarray,
    mask: np.ndarray,
    aperture: Aperture,
    model: np.ndarray,
    replace_with: str = "median",
) -> FilledStamp:
    """The pixels in and around an aperture, with the bad ones replaced.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image without sky and stars.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. What lies off the frame counts as bad too.
    aperture : galstep.records.Aperture
    model : ndarray
        The model galaxy on the aperture's bounding box.
    replace_with : {"median", "sersic_modelimg"}, optional
        ``"median"``: the median of the good pixels in the elliptical ring of
        1 pixel in which the bad one lies; rings with fewer than
        `MIN_RING_PIXELS` take the value between their neighbours, and the
        model where there is no ring at all. ``"sersic_modelimg"``: the model.

    Returns
    -------
    FilledStamp

    Raises
    ------
    ParameterError
        If ``replace_with`` is neither.
    """
    if replace_with not in ("median", "sersic_modelimg"):
        raise ParameterError(
            f"replace_with must be 'median' or 'sersic_modelimg', got {replace_with!r}"
        )
    weights = overlap(aperture)
    stamp, bad, off = _cut(image, mask, weights)
    if bad.any():
        filling = model
        if replace_with == "median":
            filling = _ring_medians(stamp, bad, _elliptical_radius(aperture, weights), model)
        stamp = np.where(bad, filling, stamp)
    area = weights.data.sum()
    return FilledStamp(
        stamp,
        weights.data,
        float((weights.data * (bad & ~off)).sum() / area),
        float((weights.data * off).sum() / area),
    )


def _cut(image, mask, weights):
    """Pixels of the bounding box; which are bad; which are off the frame."""
    stamp = np.full(weights.shape, np.nan)
    off = np.ones(weights.shape, dtype=bool)
    bad = off.copy()
    inside, cut = weights.get_overlap_slices(image.shape)
    if inside is not None:
        stamp[cut], bad[cut], off[cut] = image[inside], mask[inside], False
    return stamp, bad | ~np.isfinite(stamp), off


def _elliptical_radius(aperture, weights):
    """Semi-major axis of the ellipse through each pixel of the bounding box."""
    rows, columns = np.indices(weights.shape)
    dx = columns + weights.bbox.ixmin - aperture.x
    dy = rows + weights.bbox.iymin - aperture.y
    cos, sin = np.cos(aperture.theta), np.sin(aperture.theta)
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    return np.hypot(along, across * aperture.a / aperture.b)


def _ring_medians(stamp, bad, radius, model):
    ring = radius.astype(int)
    index = np.arange(ring.max() + 1)
    counts = np.bincount(ring[~bad], minlength=len(index))
    full = index[counts >= MIN_RING_PIXELS]
    if not len(full):
        return model
    labels = np.where(bad, -1, ring)
    medians = labelled_median(np.where(bad, 0.0, stamp), labels, full)
    return np.interp(radius, full + 0.5, medians)
