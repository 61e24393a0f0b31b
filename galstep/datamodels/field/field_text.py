"""A field in words: what ``str``, a notebook and the end of a log show of it."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables.model_text import html_table, text_table
from galstep.flags import FieldFlag, decode

if TYPE_CHECKING:
    from galstep.datamodels.field.field_data import FieldData

__all__ = ["field_counts", "field_flags", "field_html", "field_table", "field_text"]

_HEADERS = ("band", "sources", "S/N > 5", "median chi2", "PSF FWHM", "PSF stars", "zero point")


def field_text(model: FieldData) -> str:
    """One line that says what it is, and a table of its bands if it has been fitted.

    Parameters
    ----------
    model : `galstep.datamodels.field.field_data.FieldData`

    Returns
    -------
    str
    """
    lines = [f"<{_title(model)}>"]
    if model.meta.fit_step is not None:
        lines += [field_counts(model), *field_table(model)]
        lines += field_flags(model)
    return "\n".join(lines)


def field_html(model: FieldData) -> str:
    """The same as HTML; names are escaped.

    Parameters
    ----------
    model : `galstep.datamodels.field.field_data.FieldData`

    Returns
    -------
    str
    """
    text = f"<p><b>{escape(_title(model))}</b></p>"
    if model.meta.fit_step is None:
        return text
    below = "".join(f"<p>{escape(line)}</p>" for line in field_flags(model))
    table = html_table(_HEADERS, _rows(model))
    return f"{text}<p>{escape(field_counts(model))}</p>{table}{below}"


def _title(model):
    meta = model.meta
    fitted = f"fitted by {meta.fit_step}" if meta.fit_step else "not fitted"
    return f"FieldModel {meta.name!r}: {', '.join(model.bands)}; {len(model)} sources; {fitted}"


def field_counts(model: FieldData) -> str:
    """How many sources there are, of which types, and how many are reliable."""
    table = model.catalog
    types = Counter(str(name) for name in table["type"] if name)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(types.items()))
    reliable = np.count_nonzero(table["reliable"])
    return f"{len(table)} sources: {reliable} reliable; {kinds or 'none fitted'}"


def field_flags(model: FieldData) -> list[str]:
    """How often each flag is set, as one line; none where there are no flags."""
    bits = model.catalog["flags"]
    flags = Counter(name for own in bits for name in decode(int(own), FieldFlag))
    if not flags:
        return []
    said = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in flags.most_common())
    return [f"flags: {said}"]


def field_table(model: FieldData) -> list[str]:
    """A table of the bands, as lines of text."""
    return text_table(_HEADERS, _rows(model))


def _rows(model):
    return [_row(model, name) for name in model.bands]


def _row(model, name):
    table, band = model.catalog, model.bands[name]
    flux, err = table[f"flux_{name}"].value, table[f"flux_{name}_err"].value
    measured = np.isfinite(flux) & (err > 0)
    chi2 = table[f"chi2_reduced_{name}"].value
    chi2 = chi2[np.isfinite(chi2)]
    has_zp = np.isfinite(band.zp)
    return (
        name,
        str(np.count_nonzero(measured)),
        str(np.count_nonzero(measured & (flux > 5 * np.where(measured, err, 1.0)))),
        f"{np.median(chi2):.3f}" if len(chi2) else "-",
        "-" if band.psf is None else f"{band.psf.fwhm:.2f}",
        "-" if band.psf is None else str(band.psf.n_stars),
        f"{band.zp:.4f} +/- {band.zp_err:.4f}" if has_zp else f"{model.meta.zp_ref:g} (header)",
    )
