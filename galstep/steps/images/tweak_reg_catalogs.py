"""Which images have a catalogue of the user's, and what is in it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.catalogs.reference_catalog import read_pixel_catalog
from galstep.datamodels.sky.catalog_list import read_catalog_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.align.catalog import Positions
    from galstep.datamodels.sky.sky_image import SkyImage

__all__ = ["custom_catalogs", "user_positions"]

log = logging.getLogger("stpipe.galstep.tweakreg")

# all stars count the same, and their scatter tells how well they are known (pixels)
POSITION_ERROR = 0.1
# names from which astropy tells the format of a table
KNOWN_FORMATS = {".ecsv", ".csv", ".fits", ".fit", ".vot", ".xml", ".parquet"}


def custom_catalogs(
    images: Sequence[SkyImage], use_custom_catalogs: bool, catfile: str
) -> list[Path | None]:
    """The catalogue of each image; None where its stars are to be found.

    Parameters
    ----------
    images : sequence of `galstep.datamodels.sky.sky_image.SkyImage`
    use_custom_catalogs : bool
    catfile : str
        The list of catalogues; "" if there is none. What it does not say of an
        image the image itself may: ``tweakreg_catalog`` of its association or
        of its metadata. A list without any catalogue turns them all off.

    Raises
    ------
    InputError
        If the list cannot be understood.
    """
    catfile = str(catfile or "").strip()
    none: list[Path | None] = [None] * len(images)
    if not use_custom_catalogs:
        if catfile:
            log.warning("catfile is given, but use_custom_catalogs is not set: stars are found")
        return none
    listed: list[str | None] = [None] * len(images)
    if catfile:
        listed = read_catalog_list(catfile, images)
        if not any(listed):
            log.warning("catfile %s names no catalogue: stars are found", catfile)
            return none
    found = [
        _path(own if said is None else said, image)
        for image, said, own in zip(images, listed, (i.catalog for i in images), strict=True)
    ]
    without = [image.name for image, path in zip(images, found, strict=True) if path is None]
    if without:
        log.info("no catalogue is named for %s: stars are found", ", ".join(without))
    return found


def _path(name, image):
    """A catalogue is looked for in the current folder and beside its image."""
    if not name:
        return None
    is_file = isinstance(image.source, str | os.PathLike)
    if not Path(name).is_file() and is_file:
        beside = Path(image.source).parent / name
        if beside.is_file():
            return beside
    return Path(name)


def user_positions(path: Path, table_format: str) -> Positions:
    """The stars of a user's catalogue.

    Parameters
    ----------
    path : `pathlib.Path`
    table_format : str
        Used where the name of the file does not tell the format.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    from galstep.core.align.catalog import Positions

    known = path.suffix.lower() in KNOWN_FORMATS
    x, y, flux = read_pixel_catalog(path, None if known else table_format)
    return Positions(x, y, np.nan_to_num(flux), np.full(len(x), POSITION_ERROR))
