"""The picture of a star field: data, residual, and how the errors run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from galstep.plotting.stretch import BRIGHTNESS_MAP, RESIDUAL_MAP, brightness_norm, residual_norm

if TYPE_CHECKING:
    from galstep.datamodels.sky.star_field_model import StarFieldModel

__all__ = ["star_field_figure"]

# Pixels of the picture along a side, and stars that are marked.
SIDE, MARKED = 800, 2000


def star_field_figure(field: StarFieldModel) -> Figure:
    """Data and residual side by side, and flux errors against fluxes.

    Parameters
    ----------
    field : `galstep.datamodels.sky.star_field_model.StarFieldModel`

    Returns
    -------
    `matplotlib.figure.Figure`
    """
    step = max(1, -(-max(field.image.shape) // SIDE))
    data = np.array(field.image.data[::step, ::step], dtype=float)
    data[field.image.bad_pixels(np.s_[::step, ::step])] = np.nan
    residual = field.residual_image()[::step, ::step]
    finite = residual[np.isfinite(residual)]
    sigma = 1.4826 * np.median(np.abs(finite - np.median(finite))) if finite.size else 1.0
    figure = Figure(figsize=(15, 5), layout="constrained")
    axes = figure.subplots(1, 3)
    ny, nx = field.image.shape
    extent = (-0.5, nx - 0.5, -0.5, ny - 0.5)
    level = np.median(data[np.isfinite(data)]) if np.isfinite(data).any() else 0.0
    options = dict(origin="lower", interpolation="nearest", extent=extent)
    norm = brightness_norm([data - level], sigma)
    axes[0].imshow(data - level, cmap=BRIGHTNESS_MAP, norm=norm, **options)
    axes[1].imshow(residual / (sigma or 1.0), cmap=RESIDUAL_MAP, norm=residual_norm(), **options)
    bright = np.argsort(-np.nan_to_num(field.rows.flux_fit))[:MARKED]
    axes[0].scatter(
        field.rows.x_fit[bright], field.rows.y_fit[bright],
        s=12, facecolors="none", edgecolors="w", linewidths=0.4,
    )  # fmt: skip
    # a $ in a name begins no formula
    axes[0].set_title(f"{field.image.name}: {len(field)} stars", parse_math=False)
    axes[1].set_title(f"residual, -5 to 5 sigma (sigma {sigma:.3g})")
    _errors(axes[2], field.rows)
    for axis in axes[:2]:
        axis.set(xlim=extent[:2], ylim=extent[2:], xlabel="x (pixel)", ylabel="y (pixel)")
    return figure


def _errors(axis, rows):
    good = (rows.flux_fit > 0) & (rows.flux_err > 0)
    axis.loglog(rows.flux_fit[good], rows.flux_err[good] / rows.flux_fit[good], ".", ms=2)
    axis.set(xlabel="flux (image unit x pixel)", ylabel="relative error of the flux")
    axis.set_title("errors")
