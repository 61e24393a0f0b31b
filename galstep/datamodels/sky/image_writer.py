"""Writing images whose WCS has been corrected: all else as it was."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.images.embedded_wcs import with_embedded_meta, without_embedded_wcs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.sky.sky_image import SkyImage
    from galstep.hints import PathLike

__all__ = ["corrected_model", "is_model", "save_chips", "save_image"]

log = logging.getLogger("stpipe.galstep.image_writer")

_LINEAR_KEYS = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2",
                "CDELT1", "CDELT2", "CROTA1", "CROTA2")  # fmt: skip
# FITS keyword of meta.cal_step.tweakreg
STATUS_KEY = "S_TWKREG"
# What a FITS approximation of a gwcs may be off by, pixels.
LARGEST_ERROR = 0.01


def save_image(image: SkyImage, path: PathLike) -> str:
    """Write an image as FITS; see ``save`` of `galstep.datamodels.sky.sky_image.SkyImage`."""
    path = Path(path)
    if is_model(image.source):
        return str(corrected_model(image).save(str(path)))
    if isinstance(image.source, str | os.PathLike):
        return save_chips([image], path)
    with replacing(path) as temporary:
        _write_arrays(image, temporary)
    return str(path)


def is_model(source: Any) -> bool:
    """Whether an image came from a model that can save itself."""
    return hasattr(source, "save") and hasattr(getattr(source, "meta", None), "wcs")


def save_chips(images: Sequence[SkyImage], path: PathLike) -> str:
    """Write the file that images came from, with the WCS of each of them.

    Parameters
    ----------
    images : sequence of `galstep.datamodels.sky.sky_image.SkyImage`
        From one file, of different extensions.
    path : path-like

    Returns
    -------
    str
    """
    from astropy.io import fits

    path = Path(path)
    with replacing(path) as temporary, fits.open(images[0].source) as hdulist:
        wcs = None
        for image in images:
            if image.wcs_is_original:
                continue
            _correct(hdulist[image.extension].header, image)
            if _is_gwcs(image.wcs):
                wcs = image.wcs
            else:
                without_embedded_wcs(hdulist)
        told = [status for status in map(_status, images) if status]
        status = "FAILED" if "FAILED" in told else (told or [None])[0]
        if status:
            hdulist[0].header[STATUS_KEY] = (status, "alignment by stars")
        with_embedded_meta(hdulist, wcs=wcs, cal_step={"tweakreg": status} if status else {})
        hdulist.writeto(temporary, output_verify="silentfix+ignore")
    return str(path)


def _correct(header, image):
    wcs = image.wcs if image.fits_wcs is None else image.fits_wcs
    cards = _header_of(wcs)
    if cards is None:
        return
    for key in _LINEAR_KEYS:
        header.remove(key, ignore_missing=True)
    header.update(cards)
    region = _region(image.wcs, image.shape)
    if "S_REGION" in header and region:
        header["S_REGION"] = region


def _write_arrays(image, path):
    from astropy.io import fits

    header = (None if image.wcs is None else _header_of(image.wcs)) or fits.Header()
    if image.unit:
        header["BUNIT"] = image.unit
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.asarray(image.data), header, name="SCI")]
    if _status(image):
        hdus[0].header[STATUS_KEY] = (_status(image), "alignment by stars")
    if image.err is not None:
        hdus.append(fits.ImageHDU(np.asarray(image.err), name="ERR"))
    if image.mask is not None:
        hdus.append(fits.ImageHDU(np.asarray(image.mask, dtype=np.uint8), name="DQ"))
    hdulist = fits.HDUList(hdus)
    if _is_gwcs(image.wcs):
        with_embedded_meta(hdulist, wcs=image.wcs, cal_step={}, make=True)
    hdulist.writeto(path)


def corrected_model(image: SkyImage, model: Any = None) -> Any:
    """The model that an image came from, with the corrected WCS.

    Parameters
    ----------
    image : `galstep.datamodels.sky.sky_image.SkyImage`
        From a model with ``copy`` and ``meta.wcs``.
    model : object, optional
        Changed in place; default is a copy of that model.

    Returns
    -------
    object
        ``meta.wcs``, the FITS keywords in ``meta.wcsinfo`` and
        ``meta.cal_step.tweakreg`` are new.
    """
    model = image.source.copy() if model is None else model
    if not image.wcs_is_original:
        model.meta.wcs = image.wcs
        _correct_wcsinfo(model, image)
    if _status(image) and hasattr(model.meta, "cal_step"):
        model.meta.cal_step.tweakreg = _status(image)
    return model


def _correct_wcsinfo(model, image):
    info = getattr(model.meta, "wcsinfo", None)
    keywords = getattr(info, "instance", info)
    if not hasattr(keywords, "update") or not _is_gwcs(image.wcs):
        return
    cards = _header_of(image.wcs)
    if cards is not None:
        for key in [*map(str.lower, _LINEAR_KEYS), *filter(_is_sip, list(keywords))]:
            keywords.pop(key, None)
        keywords.update({key.lower(): value for key, value in cards.items()})
    if keywords.get("s_region"):
        keywords["s_region"] = _region(image.wcs, image.shape) or keywords["s_region"]


def _is_sip(key):
    return key.split("_")[0] in ("a", "b", "ap", "bp")


def _status(image):
    return getattr(getattr(image.meta, "cal_step", None), "tweakreg", None)


def _is_gwcs(wcs):
    return hasattr(wcs, "available_frames")


def _header_of(wcs):
    """The cards of a WCS; None where a gwcs cannot be written as one of FITS."""
    if not _is_gwcs(wcs):
        return wcs.to_header(relax=True)
    from astropy.io import fits

    try:
        header = fits.Header(wcs.to_fits_sip(max_pix_error=LARGEST_ERROR, max_inv_pix_error=None))
    except (ValueError, RuntimeError, NotImplementedError, TypeError) as error:
        log.warning("the corrected gwcs has no FITS approximation, the header is left: %s", error)
        return None
    for key in ("NAXIS", "NAXIS1", "NAXIS2", "SIMPLE", "BITPIX", "EXTEND"):
        header.remove(key, ignore_missing=True)
    return header


def _region(wcs, shape):
    """The corners as jwst writes them in S_REGION; None for a FITS WCS or another frame."""
    frame = getattr(getattr(wcs, "output_frame", None), "reference_frame", None)
    if getattr(frame, "name", None) != "icrs":
        return None
    ny, nx = shape
    box = wcs.bounding_box
    (x_0, x_1), (y_0, y_1) = (
        ((-0.5, nx - 0.5), (-0.5, ny - 0.5)) if box is None else tuple(map(tuple, box))
    )
    lon, lat = wcs([x_0, x_0, x_1, x_1], [y_0, y_1, y_1, y_0], with_bounding_box=False)
    corners = " ".join(f"{a:.9f} {d:.9f}" for a, d in zip(lon, lat, strict=True))
    return f"POLYGON ICRS  {corners}"
