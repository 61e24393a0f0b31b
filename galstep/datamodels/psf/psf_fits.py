"""PSFs in FITS files: images, the output of STPSF, grids of PSFs.

A 2-D image is an effective PSF, the pixel's response included, sampled
``DET_SAMP`` or ``OVERSAMP`` times finer than the image; its filter is told by
``FILTER``, the name of the extension, or that of the file. In a file of STPSF
(extensions ``OVERSAMP``, ``OVERDIST``, ``DET_SAMP``, ``DET_DIST``) the oversampled
one with distortion is taken; the light on its samples has not been integrated over
a pixel yet, which is done. ``PIXELSCL``, arcsec per sample, tells whether the PSF
is sampled for pixels of another size. A 3-D image is a grid of PSFs over the
detector, as photutils' ``GriddedPSFModel`` reads it. A ``.psf`` file of PSFEx is a PSF
by place, see `galstep.datamodels.psf.psfex`.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.image_bounds import check_pixels
from galstep.datamodels.files.psf_bounds import check_psf_size
from galstep.datamodels.images.fits_header import filter_in_text, filter_of_header, positive
from galstep.datamodels.images.fits_input import is_image, open_fits, sound
from galstep.datamodels.psf.psfex import psfex_model
from galstep.exceptions import InputError
from galstep.psf_array import whole_oversample

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["PsfSource", "fits_psfs"]

_STPSF_NAMES = ("OVERDIST", "OVERSAMP")  # in the order of preference
_STPSF_OTHERS = ("DET_SAMP", "DET_DIST")
_OVERSAMPLE_KEYWORDS = ("DET_SAMP", "OVERSAMP", "OVERSAM", "OVERSAMPLE", "OSAMP")


@dataclass(eq=False)
class PsfSource:
    """A PSF as a file or an object offers it.

    Parameters
    ----------
    name : str or None
        Its filter; None where nothing tells.
    where : str
        What messages call it.
    array : 2-D array, optional
    oversample : int, optional
        Samples of ``array`` per pixel; None where nothing tells.
    sample_side : float, optional
        Arcsec per sample.
    has_pixel : bool, optional
        Whether the pixel's response is in ``array``.
    model : object, optional
        Instead of the array; see `galstep.datamodels.psf.psf_models`.
    """

    name: str | None
    where: str
    array: np.ndarray | None = None
    oversample: int | None = None
    sample_side: float | None = None
    has_pixel: bool = True
    model: Any = None


def fits_psfs(path: PathLike) -> list[PsfSource]:
    """All PSFs in a FITS file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of PsfSource

    Raises
    ------
    InputError
        If the file is damaged, or holds none.
    """
    where = f"psf_file {path}"
    with ExitStack() as stack, sound(where):
        hdus = open_fits(path, "psf_file", stack)
        if (model := psfex_model(hdus, where)) is not None:
            return [PsfSource(filter_in_text(Path(path).stem), where, model=model)]
        images = [hdu for hdu in hdus if is_image(hdu)]
        names = [hdu.name.upper() for hdu in images]
        if any(len(hdu.shape) == 3 for hdu in images):
            return [_grid(path, hdus[0], where)]
        for name in _STPSF_NAMES:
            if name in names and set(names) & set(_STPSF_NAMES + _STPSF_OTHERS) - {name}:
                images, has_pixel = [images[names.index(name)]], False
                break
        else:
            has_pixel = True
        sources = [_image(hdu, hdus[0].header, path, has_pixel) for hdu in images]
    if not sources:
        raise InputError(f"{where}: there is no image in it")
    return sources


def _image(hdu, primary, path, has_pixel):
    where = f"psf_file {path}[{hdu.name or 'PRIMARY'}]"
    if len(hdu.shape) != 2:
        raise InputError(f"{where} must be a 2-D image, got shape {hdu.shape}")
    header = {card.keyword: card.value for h in (primary, hdu.header) for card in h.cards}
    oversample = next(
        (v for v in (positive(header, k, where) for k in _OVERSAMPLE_KEYWORDS) if v), None
    )
    check_psf_size(hdu.shape, where)
    try:
        array = np.array(hdu.data, dtype=float)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{where} cannot be read ({error})") from error
    return PsfSource(
        filter_of_header(header) or filter_in_text(hdu.name) or filter_in_text(Path(path).stem),
        where,
        array,
        None if oversample is None else whole_oversample(oversample, where),
        positive(header, "PIXELSCL", where),
        has_pixel,
    )


def _grid(path, hdu, where):
    from astropy.io.fits.verify import VerifyWarning
    from photutils.psf import GriddedPSFModel

    header = hdu.header
    check_pixels(hdu.shape, where)
    try:
        if "DET_YX0" in header:
            model = _stpsf_grid(hdu)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", VerifyWarning)
                model = GriddedPSFModel.read(str(path), format="stdpsf")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise InputError(
            f"{where}: no grid of PSFs that photutils reads ({error}); one that needs more than "
            "the file's name can be given as a GriddedPSFModel in Python"
        ) from error
    keywords = {card.keyword: card.value for card in header.cards}
    name = filter_of_header(keywords) or filter_in_text(Path(path).stem)
    return PsfSource(name, where, model=model)


def _stpsf_grid(hdu):
    """A grid that STPSF has written.

    The keywords hold (y, x); the reader of photutils 3.0 takes that for (x, y).
    """
    from astropy.nddata import NDData
    from photutils.psf import GriddedPSFModel

    header = hdu.header
    texts = [header[f"DET_YX{i}"] for i in range(hdu.shape[0])]
    places = [tuple(map(float, text.strip("() ").split(",")))[::-1] for text in texts]
    meta = {"grid_xypos": places, "oversampling": int(header["OVERSAMP"])}
    return GriddedPSFModel(NDData(np.array(hdu.data, dtype=float), meta=meta))
