"""The affine map between two pixel grids, from points known on both.

The relation of two images of the sky is not affine: tangent planes touch the
sphere in different places, and a camera may be distorted. Over a galaxy a few
hundred pixels wide that is between 1e-6 and 1e-2 pixel; what is left of it is
measured here, and it is for the caller to judge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from galstep.exceptions import InputError
from galstep.pixel_map import IDENTITY, PixelMap

__all__ = [
    "fit_pixel_map",
    "frame_points",
    "map_about_centres",
    "mapped_box",
    "outside_of",
    "referred_to_base",
]

# Grids that agree to this over the frame (pixels) are one grid: positions of a
# header are not better, and one grid needs no interpolation anywhere.
SAME_GRID = 1e-3
# Points on a side of the lattice over a frame to which an affine map is fitted: it has 6
# unknowns.
SIDE = 9
# Sides of two frames that may differ, in pixels of the coarser, for them to be
# cutouts of the same field.
SAME_FIELD = 2.0


def frame_points(shape: tuple[int, int], side: int = SIDE) -> tuple[np.ndarray, ...]:
    """A lattice of points over a frame, its outer edges included.

    Parameters
    ----------
    shape : (ny, nx)
    side : int, optional
        Number of points along an axis.

    Returns
    -------
    x, y : (side^2,) arrays
    """
    x, y = (np.linspace(-0.5, size - 0.5, side) for size in shape[::-1])
    return tuple(axis.ravel() for axis in np.meshgrid(x, y))


def fit_pixel_map(
    x: np.ndarray, y: np.ndarray, x_band: np.ndarray, y_band: np.ndarray
) -> tuple[PixelMap, float]:
    """The affine map that takes points to where they lie on another grid.

    Parameters
    ----------
    x, y : (n,) arrays
        Points on the first grid, spread over the frame in question.
    x_band, y_band : (n,) arrays
        The same points of the sky on the second grid.

    Returns
    -------
    pixel_map : `galstep.pixel_map.PixelMap`
        Least squares. Exactly a translation where the two grids have the same
        pixels to a thousandth of one, and by whole pixels where that holds too.
    residual : float
        Largest distance of a point from where the map takes it, in pixels of
        the second grid.

    Raises
    ------
    InputError
        If a point is not finite on the second grid.
    """
    first, second = np.column_stack([x, y]), np.column_stack([x_band, y_band])
    if not np.isfinite(second).all():
        raise InputError("a part of the frame has no finite position on the other pixel grid")
    middle = first.mean(axis=0)
    columns = np.column_stack([first - middle, np.ones(len(first))])
    terms, *_ = np.linalg.lstsq(columns, second, rcond=None)
    matrix = terms[:2].T
    best = PixelMap(matrix, terms[2] - matrix @ middle)
    shift = (second - first).mean(axis=0)
    for simple in (np.rint(shift), shift):
        if np.abs(second - first - simple).max() < SAME_GRID:
            best = PixelMap(IDENTITY, simple)
            break
    landed = np.column_stack(best.points(x, y))
    return best, float(np.hypot(*(landed - second).T).max())


def map_about_centres(
    shape: tuple[int, int], scale: float, band_shape: tuple[int, int], band_scale: float
) -> PixelMap:
    """The map between two frames of which nothing but the size of a pixel is known.

    Frames with the same pixels and shape count as one grid. Others are taken to
    be cutouts of the same field: their centres fall together and their rows are
    parallel. Whether they are is only told by their sides, which must agree.

    Parameters
    ----------
    shape, band_shape : (ny, nx)
        Of the whole frames, before any crop.
    scale, band_scale : float
        Side of a pixel (arcsec).

    Returns
    -------
    `galstep.pixel_map.PixelMap`

    Raises
    ------
    InputError
        If the frames do not cover the same field.
    """
    if tuple(shape) == tuple(band_shape) and np.isclose(scale, band_scale, rtol=1e-3):
        return PixelMap()
    sides, band_sides = np.array(shape) * scale, np.array(band_shape) * band_scale
    if np.abs(sides - band_sides).max() > SAME_FIELD * max(scale, band_scale):
        raise InputError(
            "without a WCS, frames on different pixel grids must be cutouts of the same field: "
            f"got {shape[1]} x {shape[0]} pixels of {scale:g} arcsec and "
            f"{band_shape[1]} x {band_shape[0]} of {band_scale:g}"
        )
    ratio = scale / band_scale
    centre, band_centre = ((np.array(s[::-1]) - 1) / 2 for s in (shape, band_shape))
    return PixelMap(ratio * np.eye(2), band_centre - ratio * centre)


def mapped_box(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> tuple[slice, ...]:
    """The smallest box of whole pixels with all points in it, cut off at the frame.

    Parameters
    ----------
    x, y : arrays
        Points, such as the edge of another filter's box, on this grid.
    shape : (ny, nx)
        The frame.

    Returns
    -------
    tuple of slice
        (y, x). A frame that the box misses keeps as many pixels on the side
        towards it.
    """
    box = []
    for values, size in ((y, shape[0]), (x, shape[1])):
        # an edge on a pixel's edge is not a reason for one more pixel
        low = int(np.floor(np.min(values) + 0.5 + SAME_GRID))
        high = int(np.ceil(np.max(values) + 0.5 - SAME_GRID))
        if high <= 0 or low >= size:
            side = min(high - low, size)
            low = 0 if high <= 0 else size - side
            high = low + side
        box.append(slice(max(low, 0), min(high, size)))
    return tuple(box)


def outside_of(shape: tuple[int, int], pixel_map: PixelMap, frame: tuple[int, int]) -> np.ndarray:
    """Which pixels lie outside another grid's frame.

    Parameters
    ----------
    shape : (ny, nx)
        Of the pixels asked about.
    pixel_map : `galstep.pixel_map.PixelMap`
        From the frame's grid to theirs.
    frame : (ny, nx)

    Returns
    -------
    (ny, nx) bool array
        True where a pixel's centre is not on the frame.
    """
    yy, xx = np.indices(shape)
    x, y = pixel_map.inverse().points(xx, yy)
    inside = (np.abs(x - (frame[1] - 1) / 2) <= frame[1] / 2 + SAME_GRID) & (
        np.abs(y - (frame[0] - 1) / 2) <= frame[0] / 2 + SAME_GRID
    )
    return ~inside


def referred_to_base(measured: Any, pixel_map: PixelMap) -> Any:
    """A measurement made in a band's own pixels, with its relation to the base.

    Parameters
    ----------
    measured : `galstep.core.measurement.measure.SceneMeasurement`
        Of one band, whose own frame was the scene's.
    pixel_map : `galstep.pixel_map.PixelMap`
        From the base's pixels to the band's.

    Returns
    -------
    SceneMeasurement
        Registration and matched radius in pixels of the base.
    """
    back, (fit,) = pixel_map.inverse(), measured.fits
    fit = replace(
        fit,
        offset=tuple(float(v) for v in back.directions(*fit.offset)),
        offset_err=tuple(float(v) for v in back.position_errors(*fit.offset_err)),
        matched_radius=fit.matched_radius / pixel_map.scale,
        pixel_map=pixel_map,
    )
    return replace(measured, fits=[fit])
