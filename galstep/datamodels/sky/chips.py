"""FITS files with the chips of one exposure: several extensions SCI, as those of HST."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.files.fits_bounds import warn_of_checksums
from galstep.datamodels.images.fits_input import header_wcs, open_fits, sound
from galstep.datamodels.input.open import kind_of_file
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.hints import PathLike

__all__ = ["file_of_chips", "open_chips", "products_of"]

_SUFFIX = "_sci"


def open_chips(path: PathLike) -> list[SkyImage]:
    """The chips in a FITS file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of `galstep.datamodels.sky.sky_image.SkyImage`
        One of each extension SCI that has an image, with ERR and DQ of the same
        EXTVER; they are one group unless their headers have different FILTER.
        Empty where there are not two of them:
        `~galstep.datamodels.sky.image_door.open_image` opens that.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    path = Path(path)
    if kind_of_file(path) != "fits":
        return []
    with ExitStack() as stack:
        hdulist = open_fits(path, "input", stack, sums=False)
        numbers = [
            i
            for i, hdu in enumerate(hdulist)
            if hdu.name == "SCI" and hdu.is_image and hdu.header["NAXIS"] == 2
        ]
        if len(numbers) < 2:
            return []
        warn_of_checksums(hdulist, f"input {path}")
        with sound(f"input {path}"):
            chips = [_chip(hdulist, number, path) for number in numbers]
            filters = {str(hdulist[number].header.get("FILTER", "")) for number in numbers}
    # images in several filters are no chips of one exposure
    group = str(path.resolve()) if len(filters) == 1 else None
    return [replace(chip, group_id=group) for chip in chips]


def _chip(hdulist, number, path):
    header = hdulist[number].header
    data = hdulist[number].data
    version = header.get("EXTVER", 1)
    planes = {}
    for name in ("ERR", "DQ"):
        if (name, version) in hdulist and hdulist[name, version].shape == data.shape:
            planes[name.lower()] = hdulist[name, version].data
    meta = SimpleNamespace(
        wcs=header_wcs(hdulist[number], hdulist, f"{path}[SCI,{version}]"),
        filename=f"{path.stem}{_SUFFIX}{version}",
        bunit_data=header.get("BUNIT"),
        wcsinfo=None,
    )
    image = open_image(SimpleNamespace(data=np.asarray(data), meta=meta, **planes))
    return replace(image, name=meta.filename, source=path, extension=number)


def file_of_chips(name: str) -> str:
    """What the file of a chip is called, of the name of the chip."""
    return name.rpartition(_SUFFIX)[0] or name


def products_of(images: Iterable[SkyImage]) -> list[list[SkyImage]]:
    """Which images are saved in one file: the chips that came from one.

    Parameters
    ----------
    images : iterable of `galstep.datamodels.sky.sky_image.SkyImage`

    Returns
    -------
    list of lists of `galstep.datamodels.sky.sky_image.SkyImage`
    """
    files: dict[object, list[SkyImage]] = {}
    for number, image in enumerate(images):
        own = image.source if isinstance(image.source, str | os.PathLike) else number
        chips = files.setdefault(own, [])
        # the same file given twice is two images
        if any(chip.extension == image.extension for chip in chips):
            chips = files.setdefault(number, [])
        chips.append(image)
    return list(files.values())
