"""The key numbers of a galaxy, in words."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.aperture_rows import magnitude_limit
from galstep.datamodels.totals import total_flux
from galstep.flags import decode
from galstep.units import ab_magnitude

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["band_lines", "flag_lines", "shape_lines"]


def shape_lines(model: GalaxyModel) -> list[str]:
    """Name, base filter and shape, one short line each.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    list of str
    """
    lines = []
    base = model.bands.get(model.meta.base_filter)
    step = model.meta.fit_step or "none"
    lines.append(f"base filter   {model.meta.base_filter or 'none'}")
    lines.append(f"last fit      {step}")
    if base is None or not base.fitted or not base.fit.target:
        return [*lines, "shape         not measured"]
    fit, scale = base.fit.target[0], base.pixel_scale
    params = fit.params
    lines += [
        f'r_eff         {_value(params.r_eff, fit.r_eff_err)} pix = {params.r_eff * scale:.3f}"',
        f"n             {_value(params.n, fit.n_err)}",
        f"axis ratio    {_value(1 - params.ellip, fit.ellip_err)}",
        f"angle         {_value(np.degrees(params.theta), np.degrees(fit.theta_err))} deg",
    ]
    return lines


def band_lines(model: GalaxyModel) -> list[str]:
    """A line per filter: total magnitude, number of stars and, if any has some, knots, chi2.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    list of str
    """
    any_knots = any(band.fitted and len(band.fit.knots) for band in model.bands.values())
    header = f"{'knots':>6}" if any_knots else ""
    lines = [f"{'filter':<9}{'AB total':>17}{'stars':>7}{header}{'chi2':>7}"]
    for name, band in model.bands.items():
        if not band.fitted or not band.fit.target:
            lines.append(f"{name:<9}{'no fit' if band.usable else 'no data':>17}")
            continue
        knots = f"{len(band.fit.knots):>6}" if any_knots else ""
        lines.append(
            f"{name:<9}{_magnitude(band):>17}{len(band.fit.stars):>7}{knots}"
            f"{band.fit.chi2_reduced:>7.2f}"
        )
    return lines


def _magnitude(band):
    """The total magnitude with its error, or the limit of what is not detected."""
    flux = total_flux(band)
    limit = magnitude_limit(*flux, band)
    if math.isfinite(limit):
        return f"> {limit:.2f}"
    return _value(*ab_magnitude(*flux, band.unit, band.pixel_area_sr))


def flag_lines(model: GalaxyModel, width: int = 60, most: int = 9) -> list[str]:
    """The flags of every filter in words, filters with the same flags together.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    width : int, optional
        Characters per line.
    most : int, optional
        Number of lines at most; the last then says how many are left.

    Returns
    -------
    list of str
    """
    by_flags = {}
    for name, band in model.bands.items():
        words = tuple(word.replace("_", " ") for word in decode(band.all_flags))
        by_flags.setdefault(words, []).append(name)
    lines = []
    for words, names in by_flags.items():
        if words:
            text = f"{', '.join(names)}: {', '.join(words)}"
            lines += textwrap.wrap(text, width, subsequent_indent="  ")
    if len(lines) > most:
        lines = [*lines[: most - 1], f"... and {len(lines) - most + 1} more lines"]
    return lines or ["no flags in any filter"]


def _value(value, error):
    """``value +- error`` to two digits of the error."""
    if not math.isfinite(value):
        return "nan"
    if not (math.isfinite(error) and error > 0):
        return f"{value:.4g}"
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
