"""`growth_figure`: the curve of growth of every filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from galstep.datamodels.tables.totals import total_flux
from galstep.filters import by_wavelength
from galstep.plotting.profiles import (
    DATA_COLOUR,
    MODEL_COLOUR,
    RADIUS_COLOUR,
    elliptical_radius,
)
from galstep.records import SersicParams

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["growth_figure"]

_COLUMNS = 3
_STEPS = 60


def growth_figure(model: GalaxyModel) -> Figure:
    """Flux inside ellipses of growing size, with its error, and the model's.

    In units of the model galaxy's total flux, knots included. Lines: the sums over the images, of
    data without stars, sky and companions, and of the model, masked pixels as in the model. Dots
    with errors: the apertures that were measured along the isophotes; the solid line marks that of
    Petrosian, the dashed one that of Kron.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
        Measured by AperPhot, best with ``growth`` above 10.

    Returns
    -------
    matplotlib.figure.Figure
    """
    curves = {name: _curve(model.bands[name]) for name in by_wavelength(model.bands)}
    curves = {name: curve for name, curve in curves.items() if curve}
    columns = max(min(_COLUMNS, len(curves)), 1)
    rows = max(-(-len(curves) // columns), 1)
    height = 2.7 * rows + 0.9
    figure = Figure(figsize=(4 * columns + 0.4, height), dpi=100)
    figure.text(0.02, 1 - 0.4 / height, f"{model.meta.name}: curves of growth", fontsize=13)
    if not curves:
        figure.text(0.5, 0.5, "no aperture was measured (AperPhot)", ha="center")
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


def _sums(band, aperture):
    """Semi-major axes, and what lies inside of data and of the model; None before a fit."""
    if band.target_image is None or band.residual is None:
        return None
    shape = SersicParams(
        x_0=aperture.x, y_0=aperture.y, r_eff=1.0, n=1.0, ellip=1 - aperture.b / aperture.a,
        theta=aperture.theta,
    )  # fmt: skip
    radius = elliptical_radius(band.shape, shape).ravel()
    light = np.asarray(band.target_image, dtype=float).ravel()
    rest = np.nan_to_num(np.where(band.mask, 0.0, band.residual)).ravel()
    order = np.argsort(radius)
    radius, inside = radius[order], np.cumsum(light[order])
    data = inside + np.cumsum(rest[order])
    # beyond the nearest edge an ellipse is no longer whole
    edge = min(aperture.x, aperture.y, band.shape[1] - 1 - aperture.x,
               band.shape[0] - 1 - aperture.y)  # fmt: skip
    steps = np.geomspace(1.0, max(edge, aperture.a, 2.0), _STEPS)
    index = np.clip(np.searchsorted(radius, steps) - 1, 0, len(radius) - 1)
    return steps, data[index], inside[index]


def _draw(axes, band, curve):
    total, _ = total_flux(band)
    radius = np.array([a.aperture.a for a in curve])
    flux, err = (np.array([getattr(a, n) for a in curve]) / total for n in ("flux", "flux_err"))
    sums = _sums(band, curve[0].aperture)
    if sums is not None:
        steps, data, inside = sums
        axes.plot(steps, data / total, lw=1.0, color=DATA_COLOUR, label="data - stars - sky")
        axes.plot(steps, inside / total, lw=1.3, color=MODEL_COLOUR, label="galaxy model")
    axes.errorbar(
        radius, flux, np.nan_to_num(err), fmt="o", ms=3.5, lw=0.9, color=DATA_COLOUR,
        label="apertures, 1 σ",
    )  # fmt: skip
    for a in curve:
        if a.kind in ("petrosian", "kron"):
            style = "-" if a.kind == "petrosian" else "--"
            axes.axvline(a.aperture.a, ls=style, lw=0.9, color=RADIUS_COLOUR, zorder=1)
    axes.axhline(1, color="0.6", lw=0.8)
    # a noisy filter would flatten what there is to see
    axes.set_ylim(-0.1, max(1.25, min(2.0, 1.1 * np.nanmax(flux))))
    axes.set_xscale("log")
    # numbers at all minor ticks would run into each other
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
