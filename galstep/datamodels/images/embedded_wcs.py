"""The gwcs that STScI's FITS files carry in an extension named ASDF.

The extension is a table with one cell: the bytes of an ASDF file whose arrays
may stand in other extensions (``source: fits:SCI,1``). Only ``meta/wcs`` and
``meta/cal_step`` are touched here.
"""

from __future__ import annotations

import io
import logging
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.asdf_stream import check_asdf

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

__all__ = [
    "read_embedded_meta",
    "read_embedded_wcs",
    "with_embedded_meta",
    "without_embedded_wcs",
]

log = logging.getLogger(__name__)

_EXTENSION, _COLUMN = "ASDF", "ASDF_METADATA"
_END = b"\n...\n"
_BLOCK, _INDEX = b"\xd3BLK", b"#ASDF BLOCK INDEX"


def _raw(hdulist):
    if _EXTENSION not in hdulist:
        return None
    raw = np.asarray(hdulist[_EXTENSION].data[_COLUMN]).tobytes()
    check_asdf(io.BytesIO(raw), f"input {hdulist.filename() or ''}[{_EXTENSION}]")
    return raw


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
            meta = meta if hasattr(meta, "get") else {}
            wcs, info = meta.get("wcs"), meta.get("wcsinfo")
            if not hasattr(wcs, "available_frames"):
                return None, None
            # its arrays must not depend on the file that is closed now
            return deepcopy(wcs), dict(info) if info else None
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        log.warning("the ASDF extension cannot be read, the FITS WCS is used: %s", error)
        return None, None


def read_embedded_meta(hdulist: HDUList) -> dict:
    """``meta`` of the extension as plain YAML: names, numbers, texts.

    Parameters
    ----------
    hdulist : `astropy.io.fits.HDUList`

    Returns
    -------
    dict
        Empty if there is no such extension or it cannot be read.
    """
    import asdf
    from yaml import YAMLError

    raw = _raw(hdulist)
    if raw is None:
        return {}
    try:
        meta = asdf.util.load_yaml(io.BytesIO(raw)).get("meta")
    except (YAMLError, ValueError, TypeError, AttributeError, OSError):
        return {}  # `read_embedded_wcs` says so
    return meta if isinstance(meta, dict) else {}


def without_embedded_wcs(hdulist: HDUList) -> None:
    """Take the ASDF extension out of an open FITS file: its WCS would contradict the header.

    Parameters
    ----------
    hdulist : `astropy.io.fits.HDUList`
        Changed in place; an extension that has no WCS stays.
    """
    if _EXTENSION not in hdulist:
        return
    meta = read_embedded_meta(hdulist)
    if meta and meta.get("wcs") is None:
        return
    log.warning("the ASDF extension cannot be corrected; it is left out of the output")
    del hdulist[_EXTENSION]


def with_embedded_meta(
    hdulist: HDUList, wcs: Any = None, cal_step: dict | None = None, make: bool = False
) -> None:
    """Put another gwcs, or what steps have done, into the ASDF extension of an open FITS file.

    Parameters
    ----------
    hdulist : `astropy.io.fits.HDUList`
        Changed in place. The rest of the tree and arrays that the extension
        holds itself stay as they are; so does an extension that cannot be read.
    wcs : `gwcs.WCS`, optional
        Becomes ``meta/wcs``.
    cal_step : dict, optional
        Goes into ``meta/cal_step``.
    make : bool, optional
        Make the extension if there is none.
    """
    import asdf
    from astropy.io import fits

    raw = _raw(hdulist)
    if raw is None:
        if not make:
            return
        stream = io.BytesIO()
        asdf.AsdfFile({"meta": {}}).write_to(stream)
        raw = stream.getvalue()
    elif not read_embedded_meta(hdulist):
        return
    new = _changed_tree(raw, wcs, cal_step)
    cell = np.frombuffer(_comments(raw) + new + _blocks(raw), dtype=np.uint8)
    column = fits.Column(_COLUMN, f"{len(cell)}B", array=cell[None, :])
    table = fits.BinTableHDU.from_columns([column], name=_EXTENSION)
    if _EXTENSION in hdulist:
        hdulist[_EXTENSION] = table
    else:
        hdulist.append(table)


def _changed_tree(raw, wcs, cal_step):
    """The YAML of the tree with another ``meta/wcs``, and more in ``meta/cal_step``."""
    import asdf
    from asdf.tags.core import AsdfObject

    tree = asdf.util.load_yaml(io.BytesIO(raw), tagged=True)
    meta = tree.setdefault("meta", {})
    if wcs is not None:
        stream = io.BytesIO()
        # its arrays are written out: the numbers of the old blocks go on being right
        asdf.AsdfFile({"meta": {"wcs": wcs}}).write_to(stream, all_array_storage="inline")
        own = asdf.util.load_yaml(io.BytesIO(stream.getvalue()), tagged=True)
        meta["wcs"] = own["meta"]["wcs"]
        # the versions that the new part was written with must be known to readers
        for key in ("history", "asdf_library"):
            if key in own:
                tree[key] = own[key]
    if cal_step:
        meta["cal_step"] = {**(meta.get("cal_step") or {}), **cal_step}
    stream = io.BytesIO()
    asdf.yamlutil.dump_tree(AsdfObject(dict(tree)), stream, asdf.AsdfFile())
    return stream.getvalue()


def _blocks(raw):
    """The arrays that follow the tree, without the index of where they stood."""
    end = raw.find(_END)
    blocks = raw[end + len(_END) :] if end >= 0 else b""
    if not blocks.startswith(_BLOCK):
        return b""
    index = blocks.rfind(_INDEX)
    return blocks if index < 0 else blocks[:index]


def _comments(raw):
    """The comment lines (``#ASDF 1.0.0`` ...) that an ASDF file begins with."""
    lines = raw.split(b"\n")
    count = next(i for i, line in enumerate(lines) if not line.startswith(b"#"))
    return b"\n".join(lines[:count]) + b"\n"
