"""A band of a field from what the header of its image says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.sky_noise import sky_noise, typical_error
from galstep.datamodels.field.field_band import FieldBand
from galstep.datamodels.images.fits_header import filter_in_text, filter_of_header
from galstep.datamodels.model.image_data import pixel_side_of
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels.field.field_images import FieldImage

__all__ = ["HeaderKeys", "band_of_image"]


@dataclass(frozen=True)
class HeaderKeys:
    """Where the numbers stand; see the parameters of `galstep.steps.LoadField`."""

    filter: str = "FILTER"
    zero_point: str = "ZP_AUTO"
    sky_sigma: str = "SKYSIG"
    gain: str = "EGAIN"
    saturate: str = "SATURATE"
    error_plane: str = "auto"
    zp_ref: float = 25.0


def band_of_image(image: FieldImage, keys: HeaderKeys) -> FieldBand:
    """The band that an image is of.

    Parameters
    ----------
    image : `galstep.datamodels.field.field_images.FieldImage`
    keys : HeaderKeys

    Returns
    -------
    FieldBand

    Raises
    ------
    InputError
        If nothing tells the filter or the zero point, or a keyword holds no sound number.
    """
    own = image.image
    name = _filter(image, keys.filter)
    # a catalogue's columns are named after it
    if not name.strip() or any(c in name for c in "\n\r\t,"):
        raise InputError(f"{image.where}: {name!r} is no name of a filter")
    zero_point = _zero_point(image, keys)
    scale = 10 ** (-0.4 * (zero_point - keys.zp_ref))
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(f"{image.where}: zero point {zero_point} is out of range")
    ny, nx = own.shape
    band = FieldBand(name, image.source, (ny, nx), image.choose, zero_point, scale)
    side = pixel_side_of(own)
    band.pixel_side = np.nan if side is None else float(side)
    band.wcs = own.wcs
    band.use_error = own.err is not None and keys.error_plane != "none"
    band.error_is_total = keys.error_plane != "sky"
    _put_noise(band, image, keys)
    band.saturate = band.saturation = _saturate(band, image, keys)
    return band


def _filter(image, key):
    if image.name:
        return str(image.name)
    if image.header.get(key) not in (None, ""):
        return str(image.header[key]).strip()
    found = filter_of_header(image.header) or filter_in_text(image.image.name)
    if not found:
        raise InputError(
            f"{image.where}: nothing tells its filter: keyword {key!r} is not there (filter_key)"
        )
    return found


def _value(image, key, what):
    """The number that a keyword holds, or that stands in its place; None if there is none."""
    try:
        return float(key)
    except ValueError:
        pass
    value = image.header.get(key.upper())
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise InputError(f"{image.where}: {key} ({what}) must be a number, got {value!r}")
    return number


def _zero_point(image, keys):
    value = _value(image, keys.zero_point, "zero point")
    if value is None:
        value = image.image.calibration.ab_zero_point
    if value is None:
        raise InputError(
            f"{image.where}: the zero point is needed: keyword {keys.zero_point!r} is not there "
            "(zp_key names another keyword, or gives the number)"
        )
    return value


def _put_noise(band, image, keys):
    own: SkyImage = image.image
    gain = _value(image, keys.gain, "gain")
    if gain is not None and not gain > 0:
        raise InputError(f"{image.where}: {keys.gain} (gain) must be above 0, got {gain:g}")
    band.gain = np.nan if gain is None else gain
    if gain is None and not (band.use_error and band.error_is_total):
        band.reasons.append(
            f"no gain ({keys.gain}): errors are without the photon noise of the sources"
        )
    if band.use_error:
        band.sky_sigma = typical_error(own.err, own.bad_pixels)
        return
    sigma = _value(image, keys.sky_sigma, "noise of the sky")
    if sigma is not None and not sigma > 0:
        raise InputError(
            f"{image.where}: {keys.sky_sigma} (noise of the sky) must be above 0, got {sigma:g}"
        )
    if sigma is None:
        sigma = sky_noise(own.data, own.bad_pixels)
        band.reasons.append(
            f"no noise of the sky ({keys.sky_sigma}): {sigma:.4g} was measured on the image"
        )
    if not (np.isfinite(sigma) and sigma > 0):
        raise InputError(
            f"{image.where}: no noise can be measured (no usable pixels, or all are equal): give "
            "sky_sigma_key"
        )
    band.sky_sigma = float(sigma)


def _saturate(band, image, keys):
    value = _value(image, keys.saturate, "full pixels")
    if value is None:
        band.reasons.append(f"no value of full pixels ({keys.saturate}): none count as saturated")
        return np.inf
    if not value > 0:
        raise InputError(f"{image.where}: {keys.saturate} must be above 0, got {value:g}")
    return value
