"""ASDF files by an open stream: asdf takes a path for a URI, and a part of it for a fragment.

By a path ``run#2/x.asdf`` asdf would write ``run`` and read it; ``?`` and ``%`` fare alike.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import asdf

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.regular_file import check_regular, printable
from galstep.datamodels.files.yaml_bounds import check_yaml, yaml_text
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["asdf_file", "check_asdf", "load_tree", "opened_asdf", "save_asdf"]

_BLOCK_MAGIC = b"\xd3BLK"
# flags, compression, allocated, used and data size; a checksum follows
_BLOCK_HEADER = struct.Struct(">I4sQQQ")
# of compressed blocks together: ten images of 1e8 pixels are no galaxy
_MOST_UNPACKED = 4 * 2**30


@contextmanager
def opened_asdf(path: PathLike, what: str) -> Iterator[IO[bytes]]:
    """The file, open for reading, once it is known to be readable within bounds.

    Parameters
    ----------
    path : path-like
    what : str
        What the file is to the user (``"input"``); starts every message.

    Yields
    ------
    binary file
        At its beginning.

    Raises
    ------
    InputError
        If it is no plain file, cannot be opened, or declares more than any galaxy has.
    """
    check_regular(path, what)
    where = f"{what} {printable(path)}"
    try:
        stream = open(path, "rb")
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error
    with stream:
        check_asdf(stream, where)
        yield stream


def check_asdf(stream: IO[bytes], where: str) -> None:
    """Raise `InputError` for a stream that declares more than any galaxy has.

    Parameters
    ----------
    stream : binary file
        At its beginning, where it is left.
    where : str
        What messages call it.
    """
    text = yaml_text(stream, where)
    check_yaml(text, where)
    stream.seek(len(text))
    _check_blocks(stream, where)
    stream.seek(0)


def _check_blocks(stream, where):
    """Raise for compressed blocks that would unpack to more than the memory holds."""
    unpacked = 0
    while True:
        start = stream.tell()
        head = stream.read(6)
        if len(head) < 6 or head[:4] != _BLOCK_MAGIC:
            return
        (size,) = struct.unpack(">H", head[4:])
        header = stream.read(size)
        if len(header) < _BLOCK_HEADER.size:
            return
        flags, compression, allocated, _, data_size = _BLOCK_HEADER.unpack_from(header)
        if compression.strip(b"\0"):
            unpacked += data_size
        if unpacked > _MOST_UNPACKED:
            raise InputError(
                f"{where}: its compressed blocks must unpack to {_MOST_UNPACKED >> 30} GB at most"
            )
        if flags & 1:  # a streamed block is the last
            return
        stream.seek(start + 6 + size + allocated)


@contextmanager
def asdf_file(path: PathLike, what: str, **options: Any) -> Iterator[asdf.AsdfFile]:
    """``asdf.open`` by a stream; see there for the options.

    Parameters
    ----------
    path : path-like
    what : str
        See `opened_asdf`.
    **options
        Of ``asdf.open``.

    Yields
    ------
    `asdf.AsdfFile`

    Raises
    ------
    InputError
        See `opened_asdf`. What asdf raises passes through.
    """
    with opened_asdf(path, what) as stream, asdf.open(stream, memmap=False, **options) as file:
        yield file


def load_tree(path: PathLike, what: str) -> Any:
    """The YAML tree of an ASDF file, without tags and arrays.

    Parameters
    ----------
    path : path-like
    what : str
        See `opened_asdf`.

    Raises
    ------
    InputError
        See `opened_asdf`. What asdf raises passes through.
    """
    with opened_asdf(path, what) as stream:
        return asdf.util.load_yaml(stream)


def save_asdf(file: asdf.AsdfFile, path: PathLike) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    file : `asdf.AsdfFile`
    path : path-like

    Raises
    ------
    GalstepError
        See `galstep.datamodels.files.atomic.replacing`.
    """
    with replacing(os.fspath(path)) as temporary, open(temporary, "wb") as stream:
        file.write_to(stream)
