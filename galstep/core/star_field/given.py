"""`GivenStars`: the stars that a user gives, in the user's order and with the user's ids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GivenStars", "next_ids"]


@dataclass(frozen=True, eq=False)
class GivenStars:
    """First positions of stars: arrays of one length, NaN for what is not known.

    Parameters
    ----------
    x, y : (n,) arrays
        0-based pixels. A star without a place is kept in the table and not fitted.
    flux : (n,) array
        Image unit x pixel.
    id : (n,) array
        Integers, or text.
    group_id : (n,) int array, optional
        Stars of one group are fitted together, and with no others.
    local_bkg : (n,) array, optional
        The level beneath each star, image units, in place of a measured sky.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    id: np.ndarray
    group_id: np.ndarray | None = None
    local_bkg: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, flux: ArrayLike = np.nan, **columns: Any) -> GivenStars:
        """Stars numbered from 1 unless ``id`` is among ``columns``."""
        x, y = (np.array(v, dtype=float) for v in (x, y))
        flux = np.array(np.broadcast_to(np.asarray(flux, dtype=float), x.shape))
        columns.setdefault("id", np.arange(1, len(x) + 1))
        return cls(x, y, flux, **columns)

    def select(self, keep: np.ndarray) -> GivenStars:
        """The stars where ``keep`` (boolean or index array) says so."""
        columns = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: value[keep] for name, value in columns.items()})

    def placed(self) -> np.ndarray:
        """Which stars have a place: (n,) bool."""
        return np.isfinite(self.x) & np.isfinite(self.y)

    def near(self, shape: tuple[int, int], margin: int) -> np.ndarray:
        """Which stars have a place in a frame of ``shape`` or within ``margin`` of it."""
        ny, nx = shape
        with np.errstate(invalid="ignore"):
            return (
                self.placed()
                & (self.x > -0.5 - margin) & (self.x < nx - 0.5 + margin)
                & (self.y > -0.5 - margin) & (self.y < ny - 0.5 + margin)
            )  # fmt: skip


def next_ids(ids: np.ndarray, count: int) -> np.ndarray:
    """Ids for ``count`` further stars, all of them new.

    Parameters
    ----------
    ids : (n,) array
        Integers, or text; the new ones are of the same kind.
    count : int

    Returns
    -------
    (count,) array
    """
    if np.issubdtype(ids.dtype, np.integer):
        first = max(0, int(ids.max(initial=0))) + 1
        return np.arange(first, first + count)
    taken, names, number = set(ids.tolist()), [], 0
    while len(names) < count:
        number += 1
        if str(number) not in taken:
            names.append(str(number))
    return np.array(names, dtype=str)
