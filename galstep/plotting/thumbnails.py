"""Small pictures of a galaxy for a page of many: in colour, residual, stars taken off."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from astropy.visualization import make_lupton_rgb

from galstep.filters import filter_wavelength
from galstep.plotting.panels import BandImages
from galstep.plotting.stretch import RESIDUAL_MAP, colours, pixel_sigma, residual_norm

if TYPE_CHECKING:
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["KINDS", "SIDE", "thumbnails"]

#: The pictures and what they show.
KINDS = {
    "colour": "data, sky taken off",
    "residual": "base filter: data - all models, -5 to 5 sigma",
    "stars_off": "data without stars",
}
#: The longer side of a picture (pixels).
SIDE = 144
# of JPEG: at 80 the blocks are not seen at this size, and 95 takes twice the bytes
_QUALITY = 80
_GREY = 184  # masked, as in the other pictures
# linear up to so many sigma, then logarithmic (Lupton et al. 2004)
_STRETCH, _SOFTENING = 8.0, 8.0
# one filter far above the others is a colour, not a glare
_SATURATION = 0.65
# percentile of the pixels that is as bright in every channel
_WHITE = 99.0
_RED_LAST = 3


def thumbnails(model: GalaxyModel) -> dict[str, bytes]:
    """The pictures of a galaxy.

    Three filters make a colour: the longest wavelength red, the shortest blue, one
    between green. They must have the base filter's pixels; with less than two that
    do, the picture is grey. The bright pixels of the frame are white on the whole: the
    colour of a galaxy is that beside the other light of its frame.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    dict of str to bytes
        `KINDS` to JPEG, the longer side at most `SIDE` pixels; without those that there
        is nothing to show for.
    """
    base = _base(model)
    if base is None:
        return {}
    bands = _three(model, base)
    images = [BandImages(band) for band in bands]
    data = [image.data for image in images]
    norms = [_norm(band, image) for band, image in zip(bands, data, strict=True)]
    made = {"colour": _colour(data, norms)}
    own = BandImages(base)
    if own.residual is not None:
        made["residual"] = colours(own.residual, residual_norm(), RESIDUAL_MAP)[..., :3]
    if all(image.star_subtracted is not None for image in images):
        made["stars_off"] = _colour([image.star_subtracted for image in images], norms)
    return {kind: _jpeg(made[kind]) for kind in KINDS if kind in made}


def _base(model):
    """The base filter, or the first that has data."""
    names = [model.meta.base_filter, *model.bands]
    return next((model.bands[n] for n in names if n in model.bands and model.bands[n].usable), None)


def _three(model, base) -> list[BandData]:
    """The filters of red, green and blue, in this order; or the base alone."""
    same = [band for band in model.bands.values() if band.usable and _on_grid(band, base)]
    if base.fitted and len(same) > 1:
        same = [band for band in same if band.fitted] or same
    known = [filter_wavelength(band.name) for band in same]
    if None not in known:
        same = [same[i] for i in np.argsort(known, kind="stable")]
    if len(same) < 2:
        return [base]
    middle = same[len(same) // 2] if len(same) >= _RED_LAST else None
    return [same[-1], same[0]] if middle is None else [same[-1], middle, same[0]]


def _on_grid(band, base):
    """Whether the pixels of two crops are the same ones."""
    return (
        band.shape == base.shape
        and band.origin == base.origin
        and abs(band.pixel_scale / base.pixel_scale - 1) < 1e-3
    )


def _colour(images, norms):
    """Red, green and blue of images with the sky taken off, 8 bits each."""
    bad = ~np.isfinite(images).all(axis=0)
    channels = [np.nan_to_num(image / top) for image, (top, _) in zip(images, norms, strict=True)]
    noise = np.median([sigma / top for top, sigma in norms])
    if len(channels) == 2:
        channels.insert(1, np.mean(channels, axis=0))
    if len(channels) == 1:
        channels *= 3
    grey = np.mean(channels, axis=0)
    channels = [grey + _SATURATION * (channel - grey) for channel in channels]
    # it divides by the intensity, and then takes what was none out
    with np.errstate(divide="ignore", invalid="ignore"):
        rgb = make_lupton_rgb(*channels, minimum=0.0, stretch=_STRETCH * noise, Q=_SOFTENING)
    rgb[bad] = _GREY
    return rgb


def _norm(band, image):
    """What is white in a filter, and its noise."""
    sigma = pixel_sigma(band)
    sigma = float(np.median(sigma[np.isfinite(sigma)])) if np.isfinite(sigma).any() else 1.0
    sigma = sigma if sigma > 0 else 1.0
    return max(float(np.nanpercentile(image, _WHITE)), _STRETCH * sigma), sigma


def _jpeg(rgb):
    # comes with matplotlib
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(rgb[::-1]), "RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
