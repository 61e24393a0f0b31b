"""`qa_figure`: one picture that shows whether to believe the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from galstep.plotting.panels import (
    COMPANION_COLOUR,
    KNOT_COLOUR,
    TITLES,
    Strip,
    band_images,
)
from galstep.plotting.profiles import band_profile, draw_profile
from galstep.plotting.sed import draw_sed
from galstep.plotting.stretch import RESIDUAL_MAP, residual_norm
from galstep.plotting.summary import band_lines, flag_lines, shape_lines

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["qa_figure"]

_WIDTH, _HEADER, _ROW, _FOOTER = 13.8, 3.35, 2.15, 1.0  # inches
_LEFT, _STRIP, _PROFILE = 0.062, 0.665, 0.213  # of the width
_CAPTION = (
    "Axes: pixels of the input frame. Brightness: sky subtracted, one stretch per filter. "
    "Solid: aperture. Dashed: Kron ellipse. Dotted: 1 and 2 r_eff. Crosses: stars of the model. "
    "Grey: masked."
)


def qa_figure(model: GalaxyModel) -> Figure:
    """The picture of a galaxy: a row per filter, SED and key numbers above.

    Columns: data, model and star-subtracted data (sky subtracted, one asinh
    stretch per filter), the residual in units of the pixel error, and the
    profile in elliptical annuli. Solid ellipse: the aperture; dashed: that of
    Kron; dotted: 1 and 2 r_eff; crosses: stars of the model; grey: masked. Where there
    are any, dash-dotted orange ellipses are companions (2 r_eff) and green diamonds on
    the residual knots; both stay in what stars left. Axes are pixels of the input frame.

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
        At any stage: what is not measured yet is said in its panel.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig(path)``.
    """
    height = _HEADER + _ROW * len(model.bands) + _FOOTER
    figure = Figure(figsize=(_WIDTH, height), dpi=100)
    _draw_header(figure, model, height)
    profiles = []
    for index, band in enumerate(model.bands.values()):
        bottom = (_FOOTER + _ROW * (len(model.bands) - 1 - index)) / height
        size = 0.925 * _ROW / height
        strip = figure.add_axes((_LEFT, bottom, _STRIP, size))
        profile = figure.add_axes((1 - 0.015 - _PROFILE, bottom, _PROFILE, size))
        profiles.append(profile)
        _draw_row(strip, profile, band, index == 0, index == len(model.bands) - 1)
    _share_radii(profiles)
    if any(band.residual is not None for band in model.bands.values()):
        _residual_bar(figure, height)
        _legend(figure, model, height)
    figure.text(_LEFT, 0.12 / height, _CAPTION, fontsize=8.5, color="0.25")
    return figure


def _draw_header(figure, model, height):
    top = 1 - 0.72 / height
    figure.text(0.02, 1 - 0.42 / height, model.meta.name, fontsize=18, weight="bold")
    text = {"va": "top", "fontsize": 9.5, "family": "monospace", "linespacing": 1.4}
    figure.text(0.02, top, "\n".join(shape_lines(model)), **text)
    figure.text(0.35, top, "\n".join(band_lines(model)), **text)
    flags = "\n".join(flag_lines(model, 80, 4))
    figure.text(0.02, top - 1.45 / height, flags, **text | {"color": "0.3"})
    draw_sed(figure.add_axes((0.70, top - 1.85 / height, 0.285, 2.35 / height)), model)


def _draw_row(axes, profile, band, is_first, is_last):
    axes.set_anchor("W")
    axes.set_ylabel(band.name, fontsize=12, weight="bold")
    images = band_images(band)
    if images is None:
        _say(axes, "no usable pixels")
        _say(profile, "no usable pixels")
        return
    strip = Strip(axes, band, images)
    strip.draw(numbers_below=is_last)
    if is_first:
        strip.draw_scale_bar()
        for panel, title in enumerate(TITLES):
            axes.text(
                strip.centre(panel), 1.03 * strip.ny, title, ha="center", va="bottom", fontsize=10
            )
        profile.set_title("profile in elliptical annuli", fontsize=10)
    _profile(profile, band, images)


def _profile(axes, band, images):
    if images.residual is None:
        _say(axes, "not fitted")
        return
    if not band.fit.target:
        _say(axes, "no galaxy in the fit")
        return
    profile = band_profile(band, images)
    if profile is None:
        _say(axes, "galaxy is masked")
        return
    aperture_a = None if band.aperture is None else band.aperture.aperture.a
    draw_profile(axes, profile, band.fit.target[0].params.r_eff, aperture_a, band.unit)


def _say(axes, text):
    """A panel with a sentence and nothing else."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("0.93")
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, transform=axes.transAxes)


def _share_radii(profiles):
    """One radius axis for all filters, numbered below the last."""
    drawn = [axes for axes in profiles if axes.lines]
    for axes in drawn:
        axes.set_xlim(0, max(other.get_xlim()[1] for other in drawn))
        axes.tick_params(labelbottom=axes is drawn[-1])
    if drawn:
        drawn[0].legend(fontsize=7.5, loc="upper right", framealpha=1, edgecolor="none")
        drawn[-1].set_xlabel("semi-major radius (pix)", fontsize=8.5)


def _legend(figure, model, height):
    """What the marks of companions and knots mean, if there are any."""
    fits = [band.fit for band in model.bands.values() if band.fitted]
    handles = []
    if any(fit.companions for fit in fits):
        handles.append(Line2D([], [], ls="-.", color=COMPANION_COLOUR, label="companion, 2 r_eff"))
    if any(len(fit.knots) for fit in fits):
        style = {"ls": "", "marker": "D", "mfc": "none", "mec": KNOT_COLOUR}
        handles.append(Line2D([], [], label="knot: counts as galaxy", **style))
    if handles:
        figure.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.52, 0.36 / height), fontsize=8.5,
            ncols=2, frameon=False,
        )  # fmt: skip


def _residual_bar(figure, height):
    """The colours of the residual, below its column."""
    bar = figure.add_axes((0.355, 0.64 / height, 0.135, 0.09 / height))
    colours = ScalarMappable(residual_norm(), RESIDUAL_MAP)
    figure.colorbar(colours, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=7.5, length=2)
    bar.set_xlabel("residual / σ", fontsize=8.5, labelpad=1)
