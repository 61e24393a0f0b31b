"""From the pixels of a filter to the frame that the tables are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galstep.pixel_map import PixelMap

if TYPE_CHECKING:
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["to_table_frame"]


def to_table_frame(model: GalaxyModel, band: BandData) -> PixelMap:
    """The map from a filter's array to the base filter's input frame.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    band : `galstep.datamodels.BandData`

    Returns
    -------
    `galstep.pixel_map.PixelMap`
        To the filter's own input frame where the base filter is not in the
        model, or the filter has no fit that says how its pixels lie on the base's.
    """
    base = model.bands.get(model.meta.base_filter)
    if base is None or not band.fitted:
        return PixelMap(origin=band.origin)
    return PixelMap(origin=base.origin).after(band.fit.pixel_map.inverse())
