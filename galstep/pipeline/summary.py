"""The result of a run as a few lines of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables.flag_words import flag_words
from galstep.datamodels.tables.galaxy_tables import phot_table, sersic_table
from galstep.datamodels.tables.main_magnitudes import main_fluxes, main_magnitudes
from galstep.flags import decode
from galstep.units import ab_magnitude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["flag_lines", "result_in_words", "summary_lines"]

# column, kind of galstep.datamodels.tables.main_magnitudes
_BRIGHTNESS = (("total", "total"), ("half_light", "half"), ("kron", "kron"))
_AFTER = ("color", "r_eff", "n", "stars", "chi2", "flags")


def summary_lines(model: GalaxyModel) -> list[str]:
    """A table of the main results, one line per filter and what it consists of.

    The numbers are those of the products ``_sersic`` and ``_phot``. Brightness is an AB
    magnitude (``_AB``), or a flux in image unit x pixel (``_flux``) where no filter has a
    calibration: total (all components and knots), inside the base filter's half-light
    ellipse, and in the Kron ellipse. Only a galaxy flagged ``faint`` has an upper limit
    (> 26.1). Then the colour (this filter minus the base filter), r_eff (pixels) and
    Sersic index of the first component, number of stars, reduced chi2, and the flags.
    Further lines give the components, if there are several, the knots and the
    companions, if there are any. A dash stands for a number that is not known.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    list of str
        A line of headers, then the rows, in columns of equal width.
    """
    calibrated = _is_calibrated(model)
    headers = [f"{name}_{'AB' if calibrated else 'flux'}" for name, _ in _BRIGHTNESS]
    sersic, rows = sersic_table(model), [("filter", *headers, *_AFTER)]
    for phot in phot_table(model):
        band = model.bands[phot["filter"]]
        own = sersic[sersic["filter"] == phot["filter"]]
        target = own[own["galaxy_id"] == 0]
        rows.append(_row(target[0] if len(target) else own[0], phot, band, calibrated))
        fits = band.fit.sersic if band.fitted else ()
        for row, fit in zip(own, fits, strict=False):
            if fit.galaxy_id > 0:
                rows.append(_galaxy(band, calibrated, f"companion {fit.galaxy_id}", fit, row))
            elif len(target) > 1:
                rows.append(_galaxy(band, calibrated, f"component {row['component']}", fit, row))
        if phot["n_knots"]:
            rows.append(_knots(band, calibrated))
    return _in_columns(rows)


def flag_lines(model: GalaxyModel) -> list[str]:
    """The flags with their filters, what they say and what can be done, a line each.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    list of str
        Empty if there are none.
    """
    every = len(model.bands)
    lines = []
    for found in flag_words(model):
        where = ", ".join(found.filters) if len(found.filters) < every else "all filters"
        lines.append(f"{found.name} ({where}): {found.text}. What to do: {found.remedy}")
    return lines


def result_in_words(model: GalaxyModel) -> str:
    """The result in the base filter, as the line of a batch has it.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    str
        Total, half-light and Kron magnitude (or flux), and the flags of all filters.
    """
    band = model.bands.get(model.meta.base_filter)
    if band is None or not band.fitted:
        said = ["no fit"]
    else:
        calibrated = _is_calibrated(model)
        numbers = [
            f"{name.replace('_', '-')} {_brightness(band, kind, calibrated)}"
            for name, kind in _BRIGHTNESS
        ]
        said = [f"{band.name} {', '.join(n for n in numbers if not n.endswith(' -'))}"]
    flags = [
        found.name + (f" ({', '.join(found.filters)})" if found.filters != model.filters else "")
        for found in flag_words(model)
    ]
    return "; ".join([*said, f"flags {', '.join(flags)}" if flags else "no flags"])


def _is_calibrated(model):
    """Whether any filter has a magnitude."""
    magnitudes = [m for band in model.bands.values() for m in main_magnitudes(band).values()]
    fluxes = [f for band in model.bands.values() for f, _ in main_fluxes(band).values()]
    known = any(np.isfinite(m.value) or np.isfinite(m.limit) for m in magnitudes)
    return known or not np.isfinite(fluxes).any()


def _row(sersic, phot, band, calibrated):
    measured = np.isfinite(phot["total_flux"])
    return (
        str(phot["filter"]),
        *(_brightness(band, kind, calibrated) for _, kind in _BRIGHTNESS),
        _with_error(phot["color"], phot["color_err"]),
        _number(sersic["r_eff"], ".2f"),
        _number(sersic["n"], ".2f"),
        str(int(phot["n_stars"])),
        _number(sersic["chi2_reduced"], ".3f"),
        ", ".join(_words(phot["flags"])) or ("ok" if measured else "not fitted"),
    )


def _brightness(band: BandData, kind: str, calibrated: bool) -> str:
    """A magnitude with its error or an upper limit; a flux where there are no magnitudes."""
    if not calibrated:
        flux, error = main_fluxes(band)[kind]
        return _flux(flux, error)
    magnitude = main_magnitudes(band)[kind]
    if np.isfinite(magnitude.limit):
        return f"> {magnitude.limit:.3f}"
    return _with_error(magnitude.value, magnitude.error)


def _galaxy(band, calibrated, name, fit, row):
    """The line of a component or of a companion."""
    shape = _number(row["r_eff"], ".2f"), _number(row["n"], ".2f")
    brightness = _in_unit(band, calibrated, fit.flux, fit.flux_err)
    return (f"- {name}", brightness, "", "", "", *shape, "", "", "")


def _knots(band, calibrated):
    """The line of all knots together; the error of the total has theirs."""
    brightness = _in_unit(band, calibrated, band.fit.knot_flux, math.nan)
    return (f"- knots ({len(band.fit.knots)})", brightness, *[""] * 8)


def _in_unit(band, calibrated, flux, error):
    if not calibrated:
        return _flux(flux, error)
    magnitude, error = ab_magnitude(flux, error, band.unit, band.pixel_area_sr)
    return _with_error(magnitude, error)


def _in_columns(rows: Sequence[tuple]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _words(flags):
    return [name.replace("_", " ") for name in decode(int(flags))]


def _flux(flux, error):
    text = _number(flux, ".5g")
    return text if text == "-" or not np.isfinite(error) else f"{text} +/- {error:.2g}"


def _with_error(value, error):
    """A magnitude or colour and its error; what has no error is told without."""
    text, uncertain = _number(value, ".3f"), _number(error, ".3f")
    return text if "-" in (text, uncertain) else f"{text} +/- {uncertain}"


def _number(value, number_format):
    value = _bare(value)
    return format(value, number_format) if np.isfinite(value) else "-"


def _bare(value):
    return float(getattr(value, "value", value))
