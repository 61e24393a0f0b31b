"""The files written beside the model: tables and regions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from galstep.datamodels.files.table_writer import write_table
from galstep.datamodels.products.aperture_regions import write_aperture_regions
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["write_products"]


def write_products(
    model: GalaxyModel,
    folder: PathLike,
    name: str,
    tables: bool = True,
    regions: bool = True,
    table_format: str = "ecsv",
) -> list[str]:
    """Write the tables and the region file of a model.

    The model itself is written by `GalaxyModel.save`. Each file appears whole
    or not at all.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    folder : path-like
        Where the files go; it must exist.
    name : str
        What their names begin with.
    tables : bool, optional
        Write ``<name>_sersic.ecsv``, ``<name>_phot.ecsv``, ``<name>_stars.ecsv``,
        ``<name>_knots.ecsv``, and those of `galstep.datamodels.tables.galaxy_tables.make_tables` that there are.
    regions : bool, optional
        Write ``<name>_aper.reg`` (ds9) with the apertures, if there are any and
        the package ``regions`` is installed; one file per pixel grid
        (`galstep.datamodels.products.aperture_regions`).
    table_format : str, optional
        ``ecsv``, ``fits`` or ``both``.

    Returns
    -------
    list of str
        The files written.

    Raises
    ------
    InputError
        If ``name`` is no plain file name, or the folder is not there.
    """
    if not name or Path(name).name != name:
        raise InputError(f"name of the products must be a plain file name, got {name!r}")
    folder, written = Path(folder), []
    if tables:
        for kind, table in make_tables(model).items():
            written += write_table(table, folder / f"{name}_{kind}", table_format)
    if regions:
        written += write_aperture_regions(model, folder, name)
    return written
