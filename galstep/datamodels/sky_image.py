"""`SkyImage`: one image with its WCS, wherever it comes from; `ImageList`: several.

What steps work on that measure whole images instead of one galaxy.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.units import Unit

from galstep.datamodels.atomic import replacing
from galstep.datamodels.calibration import surface_brightness_factor
from galstep.datamodels.embedded_wcs import with_embedded_wcs
from galstep.datamodels.image_source import Calibration
from galstep.sky_frame import pixel_side

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["SkyImage", "brightness_of", "open_image", "pixel_area", "pixel_side_of"]

_LINEAR_KEYS = ("CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2", "PC2_1", "PC2_2",
                "CDELT1", "CDELT2", "CROTA1", "CROTA2")  # fmt: skip


@dataclass(eq=False)
class SkyImage:
    """One image.

    Parameters
    ----------
    name : str
        Stem of its file.
    data : (ny, nx) array
        As it came: a memory map for a FITS file. Not finite where masked.
    err : (ny, nx) array, optional
        1-sigma error.
    mask : (ny, nx) bool array, optional
        True = bad, beside pixels that are not finite.
    wcs : `astropy.wcs.WCS` or `gwcs.WCS`, optional
    fits_wcs : `astropy.wcs.WCS`, optional
        The WCS of the header where ``wcs`` is a gwcs.
    wcsinfo : dict, optional
        v2_ref, v3_ref (arcsec), roll_ref (degrees) of an exposure.
    unit : str, optional
    source : object, optional
        The file, or the model it was taken from.
    extension : int, optional
        Number of the image's HDU in the file.
    filter : str, optional
        None where nothing tells.
    pixel_scale : float, optional
        Side of a pixel (arcsec), where something else than the WCS tells.
    calibration : `galstep.datamodels.image_source.Calibration`, optional
    reasons : list of str, optional
        What is to be said of the image.
    """

    name: str
    data: np.ndarray
    err: np.ndarray | None = None
    mask: np.ndarray | None = None
    wcs: Any = None
    fits_wcs: Any = None
    wcsinfo: dict | None = None
    unit: str = ""
    source: Any = None
    extension: int = 0
    meta: SimpleNamespace = field(default_factory=SimpleNamespace)
    filter: str | None = None
    pixel_scale: float | None = None
    calibration: Calibration = field(default_factory=Calibration)
    reasons: list = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape

    def bad_pixels(self, part: Any = np.s_[:, :]) -> np.ndarray:
        """True where a pixel cannot be used; of all or of a part of the image."""
        bad = ~np.isfinite(self.data[part])
        if self.mask is not None:
            bad |= np.asarray(self.mask[part], dtype=bool)
        if self.err is not None:
            error = self.err[part]
            bad |= ~(np.isfinite(error) & (error > 0))
        return bad

    def save(self, path: PathLike) -> str:
        """Write the image as FITS, all else in its file as it was.

        An image that came from a model with a ``save`` of its own is saved by
        that, with the WCS put into ``meta.wcs``.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        str
        """
        path = Path(path)
        own = getattr(self.source, "save", None)
        if own is not None and hasattr(getattr(self.source, "meta", None), "wcs"):
            self.source.meta.wcs = self.wcs
            return str(own(str(path)))
        with replacing(path) as temporary:
            self._write(temporary)
        return str(path)

    def _write(self, path):
        from astropy.io import fits

        if isinstance(self.source, str | os.PathLike):
            with fits.open(self.source) as hdulist:
                header_wcs = self.wcs if self.fits_wcs is None else self.fits_wcs
                _set_wcs(hdulist[self.extension].header, header_wcs)
                if self.fits_wcs is not None:
                    with_embedded_wcs(hdulist, self.wcs)
                hdulist.writeto(path, output_verify="silentfix+ignore")
            return
        header = fits.Header() if self.wcs is None else _header_of(self.wcs)
        if self.unit:
            header["BUNIT"] = self.unit
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.asarray(self.data), header, name="SCI")]
        if self.err is not None:
            hdus.append(fits.ImageHDU(np.asarray(self.err), name="ERR"))
        if self.mask is not None:
            hdus.append(fits.ImageHDU(np.asarray(self.mask, dtype=np.uint8), name="DQ"))
        fits.HDUList(hdus).writeto(path)


def _header_of(wcs):
    if hasattr(wcs, "available_frames"):
        from astropy.io import fits

        return fits.Header(wcs.to_fits_sip())
    return wcs.to_header(relax=True)


def _set_wcs(header, wcs):
    for key in _LINEAR_KEYS:
        header.remove(key, ignore_missing=True)
    header.update(_header_of(wcs))


def open_image(
    source: Any, error: Any = None, mask: Any = None, choose: str | None = None
) -> SkyImage:
    """One image from a file or an object.

    Parameters
    ----------
    source : SkyImage, path-like, array, NDData, CCDData, HDUList or image model
        See `galstep.datamodels.image_door.read_image`; a gwcs in the extension ASDF of
        a FITS file is preferred to the header.
    error : array or Quantity, optional
        1-sigma errors in place of those that come with the image.
    mask : bool array, optional
        True = bad, beside what the image says.
    choose : str, optional
        Which image of several.

    Returns
    -------
    SkyImage

    Raises
    ------
    InputError
        If there is no image in it, or several.
    """
    if isinstance(source, SkyImage) and error is None and mask is None:
        return source
    from galstep.datamodels.image_door import read_image

    return read_image(source, error, mask, choose)


def pixel_side_of(image: SkyImage) -> float | None:
    """Side of a pixel (arcsec) in the middle of an image, or as it is told; else None."""
    if image.wcs is None:
        return image.pixel_scale
    ny, nx = image.shape
    side = pixel_side(image.wcs, (nx - 1) / 2, (ny - 1) / 2)
    return side if side > 0 else None


def pixel_area(image: SkyImage) -> float | None:
    """Solid angle of a pixel in the middle of a `SkyImage`, sr; None where nothing tells."""
    side = pixel_side_of(image)
    return None if side is None else float(np.radians(side / 3600) ** 2)


def brightness_of(image: SkyImage) -> float | None:
    """MJy/sr of one image unit by the keywords of a `SkyImage`; None where these do not tell.

    A unit that is a brightness by itself needs none.
    """
    area = pixel_area(image)
    if area is None or not image.unit:
        return None
    return surface_brightness_factor(Unit(image.unit), area, image.calibration)[0]
