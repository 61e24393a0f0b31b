"""Rectangles of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.pixel_map import PixelMap

__all__ = ["Box"]


@dataclass(frozen=True)
class Box:
    """Pixels x0 <= x < x1, y0 <= y < y1 of a grid; may reach over the edge of an image."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.x1 <= self.x0 or self.y1 <= self.y0

    @property
    def part(self) -> tuple[slice, slice]:
        """Slices of the grid's arrays."""
        return np.s_[self.y0 : self.y1, self.x0 : self.x1]

    def grown(self, margin: int) -> Box:
        """With ``margin`` more pixels on each side."""
        return Box(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)

    def inside(self, shape: tuple[int, int]) -> Box:
        """What of it lies on an image of ``shape``."""
        ny, nx = shape
        x0, y0 = min(max(0, self.x0), nx), min(max(0, self.y0), ny)
        return Box(x0, y0, max(x0, min(nx, self.x1)), max(y0, min(ny, self.y1)))

    def common(self, other: Box) -> Box:
        """The pixels that two boxes share; empty if there are none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    @property
    def size(self) -> int:
        """Number of pixels."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def on(self, pixel_map: PixelMap, margin: int = 1) -> Box:
        """The smallest box of another grid that holds it, and ``margin`` pixels more."""
        x = np.array([self.x0, self.x1, self.x0, self.x1]) - 0.5
        y = np.array([self.y0, self.y0, self.y1, self.y1]) - 0.5
        x, y = pixel_map.points(x, y)
        if pixel_map.is_translation and not np.any(np.mod(pixel_map.origin, 1.0)):
            margin = 0
        low = np.ceil([x.min() - 1e-9, y.min() - 1e-9]).astype(int) - margin
        high = np.floor([x.max() - 1e-9, y.max() - 1e-9]).astype(int) + 1 + margin
        return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether the nearest pixels of positions are in the box."""
        ix, iy = np.rint(x), np.rint(y)
        return (ix >= self.x0) & (ix < self.x1) & (iy >= self.y0) & (iy < self.y1)
