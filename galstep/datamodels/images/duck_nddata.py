"""Images in memory: astropy's ``NDData`` and ``CCDData``, and plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.nddata import (
    InverseVariance,
    NDData,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.units import Quantity, UnitConversionError

from galstep.datamodels.images.fits_header import calibration_of, filter_of_header, pixel_scale_of
from galstep.datamodels.images.image_source import ImageSource
from galstep.exceptions import InputError

__all__ = ["array_source", "nddata_source"]


def array_source(array: np.ndarray, where: str) -> ImageSource:
    """A 2-D array as an image, with mask and unit if it has them.

    Parameters
    ----------
    array : array
        Of numpy, a masked one, a Quantity, or a ``Masked`` of astropy.
    where : str
        What messages call it.

    Returns
    -------
    ImageSource

    Raises
    ------
    InputError
        If it is no image of real numbers.
    """
    array, mask, unit = _taken_apart(array)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise InputError(
            f"{where} must be a 2-D image of real numbers, got shape {array.shape} "
            f"and type {array.dtype}"
        )
    return ImageSource(
        name=None, where=where, data=array, mask=mask, unit=unit, zero_is_no_data=mask is None
    )


def _taken_apart(array):
    """Plain numbers, mask or None, unit or None."""
    mask = unit = None
    if hasattr(array, "unmasked"):  # Masked, with or without a unit
        array, mask = array.unmasked, np.array(array.mask)
    if isinstance(array, Quantity):
        array, unit = array.value, array.unit
    if isinstance(array, np.ma.MaskedArray):
        array, mask = np.ma.getdata(array), np.ma.getmaskarray(array)
    return np.asarray(array), mask, unit


def nddata_source(image: NDData, where: str) -> ImageSource:
    """An ``NDData`` with what it has of uncertainty, mask, unit, WCS and header.

    Parameters
    ----------
    image : `astropy.nddata.NDData`
        ``meta`` may be the header of a FITS file.
    where : str
        What messages call it.

    Returns
    -------
    ImageSource

    Raises
    ------
    InputError
        If the data are no image, or the uncertainty is of an unknown kind or in
        a unit of its own.
    """
    source = array_source(np.asanyarray(image.data), where)
    header = {str(key).upper(): value for key, value in image.meta.items()}
    source.name = filter_of_header(header)
    own_mask, mask = source.mask, _mask(image, where)
    source.mask = own_mask if mask is None else mask if own_mask is None else own_mask | (mask != 0)
    source.wcs = getattr(image.wcs, "low_level_wcs", image.wcs)
    source.unit = image.unit if image.unit is not None else source.unit or header.get("BUNIT")
    source.pixel_scale = pixel_scale_of(header, where)
    source.calibration = calibration_of(header, where)
    source.zero_is_no_data = source.mask is None
    _take_uncertainty(source, image)
    return source


def is_nddata(thing: Any) -> bool:
    """Whether ``thing`` is an ``NDData`` or one of its subclasses."""
    return isinstance(thing, NDData)


def _mask(image, where):
    if image.mask is None:
        return None
    mask = np.broadcast_to(np.asarray(image.mask), image.data.shape)
    if mask.dtype.kind not in "biu":
        raise InputError(f"{where}: mask must be boolean or integer, got {mask.dtype}")
    return mask


def _take_uncertainty(source, image):
    uncertainty = image.uncertainty
    if uncertainty is None or uncertainty.array is None:
        return
    array = np.broadcast_to(np.asanyarray(uncertainty.array), image.data.shape)
    if isinstance(uncertainty, StdDevUncertainty):
        source.err = array
    elif isinstance(uncertainty, VarianceUncertainty):
        source.variances = (array,)
    elif isinstance(uncertainty, InverseVariance):
        source.variances = (_inverse(array),)
    else:
        raise InputError(
            f"{source.where}: uncertainty must be StdDevUncertainty, VarianceUncertainty or "
            f"InverseVariance, got {type(uncertainty).__name__}"
        )
    if image.unit is not None and uncertainty.unit is not None:
        _convert(source, image.unit, uncertainty)


def _convert(source, unit, uncertainty):
    """The uncertainty in the unit of the data, if it is in another."""
    power = {"std": 1, "var": 2, "ivar": -2}[uncertainty.uncertainty_type]
    if uncertainty.unit == unit**power:
        return
    try:
        # what is kept is a sigma, or a variance
        own = uncertainty.unit if power > 0 else uncertainty.unit**-1
        factor = float(own.to(unit ** abs(power)))
    except UnitConversionError as error:
        raise InputError(
            f"{source.where}: the uncertainty must be in a unit that converts to that of the data "
            f"({unit**power}), got {uncertainty.unit}"
        ) from error
    if power == 1:
        source.err = np.asarray(source.err, dtype=float) * factor
    else:
        source.variances = (np.asarray(source.variances[0], dtype=float) * factor,)


def _inverse(array):
    with np.errstate(divide="ignore"):
        return np.where(array > 0, 1.0 / array, np.nan)
