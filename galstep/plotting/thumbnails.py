"""Small pictures of a galaxy for a page of many: in colour, residual, stars taken off."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from galstep.plotting.composite import make_composite
from galstep.plotting.panels import BandImages, band_images
from galstep.plotting.stretch import BRIGHTNESS_MAP, RESIDUAL_MAP, colours, residual_norm

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

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


def thumbnails(model: GalaxyModel) -> dict[str, bytes]:
    """The pictures of a galaxy.

    In colour as `galstep.plotting.composite.make_composite` has it; one filter alone has
    the colours of the overview.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    dict of str to bytes
        `KINDS` to JPEG, the longer side at most `SIDE` pixels; without those that there
        is nothing to show for.
    """
    images = {name: band_images(band) for name, band in model.bands.items()}
    base = _base(model, images)
    if base is None:
        return {}
    composite = make_composite(model, images)
    if composite is not None:
        made = {"colour": composite.data, "stars_off": composite.star_subtracted}
    else:
        own = (base.data, base.star_subtracted)
        made = dict(
            zip(("colour", "stars_off"), (_alone(base, image) for image in own), strict=True)
        )
    if base.residual is not None:
        made["residual"] = colours(base.residual, residual_norm(), RESIDUAL_MAP)[..., :3]
    return {kind: _jpeg(made[kind]) for kind in KINDS if made.get(kind) is not None}


def _base(model, images) -> BandImages | None:
    """The images of the base filter, or of the first that has data."""
    names = [model.meta.base_filter, *images]
    return next((images[name] for name in names if images.get(name) is not None), None)


def _alone(base, image):
    return None if image is None else colours(image, base.norm, BRIGHTNESS_MAP)[..., :3]


def _jpeg(rgb):
    # comes with matplotlib
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(rgb[::-1]), "RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
