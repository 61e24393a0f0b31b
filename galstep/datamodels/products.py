"""The files written beside the model: tables and regions."""

import logging
from pathlib import Path

from galstep.datamodels.atomic import replacing
from galstep.datamodels.tables import make_tables
from galstep.exceptions import InputError

__all__ = ["write_products"]

log = logging.getLogger(__name__)


def write_products(model, folder, name, tables=True, regions=True):
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
        and those of `galstep.datamodels.tables.make_tables` that there are.
    regions : bool, optional
        Write ``<name>_aper.reg`` (ds9) with the apertures, if there are any and
        the package ``regions`` is installed.

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
            written.append(_write_table(table, folder / f"{name}_{kind}.ecsv"))
    if regions:
        path = _write_regions(model, folder / f"{name}_aper.reg")
        written += [path] if path else []
    return written


def _write_table(table, path):
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.ecsv")
    return str(path)


def _write_regions(model, path):
    """The apertures of all filters, each distinct one once; None if there is none.

    Curves of growth are left out.
    """
    filters_of = {}
    for band in model.bands.values():
        if band.aperture is None:
            continue
        for measured in (band.aperture, *band.aperture.others):
            if measured.kind != "growth":
                where = (measured.kind, measured.aperture, band.origin)
                filters_of.setdefault(where, []).append(band.name)
    if not filters_of:
        log.info("%s: no aperture was measured, so no region file is written", model.meta.name)
        return None
    try:
        from regions import Regions
    except ImportError:
        log.info("the package 'regions' is not installed, so %s is not written", path.name)
        return None
    shapes = [_ellipse(*where, filters) for where, filters in filters_of.items()]
    with replacing(path) as temporary:
        temporary.write_text(Regions(shapes).serialize(format="ds9"))
    return str(path)


def _ellipse(kind, aperture, origin, filters):
    """The aperture in the pixels of the input frame; ds9's offset of 1 is the writer's."""
    from astropy import units as u
    from regions import EllipsePixelRegion, PixCoord, RegionMeta

    return EllipsePixelRegion(
        PixCoord(aperture.x + origin[0], aperture.y + origin[1]),
        width=2 * aperture.a,
        height=2 * aperture.b,
        angle=aperture.theta * u.rad,
        meta=RegionMeta({"text": " ".join([kind, *filters])}),
    )
