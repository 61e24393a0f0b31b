"""Arrays and what belongs to them (errors, mask, WCS) as the one door takes them: NDData."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.nddata import NDData, NDUncertainty, StdDevUncertainty
from astropy.units import Quantity, UnitConversionError

from galstep.datamodels import GalaxyModel
from galstep.datamodels.images.duck_nddata import array_source, is_nddata
from galstep.datamodels.input.missing_filter import ONLY_FILTER
from galstep.exceptions import InputError
from galstep.steps.framework.validation import suggestion

__all__ = ["as_image", "as_images", "is_array", "what_is_assumed"]


def is_array(thing: Any) -> bool:
    """Whether ``thing`` is an array: of numpy, masked, a Quantity, or a ``Masked`` of astropy."""
    return isinstance(thing, np.ndarray) or hasattr(thing, "unmasked")


def as_images(
    image: Any, err: Any = None, mask: Any = None, wcs: Any = None, filter: str | None = None
) -> Any:
    """What `galstep.datamodels.input.open` takes, errors, masks and WCS attached.

    Parameters
    ----------
    image : object
        An array, NDData, or a mapping of filter to these; anything else is handed on.
    err, mask, wcs : object, optional
        Of the image; a mapping of filter to each where there are several images.
    filter : str, optional
        The filter of a single image.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If something belongs to no image, or to one that is not in memory.
    """
    beside = {"err": err, "mask": mask, "wcs": wcs}
    if isinstance(image, Mapping):
        if filter is not None:
            raise InputError("filter is for a single image: a dict has the filters as its keys")
        if not image:
            raise InputError("image: the dict of filters is empty")
        return {
            str(name): as_image(thing, f"image[{name!r}]", **_of_filter(beside, image, name))
            for name, thing in image.items()
        }
    for what, thing in beside.items():
        if isinstance(thing, Mapping):
            raise InputError(
                f"{what} is a dict of filters, so image must be one too, got {type(image).__name__}"
            )
    if is_array(image) or (is_nddata(image) and filter is not None):
        return {filter or ONLY_FILTER: as_image(image, "image", **beside)}
    if filter is not None and _is_many(image):
        raise InputError(f"filter {filter!r} is for a single image: choose with filters={filter!r}")
    image = as_image(image, "image", **beside)
    return image if filter is None else {filter: image}


def _is_many(image):
    return isinstance(image, list | tuple | GalaxyModel)


def _of_filter(beside, images, name):
    """What belongs to the image of one filter."""
    own = {}
    for what, things in beside.items():
        if things is None:
            own[what] = None
            continue
        if not isinstance(things, Mapping):
            if len(images) == 1 or what == "wcs":
                own[what] = things
                continue
            raise InputError(
                f"{what}: {len(images)} images need one each: give a dict of filters, "
                f"got {type(things).__name__}"
            )
        for key in things:
            if key not in images:
                near = suggestion(key, map(str, images))
                raise InputError(f"{what}: there is no image of filter {key!r}{near}")
        own[what] = things.get(name)
    return own


def as_image(image: Any, where: str, err: Any = None, mask: Any = None, wcs: Any = None) -> Any:
    """One image with what belongs to it; anything but an array or NDData is handed on.

    Parameters
    ----------
    image : object
    where : str
        What messages call it.
    err : array, Quantity or NDUncertainty, optional
        1-sigma errors in place of the image's own; plain numbers are in its unit. One
        number holds for every pixel.
    mask : (ny, nx) bool array, optional
        True = bad, beside the image's own mask.
    wcs : WCS, optional

    Returns
    -------
    object

    Raises
    ------
    InputError
        If it is no image, or a plane cannot belong to it.
    """
    if not (is_array(image) or is_nddata(image)):
        for what, thing in (("err", err), ("mask", mask), ("wcs", wcs)):
            if thing is not None:
                raise InputError(
                    f"{where}: {what} can be given for an array or NDData; a "
                    f"{_kind(image)} brings its own"
                )
        return image
    if is_nddata(image) and err is None and mask is None and wcs is None:
        return image
    uncertainty, meta = None, {}
    plain = array_source(np.asanyarray(image.data) if is_nddata(image) else image, where)
    unit, own_mask = plain.unit, plain.mask
    if is_nddata(image):
        uncertainty, meta = image.uncertainty, image.meta
        unit = image.unit if image.unit is not None else unit
        own_mask = _either(own_mask, image.mask)
        wcs = image.wcs if wcs is None else wcs
    if err is not None:
        uncertainty = _uncertainty(err, plain.data.shape, unit, where)
    if mask is not None:
        own_mask = _either(own_mask, _checked_mask(mask, plain.data.shape, where))
    try:
        return NDData(plain.data, uncertainty, own_mask, wcs, meta, unit)
    except UnitConversionError as error:
        raise InputError(
            f"{where}: the errors must be in a unit that converts to that of the data: {error}"
        ) from error


def what_is_assumed(images: Any, unit: str, pixel_scale: float, said: Any) -> str:
    """What is taken for granted of images in memory, in words.

    Parameters
    ----------
    images : object
        As `as_images` makes them.
    unit, pixel_scale : str, float
        What images have that do not tell.
    said : collection of str
        Names of parameters that the caller gave.

    Returns
    -------
    str
        "" where everything is told.
    """
    own = list(images.values()) if isinstance(images, Mapping) else []
    own = [image for image in own if is_array(image) or is_nddata(image)]
    told = {"ab_zero_point"} & set(said)
    assumed = []
    if "unit" not in said and not told and any(_lacks(i, "unit", "BUNIT") for i in own):
        assumed.append(f"unit {unit}")
    if "pixel_scale" not in said and any(_lacks(i, "wcs", "PIXSCALE") for i in own):
        assumed.append(f"pixels of {pixel_scale:g} arcsec")
    if not assumed:
        return ""
    return f"{' and '.join(assumed)} assumed: unit, pixel_scale or wcs say otherwise"


def _lacks(image, name, keyword):
    return getattr(image, name, None) is None and not (
        is_nddata(image) and any(str(key).upper() == keyword for key in image.meta)
    )


def _kind(image):
    return "file" if isinstance(image, str | os.PathLike) else type(image).__name__


def _either(first, second):
    if first is None or second is None:
        return second if first is None else first
    return (np.asarray(first) != 0) | (np.asarray(second) != 0)


def _checked_mask(mask, shape, where):
    mask = np.asarray(mask)
    if mask.shape != shape or mask.dtype.kind not in "biu":
        raise InputError(
            f"{where}: mask must be boolean and have the shape of the image {shape}, "
            f"got {mask.dtype} of shape {mask.shape}"
        )
    return mask != 0


def _uncertainty(err, shape, unit, where):
    if isinstance(err, NDUncertainty):
        return err
    if isinstance(err, str | os.PathLike) or not (is_array(err) or np.isscalar(err)):
        raise InputError(
            f"{where}: err must be an array or a number, got {type(err).__name__}"
        )  # fmt: skip
    if getattr(err, "unit", None) is not None and unit is None:
        raise InputError(f"{where}: err has the unit {err.unit}, and the image has none")
    own_unit = getattr(err, "unit", None)
    # where an error is masked it is not known
    values = err.filled(np.nan) if hasattr(err, "unmasked") else err
    values = values.value if isinstance(values, Quantity) else values
    values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    if values.shape not in ((), shape):
        raise InputError(
            f"{where}: err must have the shape of the image {shape}, got {values.shape}"
        )
    return StdDevUncertainty(np.broadcast_to(values, shape).copy(), unit=own_unit)
