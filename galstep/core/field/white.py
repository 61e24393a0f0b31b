"""The stack of all bands on the pixels of one: where light is looked for, and shapes begin.

Bands on other grids come in by their nearest pixels: no pixel is mixed with another, so that the
noise stays what it is. Nothing is measured on the stack but places and shapes to start from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.scene.box import Box
    from galstep.pixel_map import PixelMap

__all__ = ["nearest_pixels", "white_stack"]


def nearest_pixels(pixel_map: PixelMap, box: Box, own: Box) -> tuple[np.ndarray, ...]:
    """For every pixel of a box the nearest pixel of a box of another grid.

    Parameters
    ----------
    pixel_map : `galstep.pixel_map.PixelMap`
        From the grid of ``box`` to that of ``own``.
    box, own : Box

    Returns
    -------
    row, column : (ny, nx) int arrays
        In ``own``; 0 where it has none.
    inside : (ny, nx) bool array
    """
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    x, y = pixel_map.points(x, y)
    inside = own.holds(x, y)
    column = np.where(inside, np.rint(x) - own.x0, 0).astype(int)
    row = np.where(inside, np.rint(y) - own.y0, 0).astype(int)
    return row, column, inside


def white_stack(
    parts: Iterable[tuple[np.ndarray, np.ndarray, PixelMap, Box]], box: Box
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of images by inverse variance.

    Parameters
    ----------
    parts : iterable of (values, weight, map, box)
        Of each band: pixels without sky, 1 / variance (0: not used), from the stack's grid to the
        band's, and which pixels of the band they are. Fluxes are on one scale.
    box : Box
        Of the stack.

    Returns
    -------
    white : (ny, nx) array
        Light in a pixel of the stack; 0 without a good pixel.
    weight : (ny, nx) array
        Inverse variance; 0 without a good pixel.
    """
    total, weight = np.zeros(box.shape), np.zeros(box.shape)
    for values, own_weight, pixel_map, own in parts:
        if own.empty:
            continue
        row, column, inside = nearest_pixels(pixel_map, box, own)
        # light of a pixel of the stack is that of so many of the band's
        area = pixel_map.scale**2
        value = area * values[row, column]
        precision = np.where(inside, own_weight[row, column] / area**2, 0.0)
        total += precision * np.where(precision > 0, value, 0.0)
        weight += precision
    return np.divide(total, weight, out=np.zeros(box.shape), where=weight > 0), weight
