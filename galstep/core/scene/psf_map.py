"""The effective PSF by position: one `EffectivePSF` for each cell of the image.

Within a cell the PSF is that of its middle, so that all sources of a cell share one PSF and
everything that is made from it. Where the PSF comes from is a `PsfLaw`: one array, a grid of
arrays, or anything that can say what the PSF is at a place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np

from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError

__all__ = ["GridLaw", "PsfLaw", "PsfMap", "SingleLaw"]

CELL = 128  # pixels
# Effective PSFs that a process keeps, with what is made from them: some 5 MB each.
_N_KEPT = 200


class PsfLaw(Protocol):
    """What the effective PSF is at a place.

    ``oversample`` samples per pixel; ``varies`` with the place or not; ``identity`` changes with
    what the law says.
    """

    @property
    def oversample(self) -> int:
        """Samples per pixel."""
        ...

    @property
    def varies(self) -> bool:
        """Whether it changes with the place."""
        ...

    @property
    def identity(self) -> str:
        """Of what it says."""
        ...

    def array(self, x: float, y: float) -> np.ndarray:
        """The oversampled effective PSF at a place, any positive norm."""
        ...


@dataclass(frozen=True, eq=False)
class SingleLaw:
    """One PSF everywhere."""

    values: np.ndarray
    oversample: int = 1
    varies = False

    @cached_property
    def identity(self) -> str:
        """Of the contents."""
        return _digest(self.values, self.oversample)

    def array(self, x: float, y: float) -> np.ndarray:
        """The PSF; the place does not matter."""
        return self.values


@dataclass(frozen=True, eq=False)
class GridLaw:
    """PSFs at the crossings of a grid, bilinear between them, constant beyond.

    Parameters
    ----------
    values : (n_y, n_x, ky, kx) array
        Each is normalised to sum 1 before it is mixed.
    x_grid, y_grid : (n_x,), (n_y,) arrays
        Pixels, ascending.
    oversample : int
    """

    values: np.ndarray
    x_grid: np.ndarray
    y_grid: np.ndarray
    oversample: int = 1
    varies = True

    def __post_init__(self) -> None:
        shape = len(self.y_grid), len(self.x_grid)
        if np.ndim(self.values) != 4 or self.values.shape[:2] != shape:
            raise InputError(
                f"a grid of {shape[1]} x {shape[0]} PSFs must have shape (ny, nx, ky, kx), "
                f"got {np.shape(self.values)}"
            )

    @cached_property
    def identity(self) -> str:
        """Of the contents."""
        return _digest(self.values, self.x_grid, self.y_grid, self.oversample)

    def array(self, x: float, y: float) -> np.ndarray:
        """Bilinear between the four PSFs about the place."""
        (i, p), (j, q) = _bracket(self.x_grid, x), _bracket(self.y_grid, y)
        total = np.zeros(self.values.shape[2:])
        for row, share_y in ((j, 1 - q), (j + 1, q)):
            for column, share_x in ((i, 1 - p), (i + 1, p)):
                if share_x * share_y:
                    own = np.asarray(self.values[row, column], dtype=float)
                    total = total + share_x * share_y / own.sum() * own
        return total


def _bracket(grid, value):
    """The interval of a grid that holds a value, and the place in it from 0 to 1."""
    if len(grid) == 1:
        return 0, 0.0
    index = int(np.clip(np.searchsorted(grid, value) - 1, 0, len(grid) - 2))
    place = (value - grid[index]) / (grid[index + 1] - grid[index])
    return index, float(np.clip(place, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class PsfMap:
    """The effective PSF of a band by position.

    Parameters
    ----------
    law : `PsfLaw`
    cell : int
        Side of the cells, pixels; not used where the law does not vary.
    """

    law: PsfLaw
    cell: int = CELL

    @classmethod
    def single(cls, array: np.ndarray, oversample: int) -> PsfMap:
        """One effective PSF for the whole image."""
        return cls(SingleLaw(np.asarray(array, dtype=float), int(oversample)))

    @property
    def identity(self) -> str:
        """Changes whenever a PSF does."""
        return f"{self.law.identity}-{self.cell}" if self.law.varies else self.law.identity

    def at(self, x: float, y: float) -> EffectivePSF:
        """The effective PSF of the cell that holds a place (pixels of the band).

        The same object for the same cell as long as the process keeps it.
        """
        if not self.law.varies:
            return _made(_Key(self, 0, 0))
        column, row = (int(np.floor(v / self.cell)) for v in (x, y))
        return _made(_Key(self, column, row))

    def _make(self, column, row):
        half = 0.5 * self.cell
        array = self.law.array(column * self.cell + half, row * self.cell + half)
        return EffectivePSF.from_array(array, self.law.oversample, "PSF of the field")


@dataclass(frozen=True, eq=False)
class _Key:
    """A cell of a map; equal if what the maps say is equal."""

    psf_map: PsfMap
    column: int
    row: int

    def _content(self):
        return self.psf_map.identity, self.column, self.row

    def __hash__(self):
        return hash(self._content())

    def __eq__(self, other):
        return self._content() == other._content()


@lru_cache(maxsize=_N_KEPT)
def _made(key):
    return key.psf_map._make(key.column, key.row)


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part))
        digest.update(str(np.shape(part)).encode())
    return digest.hexdigest()[:16]
