"""Planes of an image that are made when they are looked at, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LazyPlane", "kept"]


class LazyPlane:
    """A plane computed pixel by pixel from others.

    Parameters
    ----------
    make : callable
        Takes a part of each plane and gives that part of this one.
    *planes : (ny, nx) arrays
        Anything that takes slices or index arrays.
    """

    ndim = 2

    def __init__(self, make: Callable[..., np.ndarray], *planes: Any) -> None:
        self._make, self._planes = make, planes

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self._planes[0].shape

    def __getitem__(self, part: Any) -> np.ndarray:
        return self._make(*(plane[part] for plane in self._planes))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:, :], dtype=dtype)


def kept(plane: Any) -> Any:
    """A plane that stays after its file is closed: memory-mapped where it can be.

    Parameters
    ----------
    plane : plane of an `galstep.datamodels.images.image_source.ImageSource`

    Returns
    -------
    (ny, nx) array
    """
    hdu = getattr(plane, "hdu", None)
    if hdu is not None:
        return hdu.data
    return plane if isinstance(plane, np.ndarray) else np.asarray(plane)


def any_of(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where one of several masks is set."""
    bad = parts[0].copy()
    for other in parts[1:]:
        bad |= other
    return bad
