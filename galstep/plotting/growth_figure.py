"""`growth_figure`: the curve of growth of every filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from galstep.datamodels.tables.totals import total_flux
from galstep.plotting.profiles import DATA_COLOUR, MODEL_COLOUR, RADIUS_COLOUR

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["growth_figure"]

_COLUMNS = 3


def growth_figure(model: GalaxyModel) -> Figure:
    """Flux inside ellipses of growing size, with its error, and the model's.

    In units of the model galaxy's total flux, knots included. Dots: all apertures along the
    isophotes; the solid line marks the Petrosian aperture, the dashed one that of
    Kron.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
        Measured by AperPhot, best with ``growth`` above 10.

    Returns
    -------
    matplotlib.figure.Figure
    """
    curves = {name: _curve(band) for name, band in model.bands.items()}
    curves = {name: curve for name, curve in curves.items() if len(curve) > 1}
    columns = max(min(_COLUMNS, len(curves)), 1)
    rows = max(-(-len(curves) // columns), 1)
    height = 2.7 * rows + 0.9
    figure = Figure(figsize=(4 * columns + 0.4, height), dpi=100)
    figure.text(0.02, 1 - 0.4 / height, f"{model.meta.name}: curves of growth", fontsize=13)
    if not curves:
        figure.text(0.5, 0.5, "no curve of growth was measured (AperPhot: growth)", ha="center")
        return figure
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=True,
        gridspec_kw=dict(
            left=0.08, right=0.98, bottom=0.55 / height, top=1 - 0.8 / height, hspace=0.2
        ),
    )  # fmt: skip
    for index, (place, (name, curve)) in enumerate(zip(axes.flat, curves.items(), strict=False)):
        _draw(place, model.bands[name], curve)
        place.set_title(name, fontsize=11, weight="bold", pad=4)
        if index % columns == 0:
            place.set_ylabel("flux / model's total", fontsize=9)
        if index >= len(curves) - columns:
            place.set_xlabel("semi-major axis (pix)", fontsize=9)
            place.tick_params(labelbottom=True)
    for place in axes.flat[len(curves) :]:
        place.set_axis_off()
    axes[0, 0].legend(fontsize=8, loc="upper left")
    return figure


def _curve(band):
    """The apertures along the isophotes, from the inside out."""
    if band.aperture is None or not band.fitted:
        return []
    every = (band.aperture, *band.aperture.others)
    chosen = [a for a in every if a.kind != "circle" and np.isfinite(a.flux)]
    return sorted(chosen, key=lambda a: a.aperture.a)


def _draw(axes, band, curve):
    total, _ = total_flux(band)
    radius = np.array([a.aperture.a for a in curve])
    flux, err = (np.array([getattr(a, n) for a in curve]) / total for n in ("flux", "flux_err"))
    axes.fill_between(radius, flux - err, flux + err, color="0.8", lw=0, label="1 σ")
    axes.plot(radius, flux, "o", ms=3.5, color=DATA_COLOUR, label="data - stars - sky")
    share = [a.frac_enclosed for a in curve]
    axes.plot(radius, share, lw=1.3, color=MODEL_COLOUR, label="galaxy model")
    for a in curve:
        if a.kind in ("petrosian", "kron"):
            style = "-" if a.kind == "petrosian" else "--"
            axes.axvline(a.aperture.a, ls=style, lw=0.9, color=RADIUS_COLOUR, zorder=1)
    axes.axhline(1, color="0.6", lw=0.8)
    axes.set_xscale("log")
    # a decade or less: numbers at all minor ticks would run into each other
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
