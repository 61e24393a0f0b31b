"""Images of a fitted field: residual and model, tile by tile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.images import ImageTask, PartImages, light_of, render_part
from galstep.core.field.results import BandSky
from galstep.core.scene.box import Box
from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.safe_name import header_text, safe_name
from galstep.steps.field.field_bands import core_bands

if TYPE_CHECKING:
    from galstep.core.field.frames import LightRows
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["binned_images", "rendered", "write_field_images"]

# samples of the picture along a side, and rows that are drawn together
SIDE, STRIP = 900, 256
_SHAPE = ("x", "y", "r_eff", "n", "ellip", "theta")


def rendered(model: FieldModel, name: str, box: Box) -> PartImages:
    """Sources, sky and residual of a part of a band.

    Parameters
    ----------
    model : FieldModel
        Fitted; one that was saved and opened will do.
    name : str
    box : `galstep.core.scene.box.Box`
        Pixels of the band, inside the image.
    """
    return render_part(_task(model, name, box, _light(model, name)))


def _task(model, name, box, light):
    (band,) = core_bands(model, [name])
    own = model.bands[name]
    return ImageTask(band, box, light, BandSky(tuple(own.shape), own.sky_scale, own.sky_factors))


def _light(model: FieldModel, name: str) -> LightRows:
    """What the catalogue has of a band, by the band's own shapes where it was fitted alone."""
    table = model.catalog
    end = "" if model.meta.joint else f"_{name}"
    values = {own: np.array(table[f"{own}{end}"].value) for own in _SHAPE}
    values["theta"] = np.radians(values["theta"])
    return light_of(**values, flux=np.array(table[f"flux_{name}"].value))


def binned_images(model: FieldModel, name: str) -> tuple[np.ndarray, np.ndarray | None, float, int]:
    """Data and residual of a band, every so many pixels of a large image.

    Parameters
    ----------
    model : FieldModel
    name : str

    Returns
    -------
    data, residual : (ny, nx) arrays
        NaN where masked; the residual in units of the noise of sky and sources, None before a fit.
    sigma : float
        Noise of the sky.
    step : int
        Pixels a sample.
    """
    band = model.bands[name]
    ny, nx = band.shape
    step = max(1, -(-max(ny, nx) // SIDE))
    pixels = band.pixels(model.ellipses)
    fitted = model.meta.fit_step is not None
    light = _light(model, name) if fitted else None
    data, residuals = [], []
    for y in range(0, ny, STRIP * step):
        box = Box(0, y, nx, min(y + STRIP * step, ny))
        own = pixels.read(box)
        data.append(np.where(own.mask, np.nan, own.data)[::step, ::step])
        if fitted:
            part = render_part(_task(model, name, box, light))
            noise = np.sqrt(band.sigma**2 + band.variance_per_unit * np.maximum(part.model, 0))
            residuals.append((part.residual / noise)[::step, ::step])
    residual = np.concatenate(residuals) if fitted else None
    return np.concatenate(data), residual, band.sigma, step


def write_field_images(model: FieldModel, stem: str) -> list[str]:
    """Write ``<stem>_<band>.fits`` for each band: RESIDUAL, MODEL and SKY, 32-bit floats.

    Parameters
    ----------
    model : FieldModel
        Fitted.
    stem : str

    Returns
    -------
    list of str
        The files; none before a fit.
    """
    from astropy.io import fits

    written = []
    for name, band in model.bands.items() if model.meta.fit_step is not None else ():
        light, (ny, nx) = _light(model, name), band.shape
        planes = {key: np.empty((ny, nx), dtype=np.float32) for key in ("residual", "model", "sky")}
        for y in range(0, ny, STRIP):
            box = Box(0, y, nx, min(y + STRIP, ny))
            part = render_part(_task(model, name, box, light))
            for key, plane in planes.items():
                plane[y : box.y1] = getattr(part, key)
        header = fits.Header()
        if band.wcs is not None and hasattr(band.wcs, "to_header"):
            header.update(band.wcs.to_header(relax=True))
        header["FILTER"] = header_text(name)
        header["ZP_REF"] = (float(model.meta.zp_ref), "zero point of these images")
        hdus = fits.HDUList([fits.PrimaryHDU()])
        hdus.extend(fits.ImageHDU(plane, header, key.upper()) for key, plane in planes.items())
        path = Path(f"{stem}_{safe_name(name)}.fits")
        with replacing(path) as temporary:
            hdus.writeto(temporary)
        written.append(str(path))
    return written
