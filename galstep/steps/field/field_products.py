"""The files that are saved beside a field: tables, regions, picture, images."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING

from galstep.datamodels.field.field_products import write_field_regions, write_field_tables
from galstep.steps.galaxy.products import save_figure

if TYPE_CHECKING:
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["write_field_products"]

log = logging.getLogger("stpipe.galstep.products")


def write_field_products(
    model: FieldModel,
    stem: str,
    fits_table: bool = True,
    picture: bool = True,
    images: bool = False,
) -> None:
    """Write what belongs to a saved field; every file whole or not at all.

    Parameters
    ----------
    model : FieldModel
    stem : str
        Where it was saved, without the extension.
    fits_table : bool, optional
        Whether the table is written as FITS as well.
    picture : bool, optional
        Whether the picture is drawn, if matplotlib is installed.
    images : bool, optional
        Whether residual and model of each band are written.
    """
    written = write_field_tables(model, stem, fits_table)
    regions = write_field_regions(model, f"{stem}.reg")
    written += [regions] if regions else []
    if images:
        from galstep.steps.field.field_render import write_field_images

        written += write_field_images(model, stem)
    for file in written:
        log.info("Saved %s", file)
    if picture:
        _write_picture(model, f"{stem}.png")


def _write_picture(model, path):
    if importlib.util.find_spec("matplotlib") is None:
        log.info("matplotlib is not installed, so %s is not written", path)
        return
    from galstep.plotting.field import field_figure
    from galstep.steps.field.field_render import binned_images

    images = binned_images(model, model.reference.name)
    save_figure(lambda: field_figure(model, *images), path)
