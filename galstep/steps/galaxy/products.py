"""The files that are saved beside a model: tables, regions, images, pictures."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.products.galaxy_products import write_products
from galstep.datamodels.tables.drawn_names import with_plain_names
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from astropy.table import Table

    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["PICTURES", "TABLE_SPEC", "chosen_pictures", "save_figure", "write_beside"]

log = logging.getLogger("stpipe.galstep.products")

#: The pictures of `galstep.plotting.FIGURES`, by name.
PICTURES = ("qa", "profiles", "sed", "stars", "growth", "convergence", "completeness")

#: The parameter of every step that writes tables.
TABLE_SPEC = """
    table_format = option('ecsv', 'fits', 'both', default='ecsv')  # Format of the tables: ECSV (text), FITS, or both
"""


def chosen_pictures(names: Sequence[str] | None) -> list[str]:
    """The names of pictures that a parameter asks for.

    Parameters
    ----------
    names : sequence of str or None
        Of `PICTURES`, or ``"all"``.

    Returns
    -------
    list of str

    Raises
    ------
    ParameterError
        If there is no such picture.
    """
    names = [str(name) for name in names or ()]
    if "all" in names:
        return list(PICTURES)
    unknown = [name for name in names if name not in PICTURES]
    if unknown:
        raise ParameterError(
            f"figures must be of {', '.join(PICTURES)} or all, got {', '.join(unknown)}"
        )
    return names


def write_beside(
    model: GalaxyModel,
    path: str,
    suffix: str | None = None,
    pictures: Sequence[str] = ("qa",),
    save_fits: bool = False,
    magnitudes: Table | None = None,
    table_format: str = "ecsv",
) -> None:
    """Write what belongs to a saved model; every file whole or not at all.

    Parameters
    ----------
    model : GalaxyModel
    path : str
        Where it was saved.
    suffix : str, optional
        Ends the name of the model's file alone: with ``"gal"`` the tables of
        ``x_gal.asdf`` are ``x_sersic.ecsv`` and so on.
    pictures : sequence of str, optional
        Names of `PICTURES`, drawn if matplotlib is installed.
    save_fits : bool, optional
        Whether the images are written as FITS.
    magnitudes : `astropy.table.Table`, optional
        Drawn beside ours in the picture ``sed``.
    table_format : str, optional
        ``ecsv``, ``fits`` or ``both``.
    """
    folder, file_name = os.path.split(path)
    name = os.path.splitext(file_name)[0]
    if suffix:
        name = name.removesuffix(f"_{suffix}")
    written = write_products(model, folder or ".", name, table_format=table_format)
    if save_fits:
        from galstep.datamodels.products.image_products import write_fits_images

        written += write_fits_images(model, folder or ".", name)
    if written:
        log.info("Saved beside it: %s", ", ".join(os.path.basename(file) for file in written))
    for picture in pictures:
        if picture == "completeness" and model.injections is None:
            log.info("no star was injected (Inject is skipped), so there is no picture of it")
            continue
        _write_picture(model, picture, Path(folder) / f"{name}_{picture}.png", magnitudes)


def _write_picture(model, picture, path, magnitudes):
    if importlib.util.find_spec("matplotlib") is None:
        log.info("matplotlib is not installed, so %s is not written", path)
        return
    from galstep.plotting import FIGURES

    options = {"magnitudes": magnitudes} if picture == "sed" else {}
    save_figure(lambda: FIGURES[picture](with_plain_names(model), **options), path)


def save_figure(draw: Callable[[], Any], path: PathLike) -> None:
    """Draw a picture and write it, whole or not at all.

    Parameters
    ----------
    draw : callable
        Makes the figure.
    path : path-like
    """
    with replacing(path) as temporary, warnings.catch_warnings():
        # a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # packing the pixels harder takes as long as drawing them, for 10 % of the size
        draw().savefig(temporary, pil_kwargs={"compress_level": 2})
    log.info("Saved %s", path)
