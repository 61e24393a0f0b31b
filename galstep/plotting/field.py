"""The picture of a field: data, residual, errors, and the stars of the zero points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from galstep.plotting.stretch import BRIGHTNESS_MAP, RESIDUAL_MAP, brightness_norm, residual_norm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["field_figure"]

# sources that are marked: more would cover the image
MARKED = 2000
#: Of Okabe & Ito: a star, a galaxy, what is not reliable, the mask of bright light.
_STAR, _GALAXY, _DOUBTFUL, _MASK = "#56b4e9", "#e69f00", "#d55e00", "#ffffff"


def field_figure(
    model: FieldModel, data: np.ndarray, residual: np.ndarray | None, sigma: float, step: int
) -> Figure:
    """Data with the sources, residual, relative errors, and zero points of the stars.

    Parameters
    ----------
    model : FieldModel
    data, residual : (ny, nx) arrays
        Of the first band, ``step`` pixels a sample, NaN where masked; the residual is in sigma, and
        may be None.
    sigma : float
        Noise of a sample of ``data``.
    step : int

    Returns
    -------
    `matplotlib.figure.Figure`
    """
    figure = Figure(figsize=(14, 13), layout="constrained")
    axes = figure.subplots(2, 2)
    ny, nx = data.shape
    extent = (-0.5, nx * step - 0.5, -0.5, ny * step - 0.5)
    options = {"origin": "lower", "interpolation": "nearest", "extent": extent}
    level = np.nanmedian(data) if np.isfinite(data).any() else 0.0
    norm = brightness_norm([data - level], sigma)
    axes[0, 0].imshow(data - level, cmap=BRIGHTNESS_MAP, norm=norm, **options)
    _mark(axes[0, 0], model)
    band = model.reference.name
    # a $ in a name begins no formula
    axes[0, 0].set_title(
        f"{model.meta.name} {band}: {len(model)} sources (blue star, orange galaxy, red doubtful)",
        parse_math=False, fontsize="medium",
    )  # fmt: skip
    if residual is None:
        axes[0, 1].text(0.5, 0.5, "not fitted", ha="center", transform=axes[0, 1].transAxes)
    else:
        axes[0, 1].imshow(residual, cmap=RESIDUAL_MAP, norm=residual_norm(), **options)
    axes[0, 1].set_title(f"{band}: residual, -5 to 5 sigma", parse_math=False)
    for axis in axes[0]:
        axis.set(xlim=extent[:2], ylim=extent[2:], xlabel="x (pixel)", ylabel="y (pixel)")
    _errors(axes[1, 0], model)
    _zero_points(axes[1, 1], model)
    return figure


def _mark(axis: Axes, model: FieldModel) -> None:
    table = model.catalog
    flux = np.nan_to_num(table[f"flux_{model.reference.name}"].value, nan=-np.inf)
    for row in table[np.argsort(-flux)[:MARKED]]:
        x, y = row["x"].value, row["y"].value
        if not (np.isfinite(x) and np.isfinite(y)):
            x, y = row["x_input"].value, row["y_input"].value
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        a, ellip, theta = 2 * row["r_eff"].value, row["ellip"].value, row["theta"].value
        is_star = not np.isfinite(a * ellip * theta)
        width, height = (8.0, 8.0) if is_star else (2 * a, 2 * a * (1 - ellip))
        colour = (_STAR if is_star else _GALAXY) if row["reliable"] else _DOUBTFUL
        outline = Ellipse((x, y), width, height, angle=0.0 if is_star else theta)
        outline.set(fill=False, edgecolor=colour, linewidth=0.5)
        axis.add_patch(outline)
    for x, y, a, b, angle in model.ellipses:
        outline = Ellipse((x, y), 2 * a, 2 * b, angle=float(np.degrees(angle)))
        outline.set(fill=False, edgecolor=_MASK, linewidth=0.8, linestyle="--")
        axis.add_patch(outline)


def _errors(axis: Axes, model: FieldModel) -> None:
    for name in model.bands:
        flux = model.catalog[f"flux_{name}"].value
        err = model.catalog[f"flux_{name}_err"].value
        good = (flux > 0) & (err > 0)
        if good.any():
            axis.loglog(flux[good], err[good] / flux[good], ".", ms=3, label=name)
    axis.set(xlabel="flux (zero point zp_ref)", ylabel="relative error", title="errors of fluxes")
    _legend(axis)


def _zero_points(axis: Axes, model: FieldModel) -> None:
    for name, band in model.bands.items():
        magnitude = np.asarray(model.start[f"reference_mag_{name}"])
        flux = model.catalog[f"flux_{name}"].value
        good = np.isfinite(magnitude) & (flux > 0)
        if not (good.any() and np.isfinite(band.zp)):
            continue
        offset = magnitude[good] + 2.5 * np.log10(flux[good]) - band.zp
        label = f"{name}: {band.zp:.4f} +/- {band.zp_err:.4f}, {band.zp_n_stars} stars"
        axis.plot(magnitude[good], offset, ".", ms=4, label=label)
    axis.axhline(0.0, color="0.5", linewidth=0.8)
    axis.set(xlabel="reference magnitude", ylabel="zero point of the star - zero point (mag)")
    axis.set_title("reference stars")
    if not axis.get_legend_handles_labels()[0]:
        axis.text(0.5, 0.6, "none", ha="center", transform=axis.transAxes)
    _legend(axis)


def _legend(axis):
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize="small")
