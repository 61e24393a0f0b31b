"""HDF5 image files: one 2-D dataset per filter at the root, or sphot's results.

Beside the images there may be

- a group ``error``, ``err`` or ``sigma`` with a 1-sigma map per filter,
- a group ``mask`` with a plane per filter, nonzero = bad,
- attributes at the dataset, or at the root for all: ``unit`` (or ``bunit``),
  ``pixel_scale`` (arcsec), ``wcs`` (or ``header``: a FITS header as one string).

Pixels that are exactly 0 are no data where they make up at least a thousandth of
the frame: pipelines fill with zeros beyond the edge of a detector, while a
measured value that is exactly 0 is a rare accident.

A result of sphot, or of galstep in that layout, has a group per filter instead.
Of it the image and the PSF are read, not what was fitted. sphot's ``data_error``
is left aside: it is the scatter of the whole frame, stars included.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import h5py
import numpy as np

from galstep.datamodels.files.hdf5_access import choose_filters, image_names, read_image
from galstep.datamodels.files.psf_bounds import check_psf
from galstep.datamodels.files.wcs_text import wcs_from_text
from galstep.datamodels.images.image_source import ImageSource
from galstep.exceptions import InputError
from galstep.psf_array import whole_oversample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h5py import File

    from galstep.hints import PathLike

__all__ = ["hdf5_sources", "is_own_result"]

log = logging.getLogger(__name__)

ERROR_GROUPS = ("error", "err", "sigma")
MASK_GROUP = "mask"
_OWN_MARK = "galstep_version"
_RESULT_IMAGES = ("_rawdata", "data")  # sphot's data have the sky subtracted


def hdf5_sources(file: File, where: str, filters: Sequence[str] | None = None) -> list[ImageSource]:
    """The images of an HDF5 file.

    Parameters
    ----------
    file : `h5py.File`
    where : str
        The file, as messages call it.
    filters : sequence of str, optional
        The filters to take, in this order; by default all in the file's order.

    Returns
    -------
    list of ImageSource

    Raises
    ------
    InputError
        If a filter, attribute or array is missing or cannot be used.
    """
    results = [name for name in file if _is_result(file.get(name))]
    if results:
        names = choose_filters(results, filters, where)
        return [_result_source(file, name, where) for name in names]
    names = choose_filters(image_names(file), filters, where)
    return [_image_source(file, name, where) for name in names]


def is_own_result(path: PathLike) -> bool:
    """Whether an HDF5 file is one that galstep has written."""
    try:
        with h5py.File(path, "r") as file:
            return _OWN_MARK in file.attrs
    except OSError:
        return False


def _image_source(file, name, where):
    planes = _read_planes(file, name, where)
    return ImageSource(
        name=name, where=f"{where}: {name}", **planes, **_read_facts(file, name, where)
    )


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


def _read_facts(file, name, where):
    """Unit, pixel scale and WCS: of the dataset or group, else of the root."""
    attributes = {**file.attrs, **file[name].attrs}
    what = f"{where}: {name}"
    header = attributes.get("wcs", attributes.get("header"))
    pixel_scale = attributes.get("pixel_scale")
    if pixel_scale is not None:
        pixel_scale = _positive_number(pixel_scale, f"{what}: pixel_scale")
    return {
        "unit": attributes.get("unit", attributes.get("bunit")),
        "pixel_scale": pixel_scale,
        "wcs": None if header is None else wcs_from_text(header, what),
    }


def _positive_number(value, what):
    number = np.ravel(value)
    if number.size != 1 or number.dtype.kind not in "fiu" or not 0 < number[0] < np.inf:
        raise InputError(f"{what} must be a positive number (arcsec), got {value}")
    return float(number[0])


def _is_result(node):
    """Whether this is a filter of a result: a group with an image and its PSF."""
    if not isinstance(node, h5py.Group):
        return False
    return any(name in node for name in _RESULT_IMAGES) and "psf" in node


def _result_source(file, name, where):
    """The image and PSF of a filter in a result."""
    group, what = file[name], f"{where}: {name}"
    is_ours = _OWN_MARK in file.attrs
    image = next(n for n in _RESULT_IMAGES if n in group)
    psf = group["_psf_raw" if "_psf_raw" in group else "psf"]
    has_error, has_mask = is_ours and "data_error" in group, is_ours and "mask" in group
    return ImageSource(
        name=name,
        where=what,
        data=read_image(group[image], f"{what}/{image}"),
        err=read_image(group["data_error"], f"{what}/data_error") if has_error else None,
        mask=read_image(group["mask"], f"{what}/mask") if has_mask else None,
        psf=(check_psf(read_image(psf, f"{what}/psf"), f"{what}/psf"), _oversample(group, what)),
        origin=_result_origin(file, is_ours, group[image].shape),
        **_read_facts(file, name, where),
    )


def _oversample(group, what):
    node = group.get("psf_oversample")
    is_one = isinstance(node, h5py.Dataset) and node.size == 1
    return whole_oversample(np.ravel(node[()] if is_one else ()), f"{what}/psf_oversample")


def _result_origin(file, is_ours, shape):
    """(x, y) of the crop's first pixel in the frame that was cropped."""
    centre = [file.get(f"crop_{axis}0") for axis in "xy"]
    if any(not isinstance(node, h5py.Dataset) or node.shape for node in centre):
        return (0, 0)
    centre = [float(node[()]) for node in centre]
    if is_ours:  # the middle of the crop
        return tuple(round(c - (n - 1) / 2) for c, n in zip(centre, shape[::-1], strict=True))
    size = file.get("crop_size")
    side = float(size[()]) if isinstance(size, h5py.Dataset) and not size.shape else shape[0]
    return tuple(round(c - np.ceil(side / 2)) for c in centre)
