"""Catalogues that users bring: star positions of an image, or on the sky."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.table_bounds import check_table_file
from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from astropy.table import Table
    from astropy.wcs import WCS

    from galstep.hints import PathLike

__all__ = [
    "read_catalog_list",
    "read_pixel_catalog",
    "read_sky_catalog",
    "read_star_positions",
]

_X = ("x", "x_fit", "x_centroid", "xcentroid", "x_init", "x_0")
_Y = ("y", "y_fit", "y_centroid", "ycentroid", "y_init", "y_0")
_FLUX = ("flux", "flux_fit", "flux_init", "kron_flux")
_RA = ("ra", "ra_icrs", "alpha_j2000", "lon", "raj2000")
_DEC = ("dec", "dec_icrs", "de_icrs", "delta_j2000", "lat", "dej2000")
_NAMED = ("GAIADR1", "GAIADR2", "GAIADR3")
_FORMATS = {"ecsv": "ascii.ecsv", "csv": "ascii.csv"}


def _read(path, table_format, what):
    from astropy.table import Table

    check_table_file(path, what)
    guess = _FORMATS.get(table_format, table_format) if table_format else None
    try:
        return Table.read(path, format=guess)
    except (ValueError, OSError, TypeError, LookupError, csv.Error) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{what} {path}: cannot be read as a table ({first})") from error


def _column(table, names, path):
    by_lower = {name.lower(): name for name in table.colnames}
    for name in names:
        if name in by_lower:
            column = table[by_lower[name]]
            return np.ma.filled(np.ma.asarray(getattr(column, "value", column), float), np.nan)
    raise InputError(
        f"catalogue {path}: a column {names[0]!r} is needed, it has {', '.join(table.colnames)}"
    )


def read_catalog_list(path: PathLike) -> dict[str, Path]:
    """Which catalogue belongs to which image.

    Parameters
    ----------
    path : path-like
        Text file; in each line the file name of an image and, separated by
        white space, that of its catalogue, relative to the list. A line with
        one name or that begins with ``#`` is passed over.

    Returns
    -------
    dict of str to `pathlib.Path`
        Stem of the image to catalogue.

    Raises
    ------
    InputError
        If the file is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"catfile {path}: there is no such file")
    found = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and not line.lstrip().startswith("#"):
            found[Path(words[0]).stem] = path.parent / words[1]
    return found


def read_pixel_catalog(
    path: PathLike, table_format: str | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y (0-based pixels), and flux or NaN, of a user's catalogue of an image.

    Raises
    ------
    InputError
        If it cannot be read or has no x and y.
    """
    table = _read(path, table_format, "catalogue")
    x, y, flux = _column(table, _X, path), _column(table, _Y, path), _flux(table, path)
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good], flux[good]


def _flux(table, path):
    known = {name.lower() for name in table.colnames} & set(_FLUX)
    return _column(table, _FLUX, path) if known else np.full(len(table), np.nan)


def read_star_positions(
    path: PathLike, wcs: WCS | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First positions for photometry: x, y (0-based pixels), and flux or NaN.

    Parameters
    ----------
    path : path-like
        A table that astropy reads, with x and y, or with RA and DEC (degrees).
    wcs : WCS, optional
        For the latter.

    Raises
    ------
    InputError
        If it cannot be read, or has neither, or the image has no WCS.
    """
    table = _read(path, None, "init_params")
    names = {name.lower() for name in table.colnames}
    if names & set(_X) or not names & set(_RA):
        x, y = _column(table, _X, path), _column(table, _Y, path)
    elif wcs is None:
        raise InputError(f"init_params {path}: positions on the sky need an image with a WCS")
    else:
        ra, dec = _column(table, _RA, path), _column(table, _DEC, path)
        x, y = (np.asarray(v, dtype=float) for v in wcs.world_to_pixel_values(ra, dec))
    flux = _flux(table, path)
    good = np.isfinite(x) & np.isfinite(y)
    return x[good], y[good], flux[good]


def read_sky_catalog(name: PathLike) -> Table:
    """A catalogue of positions on the sky.

    Parameters
    ----------
    name : str or path-like
        A file with columns RA and DEC (degrees, any case) and, if it likes,
        ``weight``.

    Returns
    -------
    `astropy.table.Table`
        RA, DEC and perhaps weight.

    Raises
    ------
    ParameterError
        If it is the name of a catalogue that would have to be downloaded.
    InputError
        If the file cannot be read or lacks these columns.
    """
    from astropy.table import Table

    if str(name).upper() in _NAMED:
        raise ParameterError(
            f"abs_refcat: {str(name).upper()} would have to be downloaded, which is not done: "
            "save the part of it that covers the images to a file with columns RA and DEC "
            "(degrees) and give that file's name"
        )
    table = _read(name, None, "abs_refcat")
    found = {"RA": _column(table, _RA, name), "DEC": _column(table, _DEC, name)}
    by_lower = {column.lower(): column for column in table.colnames}
    if "weight" in by_lower:
        found["weight"] = np.asarray(table[by_lower["weight"]], dtype=float)
    found = Table(found)
    return found[np.isfinite(found["RA"]) & np.isfinite(found["DEC"])]
