"""The files of a field beside the model: its table, as ECSV and FITS, and its regions."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable

from galstep.datamodels.files.atomic import replacing
from galstep.flags import FieldFlag

if TYPE_CHECKING:
    from galstep.datamodels.field.field_model import FieldModel
    from galstep.hints import PathLike

__all__ = ["product_table", "write_field_regions", "write_field_tables"]

log = logging.getLogger(__name__)

#: Of Okabe & Ito, told apart by the colour-blind too: stars, galaxies, what is not reliable.
STAR_COLOUR, GALAXY_COLOUR, DOUBTFUL_COLOUR = "#56b4e9", "#e69f00", "#d55e00"
# what a column of the input catalogue is called in the product
_INPUT = "input_{}"


def product_table(model: FieldModel) -> QTable:
    """The table of a field as it is written: what was measured, then the catalogue's own columns.

    Parameters
    ----------
    model : FieldModel

    Returns
    -------
    `astropy.table.QTable`
        Rows of the input catalogue in its order, what was added behind. Its ``meta`` has the
        zero points and parameters.
    """
    table = QTable(model.catalog, copy=True)
    for name in model.inputs.colnames:
        if len(model.inputs) == len(table):
            table[_INPUT.format(name)] = model.inputs[name]
    meta = model.meta
    table.meta |= {
        "name": meta.name,
        "zp_ref": float(meta.zp_ref),
        "catalog": meta.catalog,
        "position_frame": "0-based pixels of the first band, centres at integers",
        "joint": bool(meta.joint),
        "bands": {
            name: {
                "file": band.path or "",
                "zero_point_header": float(band.zero_point),
                "scale": float(band.scale),
                "zero_point": float(band.zp),
                "zero_point_err": float(band.zp_err),
                "zero_point_scatter": float(band.zp_scatter),
                "zero_point_stars": int(band.zp_n_stars),
            }
            for name, band in model.bands.items()
        },
        "version": meta.version,
    }
    return table


def write_field_tables(model: FieldModel, stem: PathLike, fits_table: bool = True) -> list[str]:
    """Write ``<stem>.ecsv`` and ``<stem>.fits``; each whole or not at all.

    Parameters
    ----------
    model : FieldModel
    stem : path-like
        Such as ``out/x_field``.
    fits_table : bool, optional

    Returns
    -------
    list of str
        The files written.
    """
    table = product_table(model)
    written = [Path(f"{stem}.ecsv")]
    with replacing(written[0]) as temporary:
        table.write(temporary, format="ascii.ecsv")
    if fits_table:
        written.append(Path(f"{stem}.fits"))
        with replacing(written[1]) as temporary, warnings.catch_warnings():
            # the meta of ECSV is no header of FITS: descriptions and units are kept
            warnings.simplefilter("ignore")
            _plain_meta(table).write(temporary, format="fits")
    return [str(path) for path in written]


def _plain_meta(table):
    """The table with what a FITS header can hold: numbers and short text."""
    own = QTable(table, copy=False)
    bands = own.meta.pop("bands", {})
    own.meta = {k: v for k, v in own.meta.items() if isinstance(v, str | int | float)}
    own.meta.pop("comments", None)
    for number, (name, values) in enumerate(bands.items(), 1):
        own.meta |= {f"BAND{number}": name}
        if np.isfinite(values["zero_point"]):
            own.meta[f"ZP{number}"] = values["zero_point"]
            own.meta[f"ZPERR{number}"] = values["zero_point_err"]
    own.meta = {str(k).upper()[:8]: v for k, v in own.meta.items() if _fits_value(v)}
    return own


def _fits_value(value):
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return not isinstance(value, str) or value.isascii()


def write_field_regions(model: FieldModel, path: PathLike, radius: float = 4.0) -> str | None:
    """Write ds9 regions of all sources: on the sky where there is a WCS, else in pixels.

    Stars are circles, galaxies ellipses of 2 r_eff; what is not reliable has a colour of its own,
    and so has the mask of bright light. Tags are type and flags.

    Parameters
    ----------
    model : FieldModel
    path : path-like
    radius : float, optional
        Of stars, pixels.

    Returns
    -------
    str or None
        The file; None, and a line in the log, if the package ``regions`` is not installed.
    """
    try:
        from regions import EllipsePixelRegion, PixCoord, RegionMeta, Regions, RegionVisual
    except ImportError:
        log.info("the package 'regions' is not installed, so %s is not written", path)
        return None
    from astropy import units as u

    shapes = []
    for x, y, a, b, angle, colour, text, tags in _outlines(model, radius):
        shapes.append(
            EllipsePixelRegion(
                PixCoord(x, y), 2 * a, 2 * b, angle * u.deg,
                RegionMeta({"text": text, "tag": tags}), RegionVisual({"color": colour}),
            )
        )  # fmt: skip
    wcs = model.reference.wcs
    if wcs is not None and hasattr(wcs, "to_header"):
        shapes = [shape.to_sky(wcs) for shape in shapes]
    with replacing(path) as temporary:
        temporary.write_text(Regions(shapes).serialize(format="ds9"))
    return str(path)


def _outlines(model, radius):
    """Centre, semi-axes, angle, colour, text and tags of what is drawn."""
    table = model.catalog
    for row in table:
        x, y = row["x"].value, row["y"].value
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        r_eff, ellip, theta = row["r_eff"].value, row["ellip"].value, row["theta"].value
        is_star = not (np.isfinite(r_eff) and np.isfinite(ellip) and np.isfinite(theta))
        a = radius if is_star else max(2 * r_eff, 1.0)
        b = a if is_star else max(a * (1 - ellip), 0.5)
        colour = STAR_COLOUR if is_star else GALAXY_COLOUR
        tags = [str(row["type"])]
        if not row["reliable"]:
            colour, tags = DOUBTFUL_COLOUR, [*tags, "doubtful"]
        if int(row["flags"]) & int(FieldFlag.ADDED):
            tags.append("added")
        yield x, y, a, b, 0.0 if is_star else theta, colour, str(row["id"]), tags
    for x, y, a, b, angle in model.ellipses:
        yield x, y, a, b, np.degrees(angle), "#999999", "mask", ["mask"]
