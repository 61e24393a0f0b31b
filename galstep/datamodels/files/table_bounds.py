"""A table's file looked at before it is read: how large, how long its lines, what its header."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.files.regular_file import check_regular, printable
from galstep.datamodels.files.yaml_bounds import check_yaml
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["bounded_positions", "check_rows", "check_table_file"]

# a catalogue of 2e6 stars with ten columns
_MOST_BYTES = 2**28
# a row of 1000 columns; astropy's readers take memory with the square of it
_LONGEST_LINE = 2**17
_CHUNK = 2**22
_FARTHEST = 1e7
_ECSV = re.compile(rb"\s*#\s*%ECSV")
_TEXT = re.compile(rb"[^\0]*")


def check_table_file(path: PathLike, what: str, most_bytes: int = _MOST_BYTES) -> None:
    """Raise `InputError` for a file that no reader of tables would end with.

    Parameters
    ----------
    path : path-like
        A table in any format.
    what : str
        What the file is to the user (``"catalog"``); starts the message.
    most_bytes : int, optional
    """
    check_regular(path, what)
    where = f"{what} {printable(path)}"
    size = os.path.getsize(path)
    if size > most_bytes:
        raise InputError(
            f"{where}: a table of at most {most_bytes >> 20} MB is read, got {size} bytes"
        )
    try:
        with open(path, "rb") as stream:
            start = stream.read(_CHUNK)
            if _TEXT.fullmatch(start[:_LONGEST_LINE]):
                _check_lines(start, stream, where)
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error
    if _ECSV.match(start):
        check_yaml(_header(start), where)


def _check_lines(chunk, stream, where):
    begun = 0  # length of the line that the last chunk has begun
    while chunk:
        first, _, rest = chunk.partition(b"\n")
        lengths = [begun + len(first), *map(len, rest.split(b"\n"))]
        if max(lengths) > _LONGEST_LINE:
            raise InputError(
                f"{where}: a line or cell of at most {_LONGEST_LINE} characters is read"
            )
        begun = lengths[-1] if b"\n" in chunk else lengths[0]
        chunk = stream.read(_CHUNK)


def _header(text):
    """The YAML of an ECSV file, which stands in comments."""
    lines = []
    for line in text.lstrip().split(b"\n"):
        if not line.startswith(b"#"):
            break
        lines.append(line[2:])
    return b"\n".join(lines[1:])


def check_rows(n_rows: int, n_pixels: int, what: str) -> None:
    """Raise `InputError` for more positions in an image than it has pixels.

    Parameters
    ----------
    n_rows : int
        Positions inside the image.
    n_pixels : int
        Pixels that can be used.
    what : str
        The catalogue, as messages call it.
    """
    if n_rows > n_pixels:
        raise InputError(
            f"{what}: at most one position per usable pixel can be measured, got {n_rows} "
            f"positions for {n_pixels} pixels"
        )


def bounded_positions(values: np.ndarray) -> np.ndarray:
    """Pixel coordinates that can be computed with: infinite ones NaN, far ones not so far.

    Parameters
    ----------
    values : array
        x or y.

    Returns
    -------
    array
        Beyond 1e7 pixels the number says no more than that it is outside.
    """
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values), np.clip(values, -_FARTHEST, _FARTHEST), np.nan)
