"""The tables that TweakReg writes: what became of each image, and its stars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.align.catalog import Positions
    from galstep.core.align.images import Alignment
    from galstep.datamodels.sky.sky_image import SkyImage

__all__ = ["catalog_table", "summary_table"]

# column, unit, text
_COLUMNS = (
    ("shift_east", u.arcsec, "motion of the middle of the image on the sky, to the east"),
    ("shift_north", u.arcsec, "the same, to the north"),
    ("shift_x", u.pix, "how far the image lay from where its WCS said, at its middle, x"),
    ("shift_y", u.pix, "the same, y"),
    ("rotation", u.deg, "rotation of the correction, from east to north"),
    ("scale", u.one, "scale of the correction"),
    ("rms", u.arcsec, "scatter of the matched stars on one axis"),
)


def summary_table(
    images: Sequence[SkyImage],
    relative: Sequence[Alignment | None],
    absolute: Sequence[Alignment | None],
) -> QTable:
    """One row per image; what was not measured is NaN.

    Parameters
    ----------
    images : sequence of `galstep.datamodels.sky.sky_image.SkyImage`
    relative, absolute : sequences of `galstep.core.align.Alignment` or None
        Columns of the absolute alignment begin with ``abs_`` and are there if
        it was asked for.

    Returns
    -------
    `astropy.table.QTable`
    """
    table = QTable({"image": [image.name for image in images]})
    table["image"].info.description = "name of the image"
    table["group"] = [image.group_id or "" for image in images]
    table["group"].info.description = "images of one group move together; empty: the image is alone"
    for prefix, found in (("", relative), ("abs_", absolute)):
        if not prefix or any(a is not None for a in found):
            _add(table, prefix, found)
    return table


def _add(table, prefix, found):
    def column(name, values, text):
        table[prefix + name] = values
        table[prefix + name].info.description = text

    status = [a.status if a is not None else "not tried" for a in found]
    column("status", status, "reference, aligned, failed or not tried")
    numbers = [_numbers(a) for a in found]
    for i, (name, unit, text) in enumerate(_COLUMNS):
        column(name, np.array([row[i] for row in numbers]) * unit, text)
    counts = [(0, 0, np.nan) if a is None else _counts(a) for a in found]
    column("n_stars", [row[0] for row in counts], "stars in the catalogue of the image")
    column("n_matches", [row[1] for row in counts], "stars of the image that the fit used")
    column("n_chance", [row[2] for row in counts] * u.one, "matches expected by chance")
    column("reason", ["" if a is None else a.reason for a in found], "why it was not aligned")


def _numbers(alignment):
    if alignment is None or alignment.status == "failed":
        return [np.nan] * len(_COLUMNS)
    if alignment.status == "reference":
        return [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, np.nan]
    return [
        *alignment.shift, *alignment.pixel_shift,
        alignment.rotation, alignment.scale, alignment.rms,
    ]  # fmt: skip


def _counts(alignment):
    return alignment.n_stars, alignment.n_matches, alignment.quality.n_chance


def catalog_table(stars: Positions, wcs: Any) -> QTable:
    """The stars of an image: pixels, flux, and the sky by the corrected WCS.

    Parameters
    ----------
    stars : `galstep.core.align.catalog.Positions`
    wcs : WCS with ``pixel_to_world_values``

    Returns
    -------
    `astropy.table.QTable`
    """
    from galstep.core.align.sky import sky_of

    table = QTable({"id": np.arange(1, len(stars) + 1)})
    table["x"], table["y"] = stars.x * u.pix, stars.y * u.pix
    table["flux"] = stars.flux
    table["position_error"] = stars.error * u.pix
    ra, dec = sky_of(wcs, stars.x, stars.y)
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg
    texts = {
        "id": "brightest first",
        "x": "0-based",
        "y": "0-based",
        "flux": "as the finder has it",
        "position_error": "1 sigma on each axis",
        "ra": "by the corrected WCS, ICRS",
        "dec": "by the corrected WCS, ICRS",
    }
    for name, text in texts.items():
        table[name].info.description = text
    return table
