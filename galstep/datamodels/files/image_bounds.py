"""How large an image may be, asked of what its file declares before memory is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_PIXELS", "check_arrays", "check_pixel_side", "check_pixels"]

#: 10000 x 10000: one float64 plane fills 0.8 GB, and a galaxy in six filters has some sixty.
MOST_PIXELS = 100_000_000
# from the pixels of radio interferometry to degrees
_SMALLEST_SIDE, _LARGEST_SIDE = 1e-6, 1e5


def check_pixels(
    shape: Sequence[int] | None, what: str, remedy: str = "", most: int = MOST_PIXELS
) -> None:
    """Raise `InputError` for an image that is too large to be read whole.

    Parameters
    ----------
    shape : sequence of int or None
        As the file declares it; None passes.
    what : str
        The image, as messages call it.
    remedy : str, optional
        What the user can do, such as ``"cut it out with ra, dec and size"``.
    most : int, optional
        Number of pixels.
    """
    sides = [int(side) for side in shape or ()]
    if math.prod(sides) > most:
        said = " x ".join(str(side) for side in reversed(sides))
        hint = f": {remedy}" if remedy else ""
        raise InputError(f"{what} must have at most {most:.2g} pixels, got {said}{hint}")


def check_pixel_side(side: float, what: str) -> None:
    """Raise `InputError` for a pixel that is no pixel of an image of the sky.

    Parameters
    ----------
    side : float
        Arcsec.
    what : str
        The image, as messages call it.
    """
    if not _SMALLEST_SIDE <= side <= _LARGEST_SIDE:
        raise InputError(
            f"{what}: the pixels must be {_SMALLEST_SIDE:g} to {_LARGEST_SIDE:g} arcsec wide, "
            f"got {side:.3g}"
        )


def check_arrays(tree: Any, what: str) -> None:
    """Raise `InputError` for an array in a tree that is too large; nothing is read.

    Parameters
    ----------
    tree : mapping, sequence or anything
        As asdf gives it.
    what : str
        The file, as messages call it.
    """
    waiting = [(tree, what)]
    while waiting:
        node, where = waiting.pop()
        if isinstance(node, Mapping):
            waiting += [(node[key], f"{where}: {key}") for key in node]
        elif isinstance(node, list | tuple):
            waiting += [(item, where) for item in node if not isinstance(item, str | int | float)]
        elif hasattr(node, "shape") and hasattr(node, "dtype"):
            check_pixels(node.shape, where)
