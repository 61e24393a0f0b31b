"""A FITS file looked at before it is read: does its header end, are its pixels those written."""

from __future__ import annotations

import bz2
import gzip
import logging
import lzma
import math
import os
import re
import zlib
from typing import IO, TYPE_CHECKING, Any

from galstep.datamodels.files.image_bounds import MOST_PIXELS
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

__all__ = ["check_header_end", "warn_of_checksums"]

log = logging.getLogger(__name__)

_CARD, _BLOCK = 80, 2880
# 36000 cards: association tables of drizzled mosaics have 4000
_MOST_BLOCKS = 1000
_END = b"END".ljust(_CARD)
_SIZE_CARD = re.compile(rb"(BITPIX|NAXIS\d{0,3}|PCOUNT|GCOUNT) *= +([+-]?\d{1,18}) *(?:/|$)")
# Ramps of many groups come with a few dozen extensions.
_MOST_EXTENSIONS = 10_000
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
# Bytes: images of the largest size in double precision, with error and bits.
_MOST_UNPACKED = 20 * MOST_PIXELS


def check_header_end(stream: IO[bytes], what: str) -> None:
    """Raise `InputError` for headers without an end, and for what unpacks to more than an image.

    Parameters
    ----------
    stream : binary file
        At its beginning, where it is left. A compressed one is unpacked as it is looked
        through, and not further than its headers say.
    what : str
        The file, as messages call it.
    """
    start = stream.read(len(b"SIMPLE"))
    stream.seek(0)
    unpacked = next((opened for magic, opened in _PACKED.items() if start.startswith(magic)), None)
    try:
        if unpacked is not None:
            with unpacked(stream) as content:
                _walk(content, what, _MOST_UNPACKED)
        elif start == b"SIMPLE":
            _walk(stream, what, None)
    # what is damaged is for astropy to tell
    except (EOFError, OSError, zlib.error, lzma.LZMAError):
        pass
    finally:
        stream.seek(0)


def _walk(stream, what, most):
    """From header to header, over the data that each declares."""
    total = 0
    for number in range(_MOST_EXTENSIONS):
        header = _header(stream, f"{what}: its {_ordinal(number)} header")
        if header is None:
            return
        size = _data_size(header)
        if size is None:
            return
        total += size
        if most is not None and total > most:
            raise InputError(f"{what}: unpacked it has more than {most / 1e9:g} GB")
        stream.seek(-(-size // _BLOCK) * _BLOCK, os.SEEK_CUR)
    raise InputError(f"{what}: it has more than {_MOST_EXTENSIONS} extensions")


def _ordinal(number):
    return "primary" if number == 0 else f"{number}. extension's"


def _header(stream, what):
    """The cards up to END; None at the end of the file, or where that is in a header."""
    cards = []
    for _ in range(_MOST_BLOCKS):
        block = stream.read(_BLOCK)
        # a block that is cut off is for astropy to tell
        if len(block) < _BLOCK:
            return None
        cards += [block[i : i + _CARD] for i in range(0, len(block), _CARD)]
        if _END in cards[-_BLOCK // _CARD :]:
            return cards
    raise InputError(f"{what} has no END within {_MOST_BLOCKS} blocks")


def _data_size(cards):
    """Bytes of data that a header declares; None where it is for astropy to tell."""
    found = {}
    for card in cards:
        match = _SIZE_CARD.match(card)
        if match:
            found.setdefault(match[1].decode(), int(match[2]))
    if "BITPIX" not in found or "NAXIS" not in found:
        return None
    axes = [found.get(f"NAXIS{i + 1}", -1) for i in range(found["NAXIS"])]
    if axes[:1] == [0]:  # random groups
        axes = axes[1:]
    elements = math.prod(axes) if axes else 0
    if min(axes, default=0) < 0 or found["NAXIS"] > 999:
        return None
    size = abs(found["BITPIX"]) // 8 * found.get("GCOUNT", 1)
    size *= found.get("PCOUNT", 0) + elements
    return size if size >= 0 else None


def warn_of_checksums(hdus: HDUList, what: str) -> None:
    """Say where pixels are not those that their ``DATASUM`` was made of.

    The files of many archives have wrong sums because a tool changed the pixels
    and not the keyword, so that it is no error. Extensions without the keyword
    and very large ones are not read for it.

    Parameters
    ----------
    hdus : `astropy.io.fits.HDUList`
    what : str
        The file, as messages call it.
    """
    for hdu in hdus:
        is_checked = "DATASUM" in hdu.header and 0 < hdu.size <= 8 * MOST_PIXELS
        # 0: they differ
        if is_checked and hdu.verify_datasum() == 0:
            log.warning(
                "%s[%s]: the data are not those that DATASUM was made of: the file may be damaged",
                what, hdu.name or "PRIMARY",
            )  # fmt: skip
