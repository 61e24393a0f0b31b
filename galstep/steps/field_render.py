"""Images of a fitted field: residual and model, tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.atomic import replacing
from galstep.datamodels.safe_name import header_text, safe_name

if TYPE_CHECKING:
    from galstep.datamodels.field_model import FieldModel

__all__ = ["binned_images", "write_field_images"]

# samples of the picture along a side
SIDE = 900
_STRIP = 512


class _Box:
    def __init__(self, x0, y0, x1, y1):
        self.x0, self.y0, self.x1, self.y1 = x0, y0, x1, y1


def binned_images(model: FieldModel, name: str) -> tuple[np.ndarray, np.ndarray | None, float, int]:
    """Data and residual of a band, every so many pixels of a large image.

    Parameters
    ----------
    model : FieldModel
    name : str

    Returns
    -------
    data, residual : (ny, nx) arrays
        NaN where masked; the residual None before a fit.
    sigma : float
    step : int
        Pixels a sample.
    """
    band = model.bands[name]
    ny, nx = band.shape
    step = max(1, -(-max(ny, nx) // SIDE))
    pixels = band.pixels(model.ellipses)
    data, residuals = [], []
    for y in range(0, ny, _STRIP * step):
        box = _Box(0, y, nx, min(y + _STRIP * step, ny))
        own = pixels.read(box)
        data.append(np.where(own.mask, np.nan, own.data)[::step, ::step])
        residual = _residual(model, name, box)
        if residual is not None:
            residuals.append(residual[0][::step, ::step])
    residual = np.concatenate(residuals) if residuals else None
    return np.concatenate(data), residual, band.sigma, step


def _residual(model, name, box):
    """Residual and model of a part of a band, NaN where masked; None before a fit."""
    rendered = getattr(model, "renderer", None)
    return None if rendered is None else rendered(name, box)


def write_field_images(model: FieldModel, stem: str) -> list[str]:
    """Write ``<stem>_<band>.fits`` for each band: RESIDUAL and MODEL, 32-bit floats.

    Parameters
    ----------
    model : FieldModel
        As FieldFit has left it.
    stem : str

    Returns
    -------
    list of str
    """
    from astropy.io import fits

    written = []
    for name, band in model.bands.items():
        if getattr(model, "renderer", None) is None:
            continue
        ny, nx = band.shape
        planes = np.empty((2, ny, nx), dtype=np.float32)
        for y in range(0, ny, _STRIP):
            box = _Box(0, y, nx, min(y + _STRIP, ny))
            planes[:, y : box.y1] = _residual(model, name, box)
        header = fits.Header()
        if band.wcs is not None and hasattr(band.wcs, "to_header"):
            header.update(band.wcs.to_header(relax=True))
        header["FILTER"] = header_text(name)
        header["ZP_REF"] = (float(model.meta.zp_ref), "zero point of these images")
        hdus = fits.HDUList([fits.PrimaryHDU()])
        for plane, label in zip(planes, ("RESIDUAL", "MODEL"), strict=True):
            hdus.append(fits.ImageHDU(plane, header, label))
        path = Path(f"{stem}_{safe_name(name)}.fits")
        with replacing(path) as temporary:
            hdus.writeto(temporary)
        written.append(str(path))
    return written
