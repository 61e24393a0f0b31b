"""`SkyImage`: one image with its WCS, wherever it comes from; `ImageList`: several.

What steps work on that measure whole images instead of one galaxy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.units import Unit

from galstep.datamodels.images.calibration import surface_brightness_factor
from galstep.datamodels.images.image_source import Calibration
from galstep.sky_frame import pixel_side

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["SkyImage", "brightness_of", "open_image", "pixel_area", "pixel_side_of"]


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
    calibration : `galstep.datamodels.images.image_source.Calibration`, optional
    reasons : list of str, optional
        What is to be said of the image.
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
    filter: str | None = None
    pixel_scale: float | None = None
    calibration: Calibration = field(default_factory=Calibration)
    reasons: list = field(default_factory=list)
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
        from galstep.datamodels.sky.image_writer import save_image

        return save_image(self, path)


def open_image(
    source: Any, error: Any = None, mask: Any = None, choose: str | None = None
) -> SkyImage:
    """One image from a file or an object.

    Parameters
    ----------
    source : SkyImage, path-like, array, NDData, CCDData, HDUList or image model
        See `galstep.datamodels.sky.image_door.read_image`; a gwcs in the extension ASDF of
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
    from galstep.datamodels.sky.image_door import read_image

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
