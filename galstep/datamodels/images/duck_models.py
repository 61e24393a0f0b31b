"""Image models of jwst and romancal, read by the names of their attributes.

Neither package is needed. A model is anything with ``data`` and ``meta``, as an
attribute or as a key: the ``ImageModel`` of jwst, the ``MosaicModel`` of
romancal, and what ``asdf.open`` makes of its file. Nothing in it is changed.

==================  ====================================================
filter              ``meta.instrument.pupil``, ``.filter``, ``.optical_element``
unit                ``meta.bunit_data``; Roman mosaics are in MJy/sr
error               ``err``, else ``var_poisson + var_rnoise + var_flat``
weights, bits       ``wht`` or ``weight``; ``dq``
pixel size          ``meta.photometry.pixelarea_steradians``
WCS                 ``meta.wcs`` (gwcs), else the keywords in ``meta.wcsinfo``
==================  ====================================================
"""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS

from galstep.datamodels.images.fits_header import combined_filter, pixel_scale_of
from galstep.datamodels.images.image_source import Calibration, ImageSource
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["is_image_model", "model_name", "model_source"]

_VARIANCES = ("var_poisson", "var_rnoise", "var_flat")
_ROMAN_UNIT = "MJy/sr"
_LEAST_POSSIBLE = -900000.0  # romancal writes -999999 for numbers that it does not know


def is_image_model(thing: Any) -> bool:
    """Whether ``thing`` looks like an image model of a telescope's pipeline."""
    return _array(thing, "data") is not None and _get(thing, "meta", "instrument") is not None


def model_name(model: GalaxyModel) -> str | None:
    """``meta.filename``, None if the model does not know it."""
    name = _get(model, "meta", "filename")
    return name if isinstance(name, str) and name.strip("? ") else None


def model_source(model: Any, where: str) -> ImageSource:
    """The image of such a model.

    Parameters
    ----------
    model : object
        See `is_image_model`.
    where : str
        What messages call it.

    Returns
    -------
    ImageSource

    Raises
    ------
    InputError
        If a plane has another shape than the image.
    """
    planes = {name: _array(model, name) for name in ("err", "wht", "weight", "dq", *_VARIANCES)}
    data = _array(model, "data")
    for name, plane in planes.items():
        if plane is not None and plane.shape != data.shape:
            raise InputError(
                f"{where}: {name} must have the shape of data {data.shape}, got {plane.shape}"
            )
    weight = planes["wht"] if planes["weight"] is None else planes["weight"]
    is_roman = _get(model, "meta", "instrument", "optical_element") is not None
    photometry = _get(model, "meta", "photometry")
    keywords = {
        "PIXAR_SR": _number(photometry, "pixelarea_steradians"),
        "PIXAR_A2": _number(photometry, "pixelarea_arcsecsq"),
    }
    return ImageSource(
        name=_filter_of(model),
        where=where,
        data=data,
        err=planes["err"],
        variances=tuple(planes[n] for n in _VARIANCES if planes[n] is not None),
        weight=weight,
        dq=planes["dq"],
        wcs=_wcs(model),
        unit=_get(model, "meta", "bunit_data") or (_ROMAN_UNIT if is_roman else None),
        pixel_scale=pixel_scale_of(keywords, where),
        calibration=Calibration(megajansky_per_sr=_number(photometry, "conversion_megajanskys")),
        zero_is_no_data=weight is None and planes["dq"] is None,
    )


def _get(node, *names):
    """An attribute or item, and so on down; None where one is missing."""
    for name in names:
        if hasattr(node, "get") and hasattr(node, "keys"):
            node = node.get(name)
        else:
            node = getattr(node, name, None)
        if node is None:
            return None
    return node


def _array(model, name):
    """A 2-D plane, None if the model has none.

    The models of jwst make an array of zeros of what they lack when it is asked
    for; they say beforehand whether they have it.
    """
    has = getattr(model, "hasattr", None)
    if callable(has) and not has(name):
        return None
    array = _get(model, name)
    is_image = hasattr(array, "dtype") and len(array.shape) == 2 and 0 not in array.shape
    return array if is_image else None


def _number(node, name):
    """A positive number, None where it is missing or not known."""
    value = None if node is None else _get(node, name)
    known = isinstance(value, numbers.Real) and _LEAST_POSSIBLE < value and value > 0
    return float(value) if known else None


def _filter_of(model):
    names = [_get(model, "meta", "instrument", n) for n in ("pupil", "filter", "optical_element")]
    return combined_filter(*(name if isinstance(name, str) else None for name in names))


def _wcs(model):
    """The model's WCS: an object of its own, or one made of FITS keywords."""
    wcs = _get(model, "meta", "wcs")
    if hasattr(wcs, "pixel_to_world_values"):
        return wcs
    info = _get(model, "meta", "wcsinfo")
    info = getattr(info, "instance", info)  # jwst keeps the plain mapping there
    if not hasattr(info, "get") or not info.get("ctype1"):
        return None
    keywords = {key.upper(): value for key, value in info.items() if np.isscalar(value)}
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [keywords["CTYPE1"], keywords["CTYPE2"]]
    for name in ("crpix", "crval", "cdelt"):
        setattr(wcs.wcs, name, [keywords[f"{name.upper()}{i}"] for i in (1, 2)])
    wcs.wcs.pc = [[keywords.get(f"PC{i}_{j}", float(i == j)) for j in (1, 2)] for i in (1, 2)]
    return wcs
