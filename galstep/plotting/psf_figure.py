"""`psf_figure`: the calibrated PSFs, and the stars that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from galstep.plotting.profiles import DATA_COLOUR, MODEL_COLOUR, RADIUS_COLOUR
from galstep.plotting.stretch import BRIGHTNESS_MAP, RESIDUAL_MAP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from galstep.datamodels import GalaxyModel

__all__ = ["psf_figure"]

TITLES = ("library", "kernel", "calibrated PSF", "stars - library", "stars - PSF", "profile",
          "encircled energy")  # fmt: skip
_WIDTH, _HEIGHT = 2.15, 2.15  # inches of a panel
_DEEPEST = 1e-4  # of the peak, in pictures of PSFs
_RESIDUAL = 10.0  # per cent of the peak


def psf_figure(model: GalaxyModel, views: Mapping[str, Any]) -> Figure:
    """Library, kernel and PSF of each filter, residuals and profiles of the stars.

    One row per filter. Pictures of PSFs are logarithmic, over four decades;
    residuals are in per cent of the star's peak, each with the star's own best
    flux. In the profiles: stacked stars (dots, with errors), calibrated PSF
    (line) and library (dashes) at the same pixels, light per pixel of a star of
    flux 1. Encircled energy: calibrated PSF and library.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
    views : dict of str to object
        By filter, what is shown: ``library``, ``kernel`` and ``psf`` (arrays of
        the same scale), ``half_size`` (of these arrays, pixels), ``radii``,
        ``energy``, ``library_energy`` and ``stack`` (a
        `galstep.core.calibration.psf_stack.StarStack`, or None).

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows, columns = max(len(views), 1), len(TITLES)
    height = _HEIGHT * rows + 0.9
    figure = Figure(figsize=(_WIDTH * columns + 1.6, height), dpi=90)
    figure.text(0.01, 1 - 0.3 / height, f"{model.meta.name}: calibrated PSFs", fontsize=13)
    axes = figure.subplots(
        rows, columns, squeeze=False,
        gridspec_kw=dict(
            left=0.075, right=0.99, bottom=0.5 / height, top=1 - 0.65 / height,
            wspace=0.3, hspace=0.28,
        ),
    )  # fmt: skip
    for row, (name, view) in zip(axes, views.items(), strict=False):
        _draw(row, model.bands[name], view)
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, fontsize=10, weight="bold", pad=5)
    for axis in axes[-1, -2:]:
        axis.set_xlabel("radius (pix)", fontsize=8)
    return figure


def _draw(row: np.ndarray, band: Any, view: Any) -> None:
    kernel = band.psf_kernel
    fwhm = "" if kernel is None else f"\nFWHM {kernel.fwhm:.2f} px"
    row[0].set_ylabel(f"{band.name}{fwhm}", fontsize=9, weight="bold")
    for axis, image in zip(row, (view.library, view.kernel, view.psf), strict=False):
        _picture(axis, image, view.half_size)
    row[1].set_xlabel(_in_words(kernel, band.oversample), fontsize=7)
    stack = view.stack
    for axis, name in zip(row[3:5], ("before", "after"), strict=True):
        if stack is None:
            axis.set_axis_off()
            axis.text(0.5, 0.5, "no stars", ha="center", transform=axis.transAxes, fontsize=9)
            continue
        _residual(axis, getattr(stack, name), stack.extent, view.half_size)
        rms = getattr(stack, f"rms_{name}")
        axis.set_xlabel(f"rms {100 * rms:.1f} % of the peak", fontsize=7)
    _profile(row[5], stack, view)
    _energy(row[6], view)


def _in_words(kernel: Any, oversample: int) -> str:
    """Family, first parameters, and whether a correction is added."""
    if kernel is None or kernel.family == "none":
        text = "none"
    elif kernel.family == "moffat":
        alpha, slope = np.exp(kernel.parameters)
        text = f"moffat α {alpha:.2f} px β {1 + slope:.1f}"
    else:
        sizes = kernel.parameters[:: 2 if kernel.family == "elliptical" else 3]
        sigmas = ", ".join(f"{np.sqrt(max(value, 0)):.3f}" for value in sizes)
        text = f"{kernel.family} σ {sigmas} px"
        if kernel.family != "elliptical" and kernel.errors and sizes[0] > 0:
            text += f" ± {kernel.errors[0] / (2 * np.sqrt(sizes[0])):.3f}"
    corrected = kernel is not None and kernel.correction is not None
    return text + ("\n+ correction" if corrected else "")


def _picture(axis: Axes, image: np.ndarray, half_size: float) -> None:
    peak = image.max()
    shown = np.clip(image / peak, _DEEPEST, None)
    extent = (-half_size, half_size, -half_size, half_size)
    axis.imshow(shown, origin="lower", extent=extent, cmap=BRIGHTNESS_MAP,
                norm=LogNorm(_DEEPEST, 1), interpolation="nearest")  # fmt: skip
    axis.tick_params(labelsize=6)


def _residual(axis: Axes, image: np.ndarray, extent: float, half_size: float) -> None:
    edges = (-extent, extent, -extent, extent)
    axis.imshow(100 * image, origin="lower", extent=edges, cmap=RESIDUAL_MAP,
                vmin=-_RESIDUAL, vmax=_RESIDUAL, interpolation="nearest")  # fmt: skip
    reach = min(extent, half_size)
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-reach, reach)
    axis.tick_params(labelsize=6)


def _profile(axis: Axes, stack: Any, view: Any) -> None:
    axis.tick_params(labelsize=6)
    if stack is None:
        axis.set_axis_off()
        return
    positive = stack.data > 0
    axis.errorbar(
        stack.radius[positive], stack.data[positive], stack.data_err[positive],
        fmt="o", ms=2.5, lw=0.8, color=DATA_COLOUR, label=f"{stack.n_stars} stars",
    )  # fmt: skip
    axis.plot(stack.radius, stack.model, color=MODEL_COLOUR, lw=1.3, label="PSF")
    axis.plot(stack.radius, stack.library, color=RADIUS_COLOUR, lw=1, ls="--", label="library")
    axis.set_yscale("log")
    top = max(stack.data.max(), stack.library.max())
    axis.set_ylim(_DEEPEST * stack.model.max(), 2 * top)
    axis.legend(fontsize=6, frameon=False, handlelength=1.5)


def _energy(axis: Axes, view: Any) -> None:
    axis.plot(view.radii, view.energy, color=MODEL_COLOUR, lw=1.3, label="PSF")
    axis.plot(view.radii, view.library_energy, color=RADIUS_COLOUR, lw=1, ls="--", label="library")
    axis.set_xscale("log")
    axis.set_ylim(0, 1.02)
    axis.tick_params(labelsize=6)
    axis.legend(fontsize=6, frameon=False, loc="lower right", handlelength=1.5)
