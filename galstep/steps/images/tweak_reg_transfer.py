"""The correction of one image given to another: a mask, another reduction, another chip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels.sky.image_list import ImageList

__all__ = ["transfer_correction"]


def transfer_correction(result: ImageList, index: int, source: Any) -> SkyImage:
    """Correct another image as ``TweakReg`` has corrected one.

    Parameters
    ----------
    result : `galstep.datamodels.sky.image_list.ImageList`
        What ``TweakReg`` returned.
    index : int
        Number of the image whose correction is taken.
    source : path-like or object
        The other image, as `galstep.datamodels.sky.image_door.open_image` takes it.
        Its WCS must be of the same pointing, before any correction; it need
        not have the same pixels. Nothing in it is changed.

    Returns
    -------
    `galstep.datamodels.sky.sky_image.SkyImage`
        With the corrected WCS; it has ``save``.

    Raises
    ------
    InputError
        If that image was not aligned, or the other one has no WCS.
    """
    found = [a for a in result.alignments[index] if a is not None]
    if not found or found[-1].status == "failed":
        reason = found[-1].reason if found else "it was not tried"
        raise InputError(f"image {result[index].name!r} was not aligned: {reason}")
    image = open_image(source)
    if image.wcs is None:
        raise InputError(f"image {image.name!r} has no WCS: there is nothing to correct")
    for alignment in found:
        if alignment.status == "aligned":
            header = image.fits_wcs
            image = replace(
                image,
                wcs=alignment.correct(image.wcs, image.shape, image.wcsinfo),
                fits_wcs=None if header is None else alignment.correct(header, image.shape),
            )
    return image
