"""`convergence_figure`: how the main loops of the fits came to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["convergence_figure", "shape_changes"]

_COLOURS = {
    "centre": "#0072b2", "r_eff": "#d55e00", "n": "#009e73", "ellipticity": "#cc79a7",
}  # fmt: skip
_MARKERS = {"centre": "o", "r_eff": "s", "n": "^", "ellipticity": "D"}
_FLOOR = 1e-6


def convergence_figure(model: GalaxyModel) -> Figure:
    """The passes of every main loop: shape, stars and chi2 after each.

    A column per step. Above: the distance of the shape from where it ended; the
    dashed line is the tolerance of the loop. Middle: number of stars, and the
    threshold of the detection. Below: chi2 over its last value, which also moves
    when the fit finds the pixels' noise anew.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel

    Returns
    -------
    matplotlib.figure.Figure
    """
    steps = {key: passes for key, passes in model.meta.convergence.items() if passes["chi2"]}
    figure = Figure(figsize=(max(4.8 * len(steps), 5) + 0.6, 7.6), dpi=100)
    figure.text(0.02, 0.96, f"{model.meta.name}: convergence of the main loops", fontsize=13)
    if not steps:
        figure.text(0.5, 0.5, "no fit has noted its passes", ha="center")
        return figure
    axes = figure.subplots(
        3, len(steps), sharex="col", squeeze=False,
        gridspec_kw=dict(left=0.1, right=0.92, bottom=0.08, top=0.89, hspace=0.09, wspace=0.42),
    )  # fmt: skip
    for column, (key, passes) in zip(axes.T, steps.items(), strict=True):
        column[0].set_title(key, fontsize=11, pad=18)
        _draw_shape(column[0], passes, model.meta.parameters.get(key, {}))
        _draw_stars(column[1], passes)
        _draw_chi2(column[2], passes)
        column[2].set_xlabel("pass")
        column[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    for place in axes[0]:
        # above the lines: within the panel it hides some
        place.legend(
            fontsize=7, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=5, frameon=False,
            columnspacing=0.8, handletextpad=0.3, handlelength=1.2, borderaxespad=0.1,
        )  # fmt: skip
    return figure


def shape_changes(passes: dict[str, list]) -> dict[str, np.ndarray]:
    """Distance of the shape after each pass from where it ended.

    Parameters
    ----------
    passes : dict of str to list
        See ``convergence`` of `galstep.datamodels.Meta`.

    Returns
    -------
    dict of str to ndarray
        centre (in r_eff), r_eff and n (relative), ellipticity (of the vector
        (e1, e2), so the angle counts as well).
    """
    p = {name: np.array(values, dtype=float) for name, values in passes.items()}
    e = p["ellip"] / (2 - p["ellip"])
    e1, e2 = e * np.cos(2 * p["theta"]), e * np.sin(2 * p["theta"])
    return {
        "centre": np.hypot(p["x_0"] - p["x_0"][-1], p["y_0"] - p["y_0"][-1]) / p["r_eff"][-1],
        "r_eff": np.abs(np.log(p["r_eff"] / p["r_eff"][-1])),
        "n": np.abs(np.log(p["n"] / p["n"][-1])),
        "ellipticity": np.hypot(e1 - e1[-1], e2 - e2[-1]),
    }


def _numbers(passes):
    return np.arange(1, len(passes["chi2"]) + 1)


def _draw_shape(axes, passes, parameters):
    for name, change in shape_changes(passes).items():
        if not change.any():
            # it never moved: held, or at its bound all the time
            axes.plot([], [], color=_COLOURS[name], marker=_MARKERS[name], label=f"{name}: held")
            continue
        # the last is where it ended: no distance, no place on a logarithmic axis
        axes.plot(
            _numbers(passes)[:-1], np.maximum(change[:-1], _FLOOR), marker=_MARKERS[name], ms=4,
            lw=1.2, color=_COLOURS[name], label=name,
        )  # fmt: skip
    if parameters.get("mainloop_convergence_atol"):
        axes.axhline(
            parameters["mainloop_convergence_atol"], ls="--", color="0.4", lw=1, label="tolerance"
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel("distance from the end\n(relative; centre in r_eff)", fontsize=9)


def _draw_stars(axes, passes):
    axes.plot(_numbers(passes), passes["n_stars"], marker="o", ms=4, color="black")
    axes.set_ylabel("stars in the model", fontsize=9)
    other = axes.twinx()
    other.plot(_numbers(passes), passes["threshold"], ls=":", marker="v", ms=4, color="#0072b2")
    other.set_yscale("log", subs=(2, 3, 5))
    for formatter in (other.yaxis.set_major_formatter, other.yaxis.set_minor_formatter):
        formatter(ScalarFormatter())
    other.set_ylabel("threshold (σ), dotted", fontsize=9, color="#0072b2")


def _draw_chi2(axes, passes):
    chi2 = np.array(passes["chi2"])
    axes.plot(_numbers(passes), chi2 / chi2[-1], marker="o", ms=4, color="black")
    axes.axhline(1, color="0.6", lw=0.8)
    axes.set_ylabel("χ² / last χ²", fontsize=9)
