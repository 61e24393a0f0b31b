"""`SkyImage`: one image of the sky that can be saved.

What steps work on that measure whole images instead of one galaxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from galstep.datamodels.model.image_data import ImageData
from galstep.datamodels.sky.image_writer import save_image

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["SkyImage"]


@dataclass(eq=False)
class SkyImage(ImageData):
    """One image; `galstep.datamodels.sky.image_door.open_image` makes it of what a user has.

    See `galstep.datamodels.model.image_data.ImageData` for its parameters.
    """

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
        return save_image(self, path)
