"""The catalogue of a field beside its truth, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.table import QTable, Table

__all__ = ["field_pulls", "format_field"]

#: Distance within which a source is one of the truth, pixels.
MATCHED = 2.0


def field_pulls(table: QTable, truth: Table, bands: list[str]) -> dict[str, np.ndarray]:
    """Measured minus true, and in errors, of the reliable sources of a field.

    Parameters
    ----------
    table : `astropy.table.QTable`
        As FieldPipeline writes it.
    truth : `astropy.table.Table`
        See `galstep.testing.fields.SyntheticField`.
    bands : list of str

    Returns
    -------
    dict of str to array
        ``index`` (rows of ``table``), ``true`` (rows of ``truth``), ``is_star``, and for each
        band ``relative_<band>`` (flux over true flux - 1) and ``pull_<band>``.
    """
    x, y = table["x"].value, table["y"].value
    distance = np.hypot(x[:, None] - truth["x"], y[:, None] - truth["y"])
    distance = np.where(np.isfinite(distance), distance, np.inf)
    nearest = np.argmin(distance, axis=1)
    near = distance[np.arange(len(x)), nearest] < MATCHED
    index = np.flatnonzero(near & np.asarray(table["reliable"]))
    own = truth[nearest[index]]
    found = {
        "index": index,
        "true": nearest[index],
        "is_star": np.asarray(own["type"]) == "STAR",
    }
    for band in bands:
        flux, err = (table[f"flux_{band}{end}"].value[index] for end in ("", "_err"))
        found[f"relative_{band}"] = flux / own[f"flux_{band}"] - 1
        found[f"pull_{band}"] = (flux - own[f"flux_{band}"]) / err
    return found


def format_field(
    table: QTable, truth: Table, bands: list[str], zero_points: dict[str, float]
) -> str:
    """Answers beside the truth.

    Parameters
    ----------
    table, truth, bands
        See `field_pulls`.
    zero_points : dict of str to float
        The true ones.

    Returns
    -------
    str
    """
    found = field_pulls(table, truth, bands)
    lines = [
        f"{len(table)} sources, {np.count_nonzero(table['reliable'])} reliable; "
        f"{len(set(found['true']))} of {len(truth)} true ones among them",
        "",
        "what       band  number  median of flux/true - 1  std of (flux - true)/error  worst",
    ]
    for name, chosen in (("stars", found["is_star"]), ("galaxies", ~found["is_star"])):
        for band in bands:
            relative, pull = found[f"relative_{band}"][chosen], found[f"pull_{band}"][chosen]
            if not len(pull):
                continue
            lines.append(
                f"{name:<9}  {band:<4}  {len(pull):6d}  {100 * np.median(relative):+21.2f} %  "
                f"{np.std(pull):26.2f}  {np.abs(pull).max():5.1f}"
            )
    lines += ["", "band  zero point           truth    off by (mmag)"]
    for band in bands:
        own = table.meta["bands"][band]
        value, err = own["zero_point"], own["zero_point_err"]
        off = 1000 * (value - zero_points[band])
        lines.append(f"{band:<4}  {value:.4f} +/- {err:.4f}  {zero_points[band]:.4f}  {off:+.1f}")
    return "\n".join(lines)
