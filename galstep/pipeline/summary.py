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
    """A table of the main results, one line per filter and component.

    The numbers are those of the products ``_sersic`` and ``_phot``: total flux
    (image unit x pixel) and AB magnitude with 1-sigma errors, colour (this
    filter minus the base filter), r_eff (pixels), Sersic index, number of
    stars, reduced chi2, and the flags in words. Instead of the magnitude of a
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
    phot = {str(row["filter"]): row for row in phot_table(model)}
    rows = [_HEADERS]
    rows += [_row(sersic, phot[str(sersic["filter"])]) for sersic in sersic_table(model)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADERS))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(sersic, phot):
    measured = np.isfinite(sersic["flux"])
    return (
        str(sersic["filter"]),
        _with_error(sersic["flux"], sersic["flux_err"], ".5g", ".2g"),
        _magnitude(sersic),
        _with_error(phot["color"], phot["color_err"], ".3f", ".3f"),
        _number(sersic["r_eff"], ".2f"),
        _number(sersic["n"], ".2f"),
        str(int(phot["n_stars"])),
        _number(sersic["chi2_reduced"], ".3f"),
        ", ".join(_words(sersic["flags"])) or ("ok" if measured else "not fitted"),
    )


def _magnitude(sersic):
    """The magnitude with its error, or the upper limit of what is not detected."""
    limit = _number(sersic["mag_ab_limit"], ".3f")
    if limit != "-":
        return f"> {limit}"
    return _with_error(sersic["mag_ab"], sersic["mag_ab_err"], ".3f", ".3f")


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
