"""A FITS file looked at before it is read: does its header end, are its pixels those written."""

from __future__ import annotations

import logging
from typing import IO, TYPE_CHECKING

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


def check_header_end(stream: IO[bytes], what: str) -> None:
    """Raise `InputError` for a primary header without an end.

    Parameters
    ----------
    stream : binary file
        At its beginning, where it is left. A compressed file passes.
    what : str
        The file, as messages call it.
    """
    start = stream.read(len(b"SIMPLE"))
    stream.seek(0)
    if start != b"SIMPLE":
        return
    try:
        for _ in range(_MOST_BLOCKS):
            block = stream.read(_BLOCK)
            cards = [block[i : i + _CARD] for i in range(0, len(block), _CARD)]
            # a block that is cut off is for astropy to tell
            if _END in cards or len(block) < _BLOCK:
                return
    finally:
        stream.seek(0)
    raise InputError(f"{what}: its header has no END within {_MOST_BLOCKS} blocks")


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
