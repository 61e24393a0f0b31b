"""Where the pixels of one filter lie on those of another: from their WCS.

Unpacking only; the mathematics are in `galstep.core.imaging.affine`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.affine import (
    fit_pixel_map,
    frame_points,
    map_about_centres,
    mapped_box,
    outside_of,
)
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from galstep.datamodels import BandData

__all__ = ["box_in", "mask_unseen", "on_band", "pixel_map_between"]

# Pixels by which an affine map may miss the WCS anywhere in the crop. Beyond the
# first, positions are wrong by more than bright stars are measured to and it is
# said; beyond the second the fit itself would be.
GOOD_MAP = 0.02
WORST_MAP = 0.3
SAME_SCALE = 0.01
# Offsets that TweakReg measured are part of the map from here on (pixels of the base).
LEAST_SHIFT = 0.5


def on_band(
    base: BandData, band: BandData, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the base filter's array in that of another filter, by their WCS.

    Parameters
    ----------
    base, band : `galstep.datamodels.BandData`
        Without a WCS in both, see `galstep.core.imaging.affine.map_about_centres`.
    x, y : arrays

    Returns
    -------
    x, y : arrays

    Raises
    ------
    InputError
        If a position has no place on the other grid: the two show opposite
        parts of the sky, or a distortion cannot be inverted there.
    """
    if base.wcs is None or band.wcs is None:
        return _map_without_wcs(base, band).points(x, y)
    nowhere = f"{_names(base, band)}: a part of the base has no place on the filter's pixels"
    sky = base.wcs.pixel_to_world(x, y)
    try:
        with warnings.catch_warnings():
            # astropy only warns where the distortion has no inverse
            warnings.simplefilter("error", UserWarning)
            places = band.wcs.world_to_pixel(sky)
    except UserWarning as error:
        raise InputError(f"{nowhere}: its distortion cannot be inverted there") from error
    if not np.isfinite(places).all():
        raise InputError(nowhere)
    return tuple(np.asarray(place, dtype=float) for place in places)  # type: ignore[return-value]


def pixel_map_between(base: BandData, band: BandData) -> tuple[PixelMap, str]:
    """The affine map from the base filter's array to that of another filter.

    Parameters
    ----------
    base, band : `galstep.datamodels.BandData`

    Returns
    -------
    pixel_map : `galstep.pixel_map.PixelMap`
    reason : str
        What is to be said of it; "" if it is as good as the data need.

    Raises
    ------
    InputError
        If the relation of the two grids is not known, is not affine, or
        contradicts the size of the pixels.
    """
    if band is base:
        return PixelMap(), ""
    if base.wcs is None or band.wcs is None:
        return _registered(_map_without_wcs(base, band), band), ""
    what = _names(base, band)
    x, y = frame_points(base.shape)
    pixel_map, residual = fit_pixel_map(x, y, *on_band(base, band, x, y))
    told = base.pixel_scale / band.pixel_scale
    if abs(pixel_map.scale / told - 1) > SAME_SCALE:
        raise InputError(
            f"{what}: pixels must be as wide as the WCS says, got pixel_scale "
            f"{base.pixel_scale:g} and {band.pixel_scale:g} arcsec, a ratio of {told:.4g}, "
            f"and {pixel_map.scale:.4g} from the WCS"
        )
    if residual > WORST_MAP:
        raise InputError(
            f"{what}: the pixel grids must be related by an affine map, which misses the WCS "
            f"by {residual:.2f} pixels; crop closer to the galaxy or rectify the image"
        )
    if residual > GOOD_MAP:
        reason = f"distorted: the affine map to {base.name} misses by {residual:.3f} px"
        return _registered(pixel_map, band), reason
    return _registered(pixel_map, band), ""


def _registered(pixel_map, band):
    """The map with what TweakReg measured, where that is no matter of the fit.

    A fit finds an offset of less than a pixel by itself; its prior would hold
    it back from a larger one.
    """
    measured = band.registration
    aligned = measured is not None and measured.status == "aligned"
    if not aligned or np.hypot(*measured.offset) < LEAST_SHIFT:
        return pixel_map
    x, y = pixel_map.points(*measured.offset)
    return PixelMap(pixel_map.matrix, (float(x), float(y)))


def box_in(base: BandData, band: BandData, box: tuple[slice, ...]) -> tuple[slice, ...]:
    """The part of a filter that covers the sky in a box of the base filter.

    Parameters
    ----------
    base, band : `galstep.datamodels.BandData`
    box : tuple of slice
        (y, x), pixels of the base.

    Returns
    -------
    tuple of slice
        (y, x), pixels of the band. Larger than the box where the pixels are
        turned against the base's. A filter without data keeps its frame, if that
        is another than the base's.
    """
    if band is base or (not band.usable and band.shape == base.shape):
        return box
    if not band.usable:
        return tuple(slice(0, size) for size in band.shape)
    rows, columns = box
    x, y = frame_points((rows.stop - rows.start, columns.stop - columns.start))
    return mapped_box(*on_band(base, band, x + columns.start, y + rows.start), band.shape)


def mask_unseen(base: BandData, band: BandData) -> None:
    """Mask the pixels of a filter beyond the edge of the base filter's array.

    The scene ends there: no star is looked for outside.

    Parameters
    ----------
    base, band : `galstep.datamodels.BandData`
        The band is changed; flagged if the relation of the two is not affine.

    Raises
    ------
    InputError
        See `pixel_map_between`.
    """
    pixel_map, reason = pixel_map_between(base, band)
    band.mask |= outside_of(band.shape, pixel_map, base.shape)
    if reason and not band.flags & BandFlag.DISTORTED:
        band.flags |= int(BandFlag.DISTORTED)
        band.reasons.append(reason)


def _map_without_wcs(base, band):
    """From array to array, the relation of the whole input frames being known."""
    frames = base.input_shape, base.pixel_scale, band.input_shape, band.pixel_scale
    try:
        whole = map_about_centres(*frames)
    except InputError as error:
        raise InputError(f"{_names(base, band)}: {error}") from error
    into, out = PixelMap(origin=base.origin), PixelMap(origin=band.origin).inverse()
    return out.after(whole.after(into))


def _names(base, band):
    return f"filter {band.name!r} against {base.name!r}"
