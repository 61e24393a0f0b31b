"""`completeness_figure`: what share of the stars is found, and what share is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galstep.datamodels import GalaxyModel

__all__ = ["completeness_figure"]

_COLUMNS = 3
# name in the summary, label, colour, marker
_SHARES = (
    ("completeness", "complete, all", "#0072b2", "o"),
    ("isolated_completeness", "complete, isolated", "#009e73", "s"),
    ("purity", "pure", "#d55e00", "^"),
)
# The open bin is drawn as if it ended here, in units of its lower edge.
_OPEN_END = 2.5


def completeness_figure(model: GalaxyModel) -> Figure:
    """Completeness and purity against S/N, a panel per filter, with 68 % intervals.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
        On which Inject has run.

    Returns
    -------
    matplotlib.figure.Figure
    """
    summary = {} if model.injections is None else model.injections.summary
    bins = {name: own.get("stars", {}).get("bins", ()) for name, own in summary.items()}
    bins = {name: own for name, own in bins.items() if own}
    columns = max(min(_COLUMNS, len(bins)), 1)
    rows = max(-(-len(bins) // columns), 1)
    height = 2.7 * rows + 0.9
    figure = Figure(figsize=(4 * columns + 0.4, height), dpi=100)
    figure.text(0.02, 1 - 0.4 / height, f"{model.meta.name}: stars found, stars real", fontsize=13)
    if not bins:
        figure.text(0.5, 0.5, "no star was injected (Inject: n_stars)", ha="center")
        return figure
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=True, sharey=True,
        gridspec_kw=dict(
            left=0.08, right=0.98, bottom=0.55 / height, top=1 - 0.8 / height, hspace=0.2
        ),
    )  # fmt: skip
    for place, (name, own) in zip(axes.flat, bins.items(), strict=False):
        _draw(place, own)
        place.set_title(name, fontsize=11, weight="bold", pad=4)
        place.set_xlabel("S/N", fontsize=9)
        place.tick_params(labelbottom=True)
    axes.flat[0].legend(fontsize=8, loc="lower right")
    for place in axes.flat[len(bins) :]:
        place.set_axis_off()
    return figure


def _draw(place: Axes, bins: list[dict]) -> None:
    low = np.array([share["snr_min"] for share in bins])
    high = np.array([share.get("snr_max", np.inf) for share in bins], dtype=float)
    high[~np.isfinite(high)] = _OPEN_END * low[~np.isfinite(high)]
    middle = np.sqrt(low * high)
    for index, (key, label, colour, marker) in enumerate(_SHARES):
        value, *ends = (
            np.array([share.get(f"{key}{end}", np.nan) for share in bins], dtype=float)
            for end in ("", "_low", "_high")
        )
        known = np.isfinite(value)
        around = np.abs(np.array(ends) - value)[:, known]
        place.errorbar(
            middle[known] * 1.03 ** (index - 1), value[known], around, color=colour,
            marker=marker, ms=4, lw=1, capsize=2, label=label,
        )  # fmt: skip
    place.set_xscale("log")
    place.set_ylim(-0.03, 1.06)
    place.grid(alpha=0.3)
