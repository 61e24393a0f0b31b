"""Saturated pixels: where light has been cut off at one value.

Light through a PSF and noise never give neighbouring pixels the very same value; a
detector or a pipeline that cuts off does. What is cut off is no data: the wings know the
flux.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from galstep.core.imaging.background import pixel_noise
from galstep.core.imaging.rounding import rounding_step

__all__ = ["saturated_pixels"]

MIN_PIXELS = 5  # neighbours of one value: four are equal by symmetry, two or three by rounding
ABOVE_SKY = 5.0  # sigma
MIN_SIGMA = 10.0  # of a rounded image above the pixels around
MIN_STEPS = 5.0  # of a rounded image above the pixels around
_SAME = 1e-6  # relative: single precision
# A pixel and the eight around it.
_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def saturated_pixels(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels that were cut off at a value.

    Groups of at least five neighbours of one value, with no higher pixel beside them,
    which stand out of the sky by five sigma of the pixels' noise. In an image of
    rounded numbers they stand out of the median of the pixels around them as well, by
    ten sigma and five of its steps: the flat top of a faint galaxy does not.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image, any unit; NaN allowed where masked.
    mask : ndarray of bool, shape (ny, nx)
        True = bad.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    bad = np.asarray(mask, dtype=bool) | ~np.isfinite(data)
    found = np.zeros(bad.shape, dtype=bool)
    if bad.all():
        return found
    values = np.where(bad, -np.inf, data)
    sky, noise = float(np.median(data[~bad])), pixel_noise(data, bad)
    if not noise > 0:
        noise = 0.0
    bright = values > sky + ABOVE_SKY * noise
    highest = ndimage.maximum_filter(values, footprint=_NEIGHBOURS, mode="constant", cval=-np.inf)
    tolerance = _SAME * np.abs(np.where(bad, 0.0, data))
    labels, _ = ndimage.label(bright & (values >= highest - tolerance), structure=_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    groups = [
        (label, place)
        for label, place in enumerate(ndimage.find_objects(labels), start=1)
        if sizes[label] >= MIN_PIXELS
    ]
    step = rounding_step(data[~bad]) if groups else 0.0
    least = max(MIN_SIGMA * noise, MIN_STEPS * step) if step else 0.0
    for label, (rows, columns) in groups:
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in (rows, columns))
        group = labels[box] == label
        around = ndimage.binary_dilation(group, _NEIGHBOURS) & ~group & ~bad[box]
        if around.any() and _is_cut_off(values[box], group, around, least):
            found[box] |= group
    return found


def _is_cut_off(values, group, around, least):
    """Whether a group has one value, well above the pixels around it."""
    top = values[group].max()
    same = top - values[group].min() <= 2 * _SAME * abs(top)
    return bool(same and top - np.median(values[around]) > least)
