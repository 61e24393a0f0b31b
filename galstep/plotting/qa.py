"""`qa_figure`: one picture that shows whether to believe the numbers."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from galstep.plotting.panels import (
    band_images,
    draw_image,
    draw_residual,
    mark_shapes,
    mark_stars,
)
from galstep.plotting.profiles import draw_profile, radial_profile
from galstep.plotting.sed import draw_sed
from galstep.plotting.stretch import brightness_ticks
from galstep.plotting.summary import band_lines, flag_lines, shape_lines

__all__ = ["qa_figure"]

_TITLES = ("data", "model (galaxy + stars)", "residual / σ", "stars subtracted")
_WIDTH, _HEADER, _ROW, _FOOTER = 13.8, 3.35, 2.15, 1.0  # inches
_LIGHT = "#7fe3ff"
_CAPTION = (
    "Axes: pixels of the input frame. Brightness: sky subtracted, one stretch per filter. "
    "Solid: aperture. Dotted: 1 and 2 r_eff. Crosses: stars of the model. Grey: masked."
)


def qa_figure(model):
    """The picture of a galaxy: a row per filter, SED and key numbers above.

    Columns: data, model and star-subtracted data (sky subtracted, one asinh
    stretch per filter), the residual in units of the pixel error, and the
    profile in elliptical annuli. Solid ellipse: the aperture; dotted: 1 and 2
    r_eff; crosses: stars of the model; grey: masked. Axes are pixels of the
    input frame.

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
    figure = Figure(figsize=(_WIDTH, height), dpi=110)
    _draw_header(figure, model, height)
    grid = figure.add_gridspec(
        len(model.bands),
        7,
        width_ratios=(1, 1, 1, 1, 0.05, 0.42, 1.45),
        left=0.062,
        right=0.985,
        bottom=_FOOTER / height,
        top=1 - _HEADER / height,
        wspace=0.06,
        hspace=0.08,
    )
    rows = [_draw_row(figure, grid, index, band) for index, band in enumerate(model.bands.values())]
    for axes, title in zip(rows[0][0], _TITLES, strict=True):
        axes.set_title(title, fontsize=10)
    rows[0][1].set_title("profile in elliptical annuli", fontsize=10)
    _draw_footer(figure, rows, height)
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


def _draw_row(figure, grid, index, band):
    panels = [figure.add_subplot(grid[index, column]) for column in range(4)]
    profile = figure.add_subplot(grid[index, 6])
    for axes in panels:
        axes.tick_params(labelsize=7)
        # ticks take most of the drawing: only where they are numbered
        if axes is not panels[0]:
            axes.yaxis.set_major_locator(NullLocator())
        if index < grid.nrows - 1:
            axes.xaxis.set_major_locator(NullLocator())
    panels[0].set_ylabel(band.name, fontsize=12, weight="bold")
    images = band_images(band)
    if images is None:
        _say(panels[0], "no usable pixels")
        for axes in (*panels[1:], profile):
            axes.set_axis_off()
        return panels, profile, None
    shown = draw_image(panels[0], images.data, images)
    _colour_bar(figure, grid[index, 4], shown, band)
    mark_shapes(panels[0], band, _LIGHT, effective_radii=False)
    if index == 0:
        _scale_bar(panels[0], band, images)
    if images.residual is None:
        for axes in (*panels[1:], profile):
            _say(axes, "not fitted")
        return panels, profile, None
    draw_image(panels[1], images.model, images)
    residual = draw_residual(panels[2], images)
    draw_image(panels[3], images.star_subtracted, images)
    for axes, colour in zip(panels[1:], (_LIGHT, "black", _LIGHT), strict=True):
        mark_shapes(axes, band, colour)
    mark_stars(panels[2], band)
    for axes in panels:
        axes.set_xlim(images.extent[:2])
        axes.set_ylim(images.extent[2:])
    _profile(profile, band, images)
    return panels, profile, residual


def _profile(axes, band, images):
    if not band.fit.sersic:
        _say(axes, "no galaxy in the fit")
        return
    params = band.fit.sersic[0].params
    aperture_a = None if band.aperture is None else band.aperture.aperture.a
    radius_max = max(4 * params.r_eff, 1.3 * (aperture_a or 0))
    profile = radial_profile(
        images.star_subtracted, images.sigma, images.galaxy, band.mask, params, radius_max
    )
    if len(profile.radius) < 2:
        _say(axes, "galaxy is masked")
        return
    draw_profile(axes, profile, params.r_eff, aperture_a, band.unit)


def _say(axes, text):
    """A panel with a sentence and nothing else."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("0.93")
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, transform=axes.transAxes)


def _colour_bar(figure, place, shown, band):
    axes = figure.add_subplot(place)
    bar = figure.colorbar(shown, cax=axes, ticks=brightness_ticks(shown.norm))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=7, length=2)
    bar.ax.yaxis.set_major_formatter("{x:.3g}")
    bar.set_label(band.unit, fontsize=7.5, labelpad=2)


def _scale_bar(axes, band, images):
    """A bar of one arcsec in the lower left corner."""
    x, y = images.extent[0], images.extent[2]
    width = images.extent[1] - x
    length = 1 / band.pixel_scale
    if not 0.05 * width < length < 0.8 * width:
        return
    x, y = x + 0.06 * width, y + 0.07 * (images.extent[3] - y)
    axes.plot([x, x + length], [y, y], color="white", lw=2, solid_capstyle="butt")
    axes.annotate(
        '1"', (x + length / 2, y), (0, 3), textcoords="offset points", color="white",
        ha="center", fontsize=9,
    )  # fmt: skip


def _share_radii(profiles):
    """One radius axis for all filters, numbered below the last."""
    drawn = [axes for axes in profiles if axes.lines]
    for axes in drawn:
        axes.set_xlim(0, max(other.get_xlim()[1] for other in drawn))
        axes.tick_params(labelbottom=axes is drawn[-1])
    if drawn:
        drawn[0].legend(fontsize=7.5, loc="upper right", framealpha=1, edgecolor="none")
        drawn[-1].set_xlabel("semi-major radius (pix)", fontsize=8.5)


def _draw_footer(figure, rows, height):
    _share_radii([profile for _, profile, _ in rows])
    residual = next((row[2] for row in rows if row[2] is not None), None)
    if residual is not None:
        place = rows[-1][0][2].get_position(original=True)
        bar = figure.add_axes((place.x0, 0.64 / height, place.width, 0.09 / height))
        figure.colorbar(residual, cax=bar, orientation="horizontal", extend="both")
        bar.tick_params(labelsize=7.5, length=2)
        bar.set_xlabel("residual / σ", fontsize=8.5, labelpad=1)
    figure.text(0.062, 0.12 / height, _CAPTION, fontsize=8.5, color="0.25")
