"""The result of a run as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables import phot_table, sersic_table
from galstep.flags import decode

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["summary_lines"]

_HEADERS = ("filter", "flux", "mag_ab", "color", "r_eff", "n", "stars", "chi2", "flags")


def summary_lines(model: GalaxyModel) -> list[str]:
    """A table of the main results, one line per filter and what it consists of.

    The numbers are those of the products ``_sersic`` and ``_phot``: total flux
    (image unit x pixel, all components and knots) and AB magnitude with 1-sigma
    errors, colour (this filter minus the base filter), r_eff (pixels) and Sersic
    index of the first component, number of stars, reduced chi2, and the flags in
    words. Further lines give the components, if there are several, the knots and
    the companions, if there are any. Instead of the magnitude of a
    galaxy that is not detected stands its 3-sigma upper limit (> 26.1). A dash
    stands for a number that is not known.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    list of str
        A line of headers, then the rows, in columns of equal width.
    """
    sersic, rows = sersic_table(model), [_HEADERS]
    for phot in phot_table(model):
        own = sersic[sersic["filter"] == phot["filter"]]
        target = own[own["galaxy_id"] == 0]
        rows += [_row(target[0] if len(target) else own[0], phot), *_parts(target, phot)]
        rows += [_part(f"companion {row['galaxy_id']}", row) for row in own[own["galaxy_id"] > 0]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADERS))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(sersic, phot):
    measured = np.isfinite(phot["total_flux"])
    return (
        str(phot["filter"]),
        _with_error(phot["total_flux"], phot["total_flux_err"], ".5g", ".2g"),
        _magnitude(phot, "total_mag_ab"),
        _with_error(phot["color"], phot["color_err"], ".3f", ".3f"),
        _number(sersic["r_eff"], ".2f"),
        _number(sersic["n"], ".2f"),
        str(int(phot["n_stars"])),
        _number(sersic["chi2_reduced"], ".3f"),
        ", ".join(_words(phot["flags"])) or ("ok" if measured else "not fitted"),
    )


def _parts(target, phot):
    """Lines for the components of the target, if it has several, and for its knots."""
    lines = []
    if len(target) > 1:
        lines += [_part(f"component {row['component']}", row) for row in target]
    if phot["n_knots"]:
        lines.append((f"- knots ({phot['n_knots']})", _number(phot["knot_flux"], ".5g")))
    return [line + ("",) * (len(_HEADERS) - len(line)) for line in lines]


def _part(name, row):
    return (
        f"- {name}",
        _with_error(row["flux"], row["flux_err"], ".5g", ".2g"),
        _magnitude(row, "mag_ab"),
        "-",
        _number(row["r_eff"], ".2f"),
        _number(row["n"], ".2f"),
        *[""] * 3,
    )


def _magnitude(row, name):
    """The magnitude with its error, or the upper limit of what is not detected."""
    limit = _number(row[f"{name}_limit"], ".3f")
    if limit != "-":
        return f"> {limit}"
    return _with_error(row[name], row[f"{name}_err"], ".3f", ".3f")


def _words(flags):
    return [name.replace("_", " ") for name in decode(int(flags))]


def _with_error(value, error, value_format, error_format):
    text = _number(value, value_format)
    if text == "-":
        return text
    return f"{text} +/- {_number(error, error_format)}"


def _number(value, number_format):
    value = float(getattr(value, "value", value))
    return format(value, number_format) if np.isfinite(value) else "-"
