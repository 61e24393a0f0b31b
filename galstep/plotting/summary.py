"""The key numbers of a galaxy, in words."""

from __future__ import annotations

import math
import os
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from galstep import __version__
from galstep.datamodels.tables.main_magnitudes import main_magnitudes
from galstep.filters import by_wavelength
from galstep.flags import decode
from galstep.plotting.profiles import half_light_radius

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["band_lines", "flag_lines", "origin_line", "shape_lines"]


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
    parts = [(component.params, component) for component in base.fit.target]
    half = half_light_radius(base)
    lines += [
        f'half light    {half:.1f} pix = {half * base.pixel_scale:.3f}"',
        f"r_eff         {_joined(_value(p.r_eff, c.r_eff_err) for p, c in parts)} pix",
        f"n             {_joined(_value(p.n, c.n_err) for p, c in parts)}",
        f"axis ratio    {_joined(_value(1 - p.ellip, c.ellip_err) for p, c in parts)}",
    ]
    if len(parts) == 1:
        ((params, fit),) = parts
        angle = _value(np.degrees(params.theta), np.degrees(fit.theta_err))
        lines.append(f"angle         {angle} deg")
    return lines


def _joined(values):
    """Of several components: values side by side, errors left out for want of room."""
    values = list(values)
    return values[0] if len(values) == 1 else ", ".join(v.split(" ±")[0] for v in values)


def origin_line(model: GalaxyModel) -> str:
    """What made the numbers, and of which input.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    str
    """
    told = [f"galstep {model.meta.version or __version__}"]
    if model.meta.filename:
        told.append(f"input {os.path.basename(model.meta.filename)}")
    return ", ".join(told)


def band_lines(model: GalaxyModel) -> list[str]:
    """A line per filter: magnitudes, PSF width, stars and, if any has some, knots, chi2.

    Filters from blue to red. Magnitudes are those of
    `galstep.datamodels.tables.main_magnitudes.main_magnitudes`.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    list of str
    """
    any_knots = any(band.fitted and len(band.fit.knots) for band in model.bands.values())
    header = f"{'knots':>6}" if any_knots else ""
    columns = "".join(f"{name:>18}" for name in ("AB total", "half-light", "Kron"))
    lines = [f"{'filter':<9}{columns}{'PSF':>9}{'stars':>7}{header}{'chi2':>7}"]
    for name in by_wavelength(model.bands):
        band = model.bands[name]
        if not band.fitted or not band.fit.target:
            lines.append(f"{name:<9}{'no fit' if band.usable else 'no data':>18}")
            continue
        knots = f"{len(band.fit.knots):>6}" if any_knots else ""
        shown = main_magnitudes(band)
        columns = "".join(f"{_magnitude(shown[k]):>18}" for k in ("total", "half", "kron"))
        lines.append(
            f"{name:<9}{columns}{_psf_width(band):>9}{len(band.fit.stars):>7}{knots}"
            f"{band.fit.chi2_reduced:>7.2f}"
        )
    return lines


def _psf_width(band):
    """FWHM of the calibrated PSF in arcsec."""
    fwhm = math.nan if band.psf_kernel is None else band.psf_kernel.fwhm * band.pixel_scale
    return f'{fwhm:.3f}"' if math.isfinite(fwhm) else "-"


def _magnitude(magnitude):
    """A magnitude with its error, or the limit of what is not detected."""
    if math.isfinite(magnitude.limit):
        return f"> {magnitude.limit:.2f}"
    if not math.isfinite(magnitude.value):
        return "-"
    return _value(magnitude.value, magnitude.error)


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
    for name in by_wavelength(model.bands):
        band = model.bands[name]
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
