"""The pixels of a band of a field: read part by part from where they are, ready to be fitted.

Scaled to the common zero point; bad are pixels that are not finite, that the image itself calls
bad, that are saturated, or under an ellipse of the mask of bright light. Nothing of it is made
before it is asked for, and what goes to a worker elsewhere is a path and a few numbers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from galstep.datamodels.input.hashing import FileHashes, text_hash
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BRIGHT", "INVALID", "SATURATED", "FieldPixels", "Pixels", "ellipse_mask"]

#: Bits of `FieldPixels.mask_bits`.
INVALID, SATURATED, BRIGHT = 1, 2, 4
# Images that a process keeps open, so that a block does not open its files again: all bands of a
# field of some twenty, of two fields.
_N_OPEN = 48


class Pixels(NamedTuple):
    """A part of a band: (ny, nx) arrays; ``sigma`` may be None."""

    data: np.ndarray
    mask: np.ndarray
    sigma: np.ndarray | None


@dataclass(frozen=True, eq=False)
class FieldPixels:
    """The pixels of a band.

    Parameters
    ----------
    source : str or `galstep.datamodels.sky.sky_image.SkyImage`
        A path, or an image in memory.
    shape : (ny, nx)
    choose : str, optional
        Which image of a file with several.
    scale : float
        What pixel values are multiplied with.
    saturation : float
        Values from which on pixels count as saturated, before the scaling.
    use_error : bool
        Whether the image's error plane is read.
    ellipses : (n, 5) array
        x, y, a, b (pixels) and angle (radians) of the mask of bright light, on the first band's
        grid.
    pixel_map : `galstep.pixel_map.PixelMap`
        From the first band's grid to this one.
    """

    source: Any
    shape: tuple[int, int]
    choose: str | None = None
    scale: float = 1.0
    saturation: float = np.inf
    use_error: bool = False
    ellipses: np.ndarray = field(default_factory=lambda: np.zeros((0, 5)))
    pixel_map: PixelMap = field(default_factory=PixelMap)

    def __getstate__(self):
        # what has been made of the others is made again elsewhere, but for the hash of the file
        state = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return state

    @property
    def image(self) -> SkyImage:
        """The image, its planes left on disc."""
        if isinstance(self.source, SkyImage):
            return self.source
        status = os.stat(self.source)
        return _opened(self.source, self.choose, status.st_size, status.st_mtime_ns)

    @cached_property
    def identity(self) -> str:
        """Changes with the contents of the file, and with all that is made of them."""
        return text_hash(
            [
                self.content, self.choose, self.scale, self.saturation, self.use_error,
                np.asarray(self.ellipses).tolist(), str(self.pixel_map),
            ]
        )  # fmt: skip

    @cached_property
    def content(self) -> str:
        """Of the file, or of the planes in memory."""
        if not isinstance(self.source, SkyImage):
            return _file_hash(self.source)
        planes = (self.source.data, self.source.mask, self.source.err)
        return text_hash([_plane_hash(plane) for plane in planes])

    def read(self, box: Any) -> Pixels:
        """The pixels of a part inside the image.

        Parameters
        ----------
        box : object
            With ``x0``, ``y0``, ``x1``, ``y1``: pixels x0 <= x < x1, y0 <= y < y1.

        Returns
        -------
        Pixels
            data: scaled, 0 where bad; mask: True = not used; sigma: of the error plane, scaled,
            None without one.
        """
        part = np.s_[box.y0 : box.y1, box.x0 : box.x1]
        image = self.image
        data = np.array(image.data[part], dtype=float)
        bits = self._bits(box, data, image, part)
        bad = bits != 0
        sigma = None
        if self.use_error and image.err is not None:
            sigma = np.where(bad, np.nan, np.asarray(image.err[part], dtype=float)) * self.scale
        data *= self.scale
        data[bad] = 0.0
        return Pixels(data, bad, sigma)

    def mask_bits(self, box: Any) -> np.ndarray:
        """Why pixels are not used.

        Parameters
        ----------
        box : object
            As for `read`.

        Returns
        -------
        (ny, nx) uint8 array
            `INVALID`, `SATURATED`, `BRIGHT`; 0 where used.
        """
        part = np.s_[box.y0 : box.y1, box.x0 : box.x1]
        image = self.image
        return self._bits(box, np.asarray(image.data[part], dtype=float), image, part)

    def _bits(self, box, data, image, part):
        bits = np.where(image.bad_pixels(part), np.uint8(INVALID), np.uint8(0))
        with np.errstate(invalid="ignore"):
            bits[data >= self.saturation] |= SATURATED
        if len(self.ellipses):
            bits[self._bright(box)] |= BRIGHT
        return bits

    def _bright(self, box):
        inverse = self.pixel_map.inverse()
        y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
        if self.pixel_map.is_translation:
            own = np.array(self.ellipses, dtype=float)
            own[:, 0] += self.pixel_map.origin[0]
            own[:, 1] += self.pixel_map.origin[1]
            return ellipse_mask(own, (box.x0, box.y0), (box.y1 - box.y0, box.x1 - box.x0))
        x, y = inverse.points(x, y)
        inside = np.zeros(x.shape, dtype=bool)
        for ellipse in self.ellipses:
            inside |= _inside(ellipse, x, y)
        return inside


def ellipse_mask(ellipses: Sequence, origin: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of a part of an image have their centre in one of several ellipses.

    Parameters
    ----------
    ellipses : (n, 5) array
        x, y, a, b (pixels), angle (radians counter-clockwise from +x).
    origin : (x, y)
        The first pixel of the part.
    shape : (ny, nx)

    Returns
    -------
    (ny, nx) bool array
    """
    inside, (ny, nx) = np.zeros(shape, dtype=bool), shape
    for ellipse in np.asarray(ellipses, dtype=float).reshape(-1, 5):
        x, y, reach = ellipse[0] - origin[0], ellipse[1] - origin[1], max(ellipse[2:4])
        x0, x1 = max(0, int(np.ceil(x - reach))), min(nx, int(np.floor(x + reach)) + 1)
        y0, y1 = max(0, int(np.ceil(y - reach))), min(ny, int(np.floor(y + reach)) + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        rows, columns = np.mgrid[y0:y1, x0:x1]
        own = (x, y, *ellipse[2:])
        inside[y0:y1, x0:x1] |= _inside(own, columns, rows)
    return inside


def _inside(ellipse, x, y):
    x_0, y_0, a, b, angle = ellipse
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = (x - x_0) * cos + (y - y_0) * sin, (y - y_0) * cos - (x - x_0) * sin
    return (along / a) ** 2 + (across / b) ** 2 <= 1


@lru_cache(maxsize=_N_OPEN)
def _opened(path, choose, size, modified):
    return open_image(path, choose=choose)


_file_hash = FileHashes()


def _plane_hash(plane):
    import hashlib

    if plane is None:
        return None
    return hashlib.sha256(np.ascontiguousarray(np.asarray(plane))).hexdigest()
