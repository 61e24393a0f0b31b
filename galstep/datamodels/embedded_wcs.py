"""The gwcs that STScI's FITS files carry in an extension named ASDF.

The extension is a table with one cell: the bytes of an ASDF file whose arrays
may stand in other extensions (``source: fits:SCI,1``). Only ``meta/wcs`` is
touched here.
"""

from __future__ import annotations

import io
import logging
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

__all__ = ["read_embedded_wcs", "with_embedded_wcs"]

log = logging.getLogger(__name__)

_EXTENSION, _COLUMN = "ASDF", "ASDF_METADATA"
_END = b"\n...\n"


def _raw(hdulist):
    if _EXTENSION not in hdulist:
        return None
    return np.asarray(hdulist[_EXTENSION].data[_COLUMN]).tobytes()


def read_embedded_wcs(hdulist: HDUList) -> tuple[Any, dict | None]:
    """The gwcs in an open FITS file.

    Parameters
    ----------
    hdulist : `astropy.io.fits.HDUList`

    Returns
    -------
    wcs : `gwcs.WCS` or None
        None if there is none or the packages that know it are not installed.
    wcsinfo : dict or None
        ``meta/wcsinfo``: v2_ref, v3_ref, roll_ref of an exposure.
    """
    import asdf

    raw = _raw(hdulist)
    if raw is None:
        return None, None
    try:
        with asdf.open(io.BytesIO(raw), lazy_load=True) as file:
            meta = file.tree.get("meta", {})
            wcs, info = meta.get("wcs"), meta.get("wcsinfo")
            if not hasattr(wcs, "available_frames"):
                return None, None
            # its arrays must not depend on the file that is closed now
            return deepcopy(wcs), dict(info) if info else None
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        log.warning("the ASDF extension cannot be read, the FITS WCS is used: %s", error)
        return None, None


def with_embedded_wcs(hdulist: HDUList, wcs: Any) -> None:
    """Put another gwcs into the ASDF extension of an open FITS file.

    Parameters
    ----------
    hdulist : `astropy.io.fits.HDUList`
        Changed in place. An extension that cannot be rewritten is taken out:
        it would contradict the header.
    wcs : `gwcs.WCS`
    """
    import asdf
    from asdf.tags.core import AsdfObject
    from astropy.io import fits

    raw = _raw(hdulist)
    if raw is None:
        return
    stream = io.BytesIO()
    asdf.AsdfFile({"meta": {"wcs": wcs}}).write_to(stream, all_array_storage="inline")
    new, old = (asdf.util.load_yaml(io.BytesIO(b), tagged=True) for b in (stream.getvalue(), raw))
    if raw[raw.index(_END) + len(_END) :].strip(b"\0\n "):
        log.warning("the ASDF extension holds arrays of its own; it is left out of the output")
        del hdulist[_EXTENSION]
        return
    old["meta"]["wcs"] = new["meta"]["wcs"]
    # the versions that the new part was written with must be known to readers
    for key in ("history", "asdf_library"):
        if key in new:
            old[key] = new[key]
    stream = io.BytesIO()
    stream.write(_comments(raw))
    asdf.yamlutil.dump_tree(AsdfObject(dict(old)), stream, asdf.AsdfFile())
    cell = np.frombuffer(stream.getvalue(), dtype=np.uint8)
    column = fits.Column(_COLUMN, f"{len(cell)}B", array=cell[None, :])
    hdulist[_EXTENSION] = fits.BinTableHDU.from_columns([column], name=_EXTENSION)


def _comments(raw):
    """The comment lines (``#ASDF 1.0.0`` ...) that an ASDF file begins with."""
    lines = raw.split(b"\n")
    count = next(i for i, line in enumerate(lines) if not line.startswith(b"#"))
    return b"\n".join(lines[:count]) + b"\n"
