"""A large image in tiles: what is read at a time, never more.

Tiles decide only what is in memory. Every star is measured on its own box of
pixels, and every pixel sees all stars that reach it, so results do not know
where tiles end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from galstep.core.imaging.rounding import rounding_step

__all__ = ["FieldImage", "Tile", "make_tiles"]

# Pixels of an error plane that are looked at for the typical error, more or less.
MOST_SAMPLES = 250_000
# The percentile of them that is typical: one sigma below the middle of a Gaussian.
QUIET = 15.87
# Of the largest value: numbers of float32, as most images have them.
ROUNDING = 1e-7


@dataclass(frozen=True)
class Tile:
    """Pixels x0 <= x < x1, y0 <= y < y1 of the field."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def origin(self) -> tuple[int, int]:
        """(x, y) of the first pixel."""
        return self.x0, self.y0

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def part(self) -> tuple[slice, slice]:
        """Slices of the field's arrays."""
        return np.s_[self.y0 : self.y1, self.x0 : self.x1]

    def grown(self, margin: int, shape: tuple[int, int]) -> Tile:
        """The tile with ``margin`` more pixels on each side, inside a field of ``shape``."""
        ny, nx = shape
        return Tile(
            max(0, self.x0 - margin),
            max(0, self.y0 - margin),
            min(nx, self.x1 + margin),
            min(ny, self.y1 + margin),
        )

    def inside(self, other: Tile) -> tuple[slice, slice]:
        """Slices of this tile in arrays of a larger one."""
        x, y = self.x0 - other.x0, self.y0 - other.y0
        ny, nx = self.shape
        return np.s_[y : y + ny, x : x + nx]

    def holds(self, x: np.ndarray, y: np.ndarray, reach: int = 0) -> np.ndarray:
        """Whether the nearest pixels of positions are in the tile, or within ``reach`` of it."""
        ix, iy = np.rint(x), np.rint(y)
        return (
            (ix >= self.x0 - reach)
            & (ix < self.x1 + reach)
            & (iy >= self.y0 - reach)
            & (iy < self.y1 + reach)
        )


def make_tiles(shape: tuple[int, int], size: int) -> list[Tile]:
    """Tiles that cover a field without overlap, of at most ``size`` pixels a side."""
    ny, nx = shape
    return [
        Tile(x, y, min(x + size, nx), min(y + size, ny))
        for y in range(0, ny, size)
        for x in range(0, nx, size)
    ]


@dataclass(frozen=True, eq=False)
class FieldImage:
    """An image as the star engine reads it, part by part.

    Parameters
    ----------
    data : (ny, nx) array
        Anything that takes slices, also a memory map.
    err : (ny, nx) array, optional
        1-sigma error.
    mask : (ny, nx) bool array, optional
        True = bad, beside pixels that are not finite.
    sigma : float
        1-sigma noise of a pixel: where there is no ``err`` the noise, else a
        yardstick for what is negligible. See `typical_error`.
    gain : float, optional
        Electrons per image unit: adds the Poisson noise of the model, where
        there is no ``err``.
    """

    data: np.ndarray
    err: np.ndarray | None = None
    mask: np.ndarray | None = None
    sigma: float = 1.0
    gain: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape

    def typical_error(self) -> float:
        """The error of a quiet pixel: what is small beside it is negligible.

        Returns
        -------
        float
            Of some hundred thousand pixels on a lattice that is the same for every
            tiling; the sixth of them with the least error sets it, so that
            neither bright stars nor shallow parts do. NaN without ``err`` or good pixels.
        """
        if self.err is None:
            return np.nan
        step = max(1, int(np.sqrt(self.err.shape[0] * self.err.shape[1] / MOST_SAMPLES)))
        error = np.asarray(self.err[::step, ::step], dtype=float)
        good = np.isfinite(error) & (error > 0) & np.isfinite(self.data[::step, ::step])
        if self.mask is not None:
            good &= ~np.asarray(self.mask[::step, ::step], dtype=bool)
        return float(np.percentile(error[good], QUIET)) if good.any() else np.nan

    def rounding(self, tiles: list[Tile]) -> float:
        """What the pixels are good to at best: the noise of a frame without noise.

        That of the last digit, and of the `step` of rounded numbers.
        """
        digits = ROUNDING * max(float(np.abs(self.read(tile)[0]).max()) for tile in tiles)
        return max(digits, self.step / np.sqrt(12))

    @cached_property
    def step(self) -> float:
        """Of the numbers that the pixels were rounded to; 0 if they were not, or are counts."""
        if self.gain is not None:
            return 0.0
        every = max(1, int(np.sqrt(self.shape[0] * self.shape[1] / MOST_SAMPLES)))
        return rounding_step(np.asarray(self.data[::every, ::every]))

    def with_sigma(self, sigma: float) -> FieldImage:
        """The same image with another noise."""
        return replace(self, sigma=float(sigma))

    def read(self, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        """Data with 0 where bad, and where it is good.

        Returns
        -------
        data : float array
        good : bool array
        """
        data = np.array(self.data[tile.part], dtype=float)
        good = np.isfinite(data)
        if self.mask is not None:
            good &= ~np.asarray(self.mask[tile.part], dtype=bool)
        if self.err is not None:
            error = np.asarray(self.err[tile.part], dtype=float)
            good &= np.isfinite(error) & (error > 0)
        data[~good] = 0.0
        return data, good

    def gather(self, at: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same of single pixels: ``at`` is a pair of index arrays."""
        data = np.asarray(self.data[at], dtype=float)
        good = np.isfinite(data)
        if self.mask is not None:
            good &= ~np.asarray(self.mask[at], dtype=bool)
        if self.err is not None:
            error = self.err[at]
            good &= np.isfinite(error) & (error > 0)
        return np.where(good, data, 0.0), good

    def gathered_weight(
        self, at: tuple[np.ndarray, np.ndarray], good: np.ndarray, model: np.ndarray | None
    ) -> np.ndarray:
        """As `weight`, of single pixels."""
        if self.err is not None:
            error = np.asarray(self.err[at], dtype=float)
            return np.divide(1.0, error**2, out=np.zeros(good.shape), where=good)
        variance = self.sigma**2
        if self.weight_needs_model:
            variance = variance + np.maximum(model, 0.0) / self.gain
        return np.where(good, 1.0 / variance, 0.0)

    @property
    def weight_needs_model(self) -> bool:
        """Whether the weight depends on the stars' light."""
        return self.err is None and self.gain is not None

    def weight(self, tile: Tile, good: np.ndarray, model: np.ndarray | None = None) -> np.ndarray:
        """1 / sigma^2 of the pixels, 0 where bad; ``model`` is the stars' light."""
        if self.err is not None:
            error = np.asarray(self.err[tile.part], dtype=float)
            return np.divide(1.0, error**2, out=np.zeros(tile.shape), where=good)
        variance = self.sigma**2
        if self.weight_needs_model:
            variance = variance + np.maximum(model, 0.0) / self.gain
        return np.where(good, 1.0 / variance, 0.0)
