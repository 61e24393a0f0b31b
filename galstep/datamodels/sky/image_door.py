"""`SkyImage` from what a user has, read by the readers of the galaxy's door.

Which pixels are bad and what their errors are follows the same rules as in
`galstep.datamodels.input.assemble`; only that nothing is cut out or converted, and that the
planes are looked at part by part.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from galstep.datamodels.images.duck_models import is_image_model, model_source
from galstep.datamodels.images.embedded_wcs import read_embedded_wcs
from galstep.datamodels.images.fits_input import fits_sources, open_fits
from galstep.datamodels.images.image_source import ImageSource
from galstep.datamodels.images.lazy_plane import LazyPlane, any_of, kept
from galstep.datamodels.images.pixel_rules import (
    check_error_scale,
    filled_border,
    flawed_errors,
    least_error,
)
from galstep.datamodels.images.weights import weight_scale
from galstep.datamodels.input.input_name import input_name
from galstep.datamodels.input.open import is_hdus, kind_of_file, sources_of
from galstep.datamodels.input.read_options import ReadOptions
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError
from galstep.units import check_unit

if TYPE_CHECKING:
    from galstep.datamodels.images.fits_input import HDUList

__all__ = ["read_image"]

log = logging.getLogger(__name__)

# Derived planes of at most so many pixels are made once (float64: 160 MB).
MADE_ONCE = 20_000_000
_WCSINFO = ("v2_ref", "v3_ref", "roll_ref")
_TAKEN = (
    "an image must be a file, an array, a Quantity, an NDData or CCDData, or a model with data "
    "and meta.wcs"
)


def read_image(
    thing: Any, error: Any = None, mask: Any = None, choose: str | None = None
) -> SkyImage:
    """One image from a file or an object.

    Parameters
    ----------
    thing : object
        A file that `galstep.datamodels.input.open` reads; an array of any kind, NDData,
        CCDData, HDUList, image model; a list of an image and its companions.
    error : array or Quantity, optional
        1-sigma errors, in place of those that come with the image; plain numbers
        are in the image's unit.
    mask : bool array, optional
        True = bad, beside what the image says.
    choose : str, optional
        Which image of several: its filter, extension (``SCI,2``) or EXTVER.

    Returns
    -------
    `galstep.datamodels.sky.sky_image.SkyImage`

    Raises
    ------
    InputError
        If there is no image, not one alone, or a plane cannot belong to it.
    """
    with ExitStack() as stack:
        source, more = _source(thing, choose, stack)
        image = _image(source, error, mask)
    name, _ = input_name(thing)
    image.name = more.pop("name", None) or name
    for attribute, value in more.items():
        setattr(image, attribute, value)
    return image


# ------------------------------------------------------------------- sources


def _source(thing, choose, stack):
    """The `ImageSource`, and what a `SkyImage` has beside it."""
    if isinstance(thing, str | os.PathLike):
        where = f"input {thing}"
        if kind_of_file(Path(thing)) == "fits":
            hdus = open_fits(thing, "input", stack)
            source, more = _of_hdus(hdus, where, choose)
            return source, more | {"source": Path(thing)}
        found = sources_of(thing, where, ReadOptions(), stack)
        return _one(found, choose, where), {"source": Path(thing)}
    if is_hdus(thing):
        return _of_hdus(thing, "input", choose)
    if isinstance(thing, list | tuple):
        found = sources_of(list(thing), "input", ReadOptions(), stack)
        return _one(found, choose, "input"), {}
    return _of_object(thing)


def _of_hdus(hdus: HDUList, where, choose):
    source = _one(fits_sources(hdus, where), choose, where)
    hdu = getattr(source.data, "hdu", None)
    number = next((i for i, own in enumerate(hdus) if own is hdu), 0)
    gwcs, info = read_embedded_wcs(hdus)
    more = {"extension": number, "wcsinfo": info}
    if gwcs is not None:
        more |= {"wcs": gwcs, "fits_wcs": source.wcs}
    return source, more


def _of_object(thing):
    from galstep.datamodels.images.duck_nddata import array_source, is_nddata, nddata_source

    if is_nddata(thing):
        filename = str(thing.meta.get("FILENAME") or "image")
        return nddata_source(thing, "input"), {"name": Path(filename).stem}
    if isinstance(thing, np.ndarray) or hasattr(thing, "unmasked"):
        return array_source(thing, "input"), {"name": "image"}
    data, meta = getattr(thing, "data", None), getattr(thing, "meta", None)
    if np.ndim(data) != 2 or not (meta is not None or is_image_model(thing)):
        raise InputError(f"{_TAKEN}, got {type(thing).__name__}")
    source = model_source(thing, "input")
    info = getattr(meta, "wcsinfo", None)
    values = [getattr(info, name, None) for name in _WCSINFO]
    filename = str(getattr(meta, "filename", None) or "image")
    return source, {
        "name": Path(filename).stem,
        "source": thing,
        "wcs": getattr(meta, "wcs", None) or source.wcs,
        "wcsinfo": dict(zip(_WCSINFO, map(float, values), strict=True)) if all(
            value is not None for value in values) else None,
    }  # fmt: skip


def _one(sources: list[ImageSource], choose, where) -> ImageSource:
    if choose is not None:
        wanted = str(choose).strip().upper()
        fits = [s for s in sources if wanted in _called(s)]
        if len(fits) == 1:
            return fits[0]
    elif len(sources) == 1:
        return sources[0]
    listed = "; ".join(s.where.removeprefix(where).strip("[] :") or str(s.name) for s in sources)
    asked = "say which" if choose is None else f"there is not one that is called {choose!r}"
    raise InputError(f"{where}: it has {len(sources)} images ({listed}): {asked} (extension)")


def _called(source):
    label = source.where.rpartition("[")[2].rstrip("]").upper() if "[" in source.where else ""
    version = label.rpartition(",")[2] if "," in label else "1"
    return {(source.name or "").upper(), label, version}


# -------------------------------------------------------------------- planes


def _image(source, error, mask):
    data = kept(source.data)
    unit = "" if source.unit in (None, "") else check_unit(source.unit, source.where)
    reasons: list[str] = []
    err = _given_error(error, data.shape, unit, source.where)
    if err is None:
        err, reason = _error(source, data)
        reasons += [reason] if reason else []
    bad = _bad_parts(source, data, mask)
    if err is not None:
        check_error_scale(err, data, source.where)
        bad += _flaws(err, data, reasons)
    for reason in reasons:
        log.warning("%s: %s", source.where, reason)
    return SkyImage(
        "image", data, err, _plane(any_of_parts, *bad) if bad else None, source.wcs, unit=unit,
        filter=source.name, pixel_scale=source.pixel_scale, calibration=source.calibration,
        reasons=reasons,
    )  # fmt: skip


def any_of_parts(*parts: np.ndarray) -> np.ndarray:
    """Where one of several masks is set."""
    return any_of([np.asarray(part, dtype=bool) for part in parts])


def _plane(make, *planes):
    """A derived plane, in memory if it is small."""
    plane = LazyPlane(make, *planes)
    return np.asarray(plane) if plane.shape[0] * plane.shape[1] <= MADE_ONCE else plane


def _bad_parts(source, data, mask):
    """Planes that are not 0 where a pixel is bad for another reason than its value."""
    parts = []
    if mask is not None and mask is not np.ma.nomask:
        given = np.asarray(mask)
        if given.shape != data.shape or given.dtype.kind not in "biu":
            raise InputError(
                f"mask must be boolean and have the shape of the image {data.shape}, "
                f"got {given.dtype} of shape {given.shape}"
            )
        parts.append(given != 0)
    if source.mask is not None:
        parts.append(_plane(lambda m: np.asarray(m) != 0, kept(source.mask)))
    bits = ReadOptions().bad_dq_bits
    if source.dq is not None:
        parts.append(_plane(partial(_has_bits, bits=bits), kept(source.dq)))
    if source.weight is not None:
        parts.append(_plane(lambda w: ~(np.asarray(w) > 0), kept(source.weight)))
    filled = filled_border(data) if source.zero_is_no_data and _zero_at_border(data) else None
    if filled is not None:
        log.info("%s: %d pixels at the border are 0, no data", source.where, filled.sum())
        parts.append(filled)
    return parts


def _has_bits(dq, bits):
    dq = np.nan_to_num(dq) if np.asarray(dq).dtype.kind == "f" else np.asarray(dq)
    return (dq.astype(np.int64) & bits) != 0


def _zero_at_border(data):
    """Whether any border is zero: without, a large image need not be looked at."""
    edges = (data[0], data[-1], data[:, 0], data[:, -1])
    return any(np.count_nonzero(np.asarray(edge) == 0) > 2 for edge in edges)


def _flaws(err, data, reasons):
    least = least_error(err, data)
    flaw = _plane(partial(_below, least=least), err)
    if not isinstance(flaw, np.ndarray):
        return [flaw]
    if flaw.any():
        reasons.append(flawed_errors(np.count_nonzero(flaw)))
        return [flaw]
    return []


def _below(err, least):
    err = np.asarray(err)
    with np.errstate(invalid="ignore"):
        return (err > 0) & (err < least)


def _error(source, data):
    """1-sigma error in the image's unit, None if nothing tells; and a reason."""
    if source.err is not None:
        return kept(source.err), ""
    if source.variances:
        return _plane(_root_of_sum, *(kept(plane) for plane in source.variances)), ""
    if source.weight is None:
        return None, ""
    weight = kept(source.weight)
    middle = tuple(slice(max(0, n // 2 - 1000), n // 2 + 1000) for n in data.shape)
    scale, reason = weight_scale(
        np.asarray(data[middle], float), np.asarray(weight[middle], float), ReadOptions().weights
    )
    return (None if scale is None else _plane(partial(_of_weight, scale=scale), weight)), reason


def _root_of_sum(*variances):
    with np.errstate(invalid="ignore"):
        return np.sqrt(sum(np.asarray(v, dtype=float) for v in variances))


def _of_weight(weight, scale):
    weight = np.asarray(weight, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0, scale / np.sqrt(weight), np.nan)


def _given_error(error, shape, unit, where):
    if error is None:
        return None
    own = getattr(error, "unit", None)
    if own is not None:
        if not unit:
            raise InputError(f"{where}: error has the unit {own}, and the image has none")
        try:
            error = error.to_value(u.Unit(unit))
        except u.UnitConversionError as failure:
            raise InputError(f"{where}: error must convert to {unit}, got {own}") from failure
    error = np.ma.filled(np.ma.asarray(error, dtype=float), np.nan)
    if error.shape != shape:
        raise InputError(
            f"{where}: error must have the shape of the image {shape}, got {error.shape}"
        )
    return error
