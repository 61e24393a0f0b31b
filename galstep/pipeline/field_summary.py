"""The result of a field as a few lines of text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from galstep.execution.duration import duration
from galstep.flags import FieldFlag, decode

if TYPE_CHECKING:
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["field_summary_lines"]

_HEADERS = ("band", "sources", "S/N > 5", "median chi2", "PSF FWHM", "PSF stars", "zero point")


def field_summary_lines(model: FieldModel) -> list[str]:
    """What a field came to: sources by type, a line per band, flags, times.

    Parameters
    ----------
    model : FieldModel

    Returns
    -------
    list of str
    """
    table = model.catalog
    types = Counter(str(name) for name in table["type"] if name)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(types.items()))
    lines = [
        f"{len(table)} sources: {np.count_nonzero(table['reliable'])} reliable; {kinds or 'none fitted'}"
    ]
    rows = [_HEADERS, *(_band_row(model, name) for name in model.bands)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADERS))]
    lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    flags = Counter(name for bits in table["flags"] for name in decode(int(bits), FieldFlag))
    if flags:
        said = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in flags.most_common())
        lines.append(f"flags: {said}")
    if model.meta.timings:
        times = ", ".join(f"{key} {duration(s)}" for key, s in model.meta.timings.items())
        lines.append(f"times: {times}")
    return lines


def _band_row(model, name):
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
