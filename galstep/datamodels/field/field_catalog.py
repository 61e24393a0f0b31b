"""The catalogue of a field: what the fit starts from, every row in its order.

Columns are those of tract7dt and of our own product, in any case of letters:

===================================  ====================================================
``ID``                               text, leading zeros kept; the row's number without one
``RA``, ``DEC`` (or ``x``, ``y``)    see `galstep.datamodels.catalogs.position_catalog`
``TYPE``                             STAR, EXP, DEV, SERSIC; GAL, empty or anything else: not known
``FLUX_<band>``                      at zero point zp_ref; else from ``mag_<band>``
``Re`` or ``r_eff``                  half-light radius: pixels, or an angle by its unit
``ELL`` or ``ellip``                 1 - b/a
``THETA`` or ``theta``               degrees counter-clockwise from +x, or by its unit
``SERSIC_n`` or ``n``
``POS_ERR``                          pixels: width of the prior on x and y each
``FLUX_<band>_ERR``, ``Re_ERR``,     widths of priors on the values beside them
``ELL_ERR``, ``THETA_ERR``, ...
===================================  ====================================================

Pixels are those of the first band, 0-based. What a row lacks, or what is no sound value (a
radius of 0, an ellipticity of 1.2), is NaN and found by the fit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable, Table

from galstep.datamodels.catalogs.catalog_table import found_column, numbers, open_table
from galstep.datamodels.catalogs.position_catalog import read_position_catalog
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "PRODUCT_KEY", "START_COLUMNS", "TYPES", "FieldCatalog", "empty_start", "read_field_catalog",
    "stacked",
]  # fmt: skip

#: What a source may be; AUTO: the fit chooses.
TYPES = ("AUTO", "STAR", "EXP", "DEV", "SERSIC")
#: In the ``meta`` of our own tables: their errors come from the same images, and are no priors.
PRODUCT_KEY = "galstep_product"
#: Columns of a start table beside those of each band.
START_COLUMNS = (
    "id", "row", "x", "y", "type", "r_eff", "n", "ellip", "theta", "pos_err", "r_eff_err", "n_err",
    "ellip_err", "theta_err", "flags", "reference_id", "reason",
)  # fmt: skip
_TEXT = ("id", "type", "reference_id", "reason")
_WHOLE = ("row", "flags")
_BAND = ("flux_{}", "flux_{}_err", "reference_mag_{}", "reference_mag_{}_err")
_IDS = ("id", "star_id", "source_id", "catalog_id", "name", "label", "number", "objid")
# ours first: a product of ours has both
_SHAPE = {
    "r_eff": ("r_eff", "re", "re_pix", "flux_radius", "r50"),
    "n": ("n", "sersic_n"),
    "ellip": ("ellip", "ell", "ellipticity"),
    "theta": ("theta", "theta_image", "phi_deg"),
}
_FLUX = re.compile(r"flux_(?P<band>.+)", re.IGNORECASE)
# what follows the band's name in columns that are no flux of a band
_NO_BAND = ("err", "auto", "psf", "iso", "aper", "radius", "max", "fit", "init", "unit")
_SOUND = {"r_eff": (0.0, np.inf), "n": (0.0, np.inf), "ellip": (-1e-9, 1.0)}


@dataclass(frozen=True, eq=False)
class FieldCatalog:
    """A catalogue as it was read.

    Parameters
    ----------
    start : `astropy.table.Table`
        `START_COLUMNS` and, for each band, first flux, width of its prior and reference
        magnitude: plain numbers in pixels and degrees, NaN where not known.
    bands : tuple of str
        The bands that the catalogue has fluxes for, by the names of its columns.
    others : `astropy.table.QTable`
        The columns that mean nothing here, kept for the product.
    """

    start: Table
    bands: tuple[str, ...]
    others: QTable


def empty_start(size: int, bands: Sequence[str]) -> Table:
    """A start table of rows that nothing is known of.

    Parameters
    ----------
    size : int
    bands : sequence of str

    Returns
    -------
    `astropy.table.Table`
    """
    start = Table()
    for name in (*START_COLUMNS, *(form.format(band) for band in bands for form in _BAND)):
        if name in _TEXT:
            start[name] = np.full(size, "AUTO" if name == "type" else "", dtype="U80")
        elif name in _WHOLE:
            start[name] = np.full(size, -1 if name == "row" else 0, dtype=np.int64)
        else:
            start[name] = np.full(size, np.nan)
    return start


def stacked(start: Table, more: Table) -> Table:
    """Rows of one start table and then those of another."""
    joined = Table()
    for name in start.colnames:
        joined[name] = np.concatenate([np.asarray(start[name]), np.asarray(more[name])])
    return joined


def read_field_catalog(
    source: Any,
    bands: Sequence[str],
    wcs: Any,
    shape: tuple[int, int],
    zp_ref: float,
    pixel_side: float | None = None,
    table_format: str | None = None,
) -> FieldCatalog:
    """Read a catalogue.

    Parameters
    ----------
    source : path-like, table or the like
        CSV, ECSV, FITS; see `galstep.datamodels.catalogs.catalog_table.open_table`.
    bands : sequence of str
        Names of the bands to be fitted.
    wcs : WCS or None
        Of the first band; without one the catalogue must have pixels.
    shape : (ny, nx)
        Of the first band.
    zp_ref : float
        Zero point of its fluxes, for magnitudes.
    pixel_side : float, optional
        Arcsec, for radii that are angles.
    table_format : str, optional
        A name that astropy knows.

    Returns
    -------
    FieldCatalog

    Raises
    ------
    InputError
        If it cannot be read, has no positions, or two rows have one id.
    """
    table = open_table(source, "catalog", table_format, as_text=_IDS)
    positions = read_position_catalog(table, has_wcs=wcs is not None, what="catalog")
    positions = positions.on_image(wcs, shape)
    start = empty_start(len(table), bands)
    start["id"] = np.array(positions.name, dtype=str) if len(table) else np.zeros(0, "U1")
    _check_ids(start["id"])
    start["row"] = np.arange(len(table))
    start["x"], start["y"] = positions.first, positions.second
    used = _used_of_positions(table)
    used |= _put_types(start, table)
    is_ours = str(table.meta.get(PRODUCT_KEY, "")) != ""
    for name in _SHAPE:
        used |= _put_shape(start, table, name, pixel_side, priors=not is_ours)
    used |= _put_fluxes(start, table, bands, zp_ref, priors=not is_ours)
    if not is_ours:
        used |= _put(start, "pos_err", table, ("pos_err",), u.pix)
    found = tuple(_bands_of(table))
    others = table[[name for name in table.colnames if name not in used]]
    return FieldCatalog(start, found, others if len(others.colnames) else QTable())


def _check_ids(ids):
    values, counts = np.unique(np.asarray(ids), return_counts=True)
    if len(values) and counts.max() > 1:
        twice = values[counts > 1]
        raise InputError(
            f"catalog: every row needs an id of its own, {str(twice[0])!r} stands "
            f"{counts.max()} times ({len(twice)} such ids)"
        )


def _used_of_positions(table):
    names = (*_IDS, "ra", "dec", "x", "y")
    return {own for name in names if (own := found_column(table, (name,))) is not None}


def _put_types(start, table):
    name = found_column(table, ("type", "stype", "type_input"))
    if name is None:
        return set()
    text = np.ma.filled(np.ma.asarray(table[name]).astype(str), "")
    text = np.char.upper(np.char.strip(text))
    start["type"] = np.where(np.isin(text, TYPES), text, "AUTO").astype("U80")
    return {name}


def _put(start, target, table, names, *units):
    """A column of numbers into the start table, those that are not positive as NaN."""
    name = found_column(table, names)
    if name is None:
        return set()
    values = numbers(table, name, "catalog", *units)
    start[target] = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    return {name}


def _put_shape(start, table, target, pixel_side, priors):
    name = found_column(table, _SHAPE[target])
    if name is None:
        return set()
    used = {name}
    values = _measured(table, name, target, pixel_side)
    low, high = _SOUND.get(target, (-np.inf, np.inf))
    # the comparison of NaN is False
    start[target] = np.where((values > low) & (values < high), values, np.nan)
    error = found_column(table, [f"{own}_err" for own in _SHAPE[target]])
    if error is not None and priors:
        widths = _measured(table, error, target, pixel_side)
        known = np.isfinite(start[target]) & np.isfinite(widths) & (widths > 0)
        start[f"{target}_err"] = np.where(known, widths, np.nan)
        used.add(error)
    return used


def _measured(table, name, target, pixel_side):
    """A shape column in pixels, degrees or plain numbers."""
    if target == "theta":
        return numbers(table, name, "catalog", u.deg)
    if target != "r_eff":
        return numbers(table, name, "catalog", u.one)
    unit = getattr(table[name], "unit", None)
    if unit is not None and unit.is_equivalent(u.arcsec):
        if pixel_side is None:
            raise InputError(f"catalog: column {name!r} is an angle, and no image has a WCS")
        return numbers(table, name, "catalog", u.arcsec) / pixel_side
    return numbers(table, name, "catalog", u.pix)


def _put_fluxes(start, table, bands, zp_ref, priors):
    used = set()
    for band in bands:
        name = found_column(table, (f"flux_{band}",))
        if name is not None:
            values = numbers(table, name, "catalog", u.adu)
            # 0 and less is how catalogues say that there is none
            start[f"flux_{band}"] = np.where(values > 0, values, np.nan)
            used.add(name)
            error = found_column(table, (f"flux_{band}_err", f"fluxerr_{band}"))
            if error is not None and priors:
                used |= _put(start, f"flux_{band}_err", table, (error,), u.adu)
                known = np.isfinite(start[f"flux_{band}"])
                start[f"flux_{band}_err"][~known] = np.nan
            continue
        name = found_column(table, (f"mag_{band}",))
        if name is not None:
            magnitudes = numbers(table, name, "catalog", u.mag, u.ABmag)
            start[f"flux_{band}"] = 10 ** (-0.4 * (magnitudes - zp_ref))
            used.add(name)
    return used


def _bands_of(table):
    """Names of the bands in columns FLUX_<band>."""
    for name in table.colnames:
        match = _FLUX.fullmatch(name)
        if match is None:
            continue
        band = match["band"]
        parts = band.lower().split("_")
        if parts[-1] in _NO_BAND or parts[0] in _NO_BAND:
            continue
        yield band
