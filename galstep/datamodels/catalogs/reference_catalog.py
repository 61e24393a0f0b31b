"""The catalogues of TweakReg: stars of an image, or on the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from astropy.table import Table

    from galstep.hints import PathLike

__all__ = ["read_pixel_catalog", "read_sky_catalog"]

_NAMED = ("GAIADR1", "GAIADR2", "GAIADR3")


def read_pixel_catalog(
    path: PathLike, table_format: str | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y (0-based pixels), and flux or NaN, of a user's catalogue of an image.

    Raises
    ------
    InputError
        If it cannot be read or has no x and y.
    """
    catalog = read_position_catalog(
        path, has_wcs=False, what="catalogue", table_format=table_format, sky_first=False,
        takes=(),
    )  # fmt: skip
    x, y = catalog.first, catalog.second
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good], catalog.flux[good]


def read_sky_catalog(name: PathLike | Table) -> Table:
    """A catalogue of positions on the sky.

    Parameters
    ----------
    name : str, path-like, or table
        With right ascension and declination by any of the names, units and frames
        of `galstep.datamodels.catalogs.position_catalog` and, if it likes, ``weight``.

    Returns
    -------
    `astropy.table.Table`
        RA, DEC (ICRS, degrees) and perhaps weight.

    Raises
    ------
    ParameterError
        If it is the name of a catalogue that would have to be downloaded.
    InputError
        If the file cannot be read or lacks these columns.
    """
    from astropy.table import Table

    if isinstance(name, str) and name.upper() in _NAMED:
        raise ParameterError(
            f"abs_refcat: {str(name).upper()} would have to be downloaded, which is not done: "
            "save the part of it that covers the images to a file with columns RA and DEC "
            "(degrees) and give that file's name"
        )
    catalog = read_position_catalog(name, what="abs_refcat", takes=("weight",))
    if not catalog.on_sky:
        where = f"abs_refcat {name}" if isinstance(name, str) else "abs_refcat"
        raise InputError(
            f"{where}: columns of right ascension and declination are needed, "
            f"it has {catalog.columns}"
        )
    found = Table({"RA": catalog.first, "DEC": catalog.second})
    if catalog.weight is not None:
        found["weight"] = catalog.weight
    return found[np.isfinite(found["RA"]) & np.isfinite(found["DEC"])]
