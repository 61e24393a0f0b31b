"""The spectral energy distribution: AB magnitudes against wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from galstep.datamodels.catalogs.magnitude_table import magnitudes_by_filter
from galstep.datamodels.tables.main_magnitudes import main_magnitudes
from galstep.filters import filter_wavelength

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.table import Table
    from matplotlib.axes import Axes

    from galstep.datamodels import GalaxyModel

__all__ = ["draw_sed", "sed_figure", "sed_points"]

KINDS = ("total", "half", "kron", "aperture")
_STYLES = {
    "total": dict(fmt="o", ms=6, color="#d55e00", label="total (model)"),
    "half": dict(fmt="^", ms=5, color="#56b4e9", label="inside half-light"),
    "kron": dict(fmt="D", ms=5, mfc="none", color="#009e73", label="Kron aperture"),
    "aperture": dict(fmt="s", ms=6, mfc="none", color="#0072b2", label="main aperture"),
    "given": dict(fmt="x", ms=7, mew=1.6, color="black", label="given"),
}


def sed_figure(
    model: GalaxyModel, magnitudes: Mapping | Table | None = None, label: str = "published"
) -> Figure:
    """The magnitudes of a galaxy in all filters, beside others if they are given.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    magnitudes : mapping or astropy.table.Table, optional
        Filter to (AB magnitude, error); or a table with the columns ``filter``,
        ``mag_ab``, ``mag_ab_err`` and, if it has other galaxies too, ``galaxy``.
    label : str, optional
        What to call them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a table lacks a column.
    """
    figure = Figure(figsize=(7, 5), dpi=110)
    axes = figure.add_axes((0.11, 0.12, 0.86, 0.78))
    if hasattr(magnitudes, "colnames"):
        magnitudes = magnitudes_by_filter(magnitudes, model.meta.name)
    draw_sed(axes, model, magnitudes, label)
    axes.set_title(f"{model.meta.name}: AB magnitudes", fontsize=12, loc="left")
    return figure


def sed_points(model: GalaxyModel) -> dict[str, np.ndarray]:
    """Magnitudes of every filter.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    dict of str to ndarray
        ``"total"``, ``"half"`` (inside the half-light ellipse), ``"kron"`` and
        ``"aperture"``, each (number of filters, 3):
        magnitude, error, and the upper limit of a source that is not detected;
        NaN where there is none.
    """
    magnitudes = [main_magnitudes(band) for band in model.bands.values()]
    return {kind: np.array([m[kind] for m in magnitudes], dtype=float) for kind in KINDS}


def draw_sed(
    axes: Axes, model: GalaxyModel, magnitudes: Mapping | None = None, label: str = "given"
) -> None:
    """Draw the SED: total, half-light, Kron and aperture magnitudes; arrows are upper limits.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    model : galstep.datamodels.GalaxyModel
    magnitudes : dict of str to (float, float), optional
        Filter to magnitude and error, drawn as crosses.
    label : str, optional
        What to call them.
    """
    names = list(model.bands)
    wavelengths = [filter_wavelength(name) for name in names]
    by_wavelength = None not in wavelengths
    place = (
        np.array(wavelengths, dtype=float) if by_wavelength else np.arange(len(names), dtype=float)
    )
    points = sed_points(model)
    if magnitudes:
        given = [(*magnitudes.get(name, (np.nan, np.nan)), np.nan) for name in names]
        points["given"] = np.array(given, dtype=float)
    if not any(np.isfinite(values).any() for values in points.values()):
        axes.text(0.5, 0.5, "no magnitude measured", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    for kind, values in points.items():
        style = _STYLES[kind] | ({"label": label} if kind == "given" else {})
        _draw_points(axes, place, values, style)
    _name_points(axes, names, place, points)
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.25)
    axes.set_ylabel("AB magnitude", fontsize=9)
    axes.legend(fontsize=8, loc="best", frameon=False)
    axes.tick_params(labelsize=8)
    if by_wavelength:
        axes.set_xlabel("wavelength (µm)", fontsize=9)
    else:
        axes.set_xticks(place, names)


def _draw_points(axes, place, values, style):
    magnitude, error, limit = values.T
    shown = np.isfinite(magnitude)
    if shown.any():
        error = np.where(np.isfinite(error), error, 0)
        axes.errorbar(place[shown], magnitude[shown], error[shown], lw=1.2, **style)
    below = np.isfinite(limit)
    if below.any():
        arrow = dict(ls="", marker="$\\downarrow$", ms=11, color=style["color"])
        axes.plot(place[below], limit[below], **arrow)


def _name_points(axes, names, place, points):
    """Write the filters' names, by turns above and below their points."""
    above = True
    for index in np.argsort(place):
        known = np.concatenate([values[index, ::2] for values in points.values()])
        known = known[np.isfinite(known)]
        if not known.size:
            continue
        axes.annotate(
            names[index],
            (place[index], known.min() if above else known.max()),
            (0, 8 if above else -15),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
        above = not above
