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

from galstep.datamodels.embedded_wcs import read_embedded_wcs
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["SkyImage", "open_image", "pixel_area"]

DO_NOT_USE = 1  # bit of the DQ planes of jwst and roman


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
    meta : namespace, optional
        ``cal_step.tweakreg``: what became of the image.
    group_id : str, optional
        What it shares with the images that it keeps its place to: the chips of
        one exposure. None: it is alone.
    catalog : str, optional
        File with its stars; "" where it is said that there is none.
    wcs_is_original : bool, optional
        Nothing of the header is written anew when the image is saved.
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
    group_id: str | None = None
    catalog: str | None = None
    wcs_is_original: bool = False

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

        An image that came from a model with a ``save`` of its own is saved by a
        copy of that, with the WCS put into ``meta.wcs``.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        str
        """
        from galstep.datamodels.image_writer import save_image

        return save_image(self, path)


def open_image(source: Any) -> SkyImage:
    """One image from a file or an object.

    Parameters
    ----------
    source : path-like, SkyImage, `astropy.nddata.CCDData` or image model
        A FITS file: its extension SCI, or the first HDU with an image; ERR and
        DQ (bit 1 = do not use) beside it; a gwcs in the extension ASDF is
        preferred to the header. An image model has ``data`` and ``meta.wcs``.

    Returns
    -------
    SkyImage

    Raises
    ------
    InputError
        If there is no image in it.
    """
    if isinstance(source, SkyImage):
        return source
    if isinstance(source, str | os.PathLike):
        return _from_fits(Path(source))
    data = getattr(source, "data", None)
    if np.ndim(data) != 2:
        raise InputError(
            "an image must be a FITS file, a CCDData or a model with data and meta.wcs, "
            f"got {type(source).__name__}"
        )
    if hasattr(source, "uncertainty"):
        return _from_ccddata(source)
    return _from_model(source)


def _from_ccddata(ccd):
    from astropy.nddata import StdDevUncertainty

    error = None
    if ccd.uncertainty is not None:
        error = np.asarray(ccd.uncertainty.represent_as(StdDevUncertainty).array)
    name = Path(str(ccd.meta.get("FILENAME", "image"))).stem
    unit = "" if ccd.unit is None else ccd.unit.to_string()
    return SkyImage(name, np.asarray(ccd.data), error, ccd.mask, ccd.wcs, unit=unit)


def _from_model(model):
    meta = model.meta
    dq, err = getattr(model, "dq", None), getattr(model, "err", None)
    shape = model.data.shape
    info = getattr(meta, "wcsinfo", None)
    names = ("v2_ref", "v3_ref", "roll_ref")
    known = all(getattr(info, name, None) is not None for name in names)
    return SkyImage(
        Path(str(getattr(meta, "filename", None) or "image")).stem,
        np.asarray(model.data),
        np.asarray(err) if np.shape(err) == shape else None,
        (np.asarray(dq) & DO_NOT_USE).astype(bool) if np.shape(dq) == shape else None,
        getattr(meta, "wcs", None),
        wcsinfo={name: float(getattr(info, name)) for name in names} if known else None,
        unit=str(getattr(meta, "bunit_data", None) or ""),
        source=model,
    )


def _from_fits(path):
    from astropy.io import fits

    try:
        with fits.open(path) as hdulist:
            return _from_hdulist(hdulist, path)
    except OSError as error:
        raise InputError(f"input {path}: cannot be read as FITS ({error})") from error


def _from_hdulist(hdulist, path):
    names = [hdu.name for hdu in hdulist]
    images = [i for i, hdu in enumerate(hdulist) if hdu.is_image and hdu.header["NAXIS"] == 2]
    if not images:
        raise InputError(f"input {path}: there is no 2-D image in it")
    number = names.index("SCI") if "SCI" in names else images[0]
    if number not in images:
        raise InputError(f"input {path}: its extension SCI is no 2-D image")
    header = hdulist[number].header
    shape = (header["NAXIS2"], header["NAXIS1"])
    planes = {
        name: hdulist[name].data
        for name in ("ERR", "DQ")
        if name in names and hdulist[name].shape == shape
    }
    fits_wcs = _header_wcs(header, hdulist)
    gwcs, info = read_embedded_wcs(hdulist)
    dq = planes.get("DQ")
    return SkyImage(
        path.stem,
        hdulist[number].data,
        planes.get("ERR"),
        None if dq is None else (dq & DO_NOT_USE).astype(bool),
        gwcs or fits_wcs,
        fits_wcs if gwcs else None,
        info,
        str(header.get("BUNIT", "")),
        path,
        number,
    )


def _header_wcs(header, hdulist):
    import warnings

    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        # headers of real instruments break small FITS rules that change nothing here
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            wcs = WCS(header, hdulist, naxis=2)
        except (ValueError, TypeError, KeyError):
            return None
    return wcs if wcs.has_celestial else None


def pixel_area(image: SkyImage) -> float | None:
    """Solid angle of a pixel in the middle of a `SkyImage`, sr; None without a WCS."""
    if image.wcs is None:
        return None
    ny, nx = image.shape
    x, y = (nx - 1) / 2 + np.array([0.0, 1, 0]), (ny - 1) / 2 + np.array([0.0, 0, 1])
    lon, lat = (np.radians(np.asarray(v)) for v in image.wcs.pixel_to_world_values(x, y))
    east, north = (lon[1:] - lon[0]) * np.cos(lat[0]), lat[1:] - lat[0]
    return float(abs(east[0] * north[1] - east[1] * north[0]))
