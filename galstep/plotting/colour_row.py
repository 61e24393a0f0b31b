"""The first row of the overview: the filters as one picture in colours, and what marks mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from galstep.plotting.panels import COMPANION_COLOUR, KNOT_COLOUR, Strip
from galstep.plotting.sky_marks import draw_compass, draw_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galstep.datamodels import BandData, GalaxyModel
    from galstep.plotting.composite import Composite

__all__ = ["draw_colour_row"]

_LEGEND_PANEL = 2
_SHOWN = {"data": 0, "model": 1, "star_subtracted": 3}


def draw_colour_row(
    axes: Axes, model: GalaxyModel, composite: Composite | None, band: BandData | None
) -> None:
    """Draw data, model and what stars left in colours, in the columns of the strips below.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    model : galstep.datamodels.GalaxyModel
    composite : Composite or None
        Without one only the meaning of the marks stands there.
    band : galstep.datamodels.BandData or None
        Whose pixels the composite has; None without one.
    """
    axes.set_axis_off()
    if composite is None or band is None:
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.legend(handles=_handles(model), loc="center left", **_STYLE)
        return
    place = Strip(axes, band, None)
    width = place.width
    picture = np.full((place.ny, width, 3), 255, dtype=np.uint8)
    frames = []
    for kind, panel in _SHOWN.items():
        image = getattr(composite, kind)
        x = place.offset(panel)
        if image is not None:
            picture[:, x : x + place.nx] = image
            frames.append(place.frame(panel))
    axes.imshow(picture, origin="lower", extent=(-0.5, width - 0.5, -0.5, place.ny - 0.5))
    axes.add_collection(LineCollection(frames, colors="0.2", linewidths=0.7))
    place.set_limits()
    draw_scale(axes, band)
    draw_compass(axes, band)
    _explain(axes, model, composite, place)


_STYLE = {"fontsize": 7.5, "frameon": False, "handlelength": 2.6, "labelspacing": 0.35}


def _explain(axes, model, composite, place):
    """Which filter is which colour, and what lines and marks mean, in the free panel."""
    x = place.offset(_LEGEND_PANEL)
    axes.text(
        x + 0.03 * place.nx, 0.97 * place.ny, composite.text, va="top", fontsize=7.5,
        linespacing=1.35,
    )  # fmt: skip
    axes.legend(
        handles=_handles(model), loc="lower left", bbox_to_anchor=(x, -0.02 * place.ny),
        bbox_transform=axes.transData, borderaxespad=0, borderpad=0.2, **_STYLE,
    )  # fmt: skip


def _handles(model):
    """One entry for each mark that is drawn on this galaxy."""
    bands = model.bands.values()
    fits = [band.fit for band in bands if band.fitted]
    apertures = [band.aperture for band in bands if band.aperture is not None]
    kinds = {other.kind for measured in apertures for other in measured.others}
    handles = []
    if apertures:
        handles.append(Line2D([], [], color="black", label="aperture"))
    if "kron" in kinds:
        handles.append(Line2D([], [], color="black", ls="--", label="Kron ellipse"))
    if fits:
        handles.append(Line2D([], [], color="black", ls=":", label="1 and 2 r_eff"))
    if any(fit.companions for fit in fits):
        handles.append(Line2D([], [], color=COMPANION_COLOUR, ls="-.", label="companion, 2 r_eff"))
    if any(len(fit.stars) for fit in fits):
        handles.append(Line2D([], [], color="black", ls="", marker="+", ms=5, label="star"))
    if any(len(fit.knots) for fit in fits):
        style = {"ls": "", "marker": "D", "ms": 4, "mfc": "none", "mec": KNOT_COLOUR}
        handles.append(Line2D([], [], label="knot: counts as galaxy", **style))
    if any(band.psf_kernel is not None for band in bands):
        style = {"ls": "", "marker": "o", "ms": 5, "mfc": "white", "mec": "black"}
        handles.append(Line2D([], [], label="PSF, its FWHM", **style))
    handles.append(Patch(color="0.72", label="masked"))
    return handles
