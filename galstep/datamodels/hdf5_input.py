"""The image file: HDF5 with one 2-D dataset per filter at the root.

Beside the images there may be

- a group ``error``, ``err`` or ``sigma`` with a 1-sigma map per filter,
- a group ``mask`` with a plane per filter, nonzero = bad,
- attributes at the dataset, or at the root for all: ``unit`` (or ``bunit``),
  ``pixel_scale`` (arcsec), ``wcs`` (or ``header``: a FITS header as one string).

What a file says of itself wins over the arguments. Pixels that are not finite
are no data. So are pixels that are exactly 0 where they make up at least a
thousandth of the frame: pipelines fill with zeros beyond the edge of a detector,
while a measured value that is exactly 0 is a rare accident.
"""

import logging
from math import sqrt
from pathlib import Path

import h5py
import numpy as np
from astropy.units import Unit

from galstep.datamodels.band import BandData
from galstep.datamodels.galaxy import GalaxyModel, Meta
from galstep.datamodels.hdf5_access import choose_filters, image_names, open_hdf5, read_image
from galstep.datamodels.psf_library import read_psfs
from galstep.datamodels.wcs_text import wcs_from_text
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.units import check_unit

__all__ = ["read_hdf5"]

log = logging.getLogger(__name__)

ERROR_GROUPS = ("error", "err", "sigma")
MASK_GROUP = "mask"
_SMALLEST_SIDE = 16
_LEAST_ZERO_FRACTION = 1e-3


def read_hdf5(path, psf_file, filters=None, pixel_scale=0.03, unit="MJy/sr"):
    """A `GalaxyModel` from an image file and a PSF file.

    Parameters
    ----------
    path : path-like
        The image file; see the module's text.
    psf_file : path-like
        The PSF file; see `galstep.datamodels.psf_library`.
    filters : sequence of str, optional
        The filters to take, in this order; by default all in the file's order.
    pixel_scale : float, optional
        Side of a pixel (arcsec) where the file does not tell.
    unit : str, optional
        Unit of the images where the file does not tell.

    Returns
    -------
    GalaxyModel
        A filter without any usable pixel stays in it, with the flag ``NO_DATA``.

    Raises
    ------
    InputError
        If a file, filter, attribute or array is missing or cannot be used, or
        no filter has a usable pixel.
    """
    path = Path(path)
    if psf_file is None:
        raise InputError(f"input {path}: images need their PSFs: give psf_file")
    where = f"input {path}"
    with open_hdf5(path, "input") as file:
        names = choose_filters(image_names(file), filters, where)
        planes = {name: _read_planes(file, name, where) for name in names}
        facts = {name: _read_facts(file, name, where, pixel_scale, unit) for name in names}
    _check_units(facts, where)
    shape = _common_shape(planes, where)
    psfs = read_psfs(psf_file, names)
    bands = {name: _band(name, planes[name], psfs[name], facts[name]) for name in names}
    if not any(band.usable for band in bands.values()):
        raise InputError(f"{where}: no filter has a usable pixel, all are masked or not finite")
    meta = Meta(name=path.stem, filename=path.name, input_shape=shape)
    return GalaxyModel(meta, bands)


def _read_planes(file, name, where):
    """Data, error and mask of one filter; the last two may be None."""
    data = read_image(file[name], f"{where}: {name}")
    planes = {"data": data}
    for role, group in (("err", _error_group(file, where)), ("mask", MASK_GROUP)):
        dataset = file.get(f"{group}/{name}") if group else None
        planes[role] = None
        if isinstance(dataset, h5py.Dataset):
            what = f"{where}: {group}/{name}"
            planes[role] = read_image(dataset, what)
            if planes[role].shape != data.shape:
                raise InputError(
                    f"{what} must have the shape of the image {data.shape}, "
                    f"got {planes[role].shape}"
                )
    return planes


def _error_group(file, where):
    """Name of the group with the error maps, None if there is none."""
    present = [name for name in ERROR_GROUPS if isinstance(file.get(name), h5py.Group)]
    if len(present) > 1:
        raise InputError(f"{where}: one group of errors is needed, got {' and '.join(present)}")
    return present[0] if present else None


def _common_shape(planes, where):
    """(ny, nx) of every image."""
    shapes = {name: plane["data"].shape for name, plane in planes.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"{where}: all images must have one shape, got {listed}")
    shape = next(iter(shapes.values()))
    if min(shape) < _SMALLEST_SIDE:
        raise InputError(
            f"{where}: images must have at least {_SMALLEST_SIDE} pixels a side, got {shape}"
        )
    return shape


def _read_facts(file, name, where, pixel_scale, unit):
    """Unit, pixel scale and WCS: of the dataset, else of the root, else as given."""
    attributes = {**file.attrs, **file[name].attrs}
    what = f"{where}: {name}"
    header = attributes.get("wcs", attributes.get("header"))
    wcs = None if header is None else wcs_from_text(header, what)
    if "pixel_scale" in attributes:
        pixel_scale = attributes["pixel_scale"]
    elif wcs is not None:
        pixel_scale = sqrt(wcs.proj_plane_pixel_area().to_value("arcsec2"))
    unit = attributes.get("unit", attributes.get("bunit", unit))
    return {
        "unit": check_unit(unit, what),
        "pixel_scale": _positive_number(pixel_scale, f"{what}: pixel_scale"),
        "wcs": wcs,
    }


def _check_units(facts, where):
    """Units must convert into each other: fluxes of all filters share a column."""
    units = [fact["unit"] for fact in facts.values()]
    for unit in units:
        if not Unit(unit).is_equivalent(units[0]):
            raise InputError(
                f"{where}: units must convert into each other, got {units[0]!r} and {unit!r}"
            )


def _positive_number(value, what):
    number = np.ravel(value)
    if number.size != 1 or number.dtype.kind not in "fiu" or not 0 < number[0] < np.inf:
        raise InputError(f"{what} must be a positive number (arcsec), got {value!r}")
    return float(number[0])


def _band(name, planes, psf, facts):
    """The filter as `BandData`, its pixels sorted into good and bad."""
    data, err, mask = planes["data"], planes["err"], planes["mask"]
    array, oversample = psf
    zero = data == 0
    if np.count_nonzero(zero) >= _LEAST_ZERO_FRACTION * data.size:
        log.info("%s: %d pixels are exactly 0 and taken as no data", name, zero.sum())
        data[zero] = np.nan
    band = BandData(
        name, data, array, oversample, err=err, mask=None if mask is None else mask != 0, **facts
    )
    if not band.usable:
        band.flags |= BandFlag.NO_DATA
        band.reasons.append("every pixel is masked or not finite")
        log.warning("%s: every pixel is masked or not finite; nothing is measured in it", name)
    return band
