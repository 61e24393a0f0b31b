"""`qa_figure`: one picture that shows whether to believe the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from galstep.filters import by_wavelength
from galstep.plotting.colour_row import draw_colour_row
from galstep.plotting.composite import make_composite
from galstep.plotting.panels import TITLES, Strip, band_images
from galstep.plotting.profiles import (
    band_profile,
    draw_profile,
    half_light_radius,
    share_radii,
    zero_point,
)
from galstep.plotting.sed import draw_sed
from galstep.plotting.sky_marks import draw_compass, draw_scale
from galstep.plotting.stretch import RESIDUAL_MAP, residual_norm
from galstep.plotting.summary import band_lines, flag_lines, origin_line, shape_lines

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["qa_figure"]

_WIDTH, _ROW, _FOOTER = 13.8, 2.15, 0.95  # inches
_TOP, _LINE, _GAP = 0.72, 0.19, 0.42  # of the header: above the text, a line of it, below it
_SHAPE_LINES = 7  # at most, of `shape_lines`
_SED_LABELS = 0.33  # inches below the SED
_SED_NAMES = 0.42  # inches: the names of the filters above it
_LEFT, _STRIP, _PROFILE = 0.062, 0.665, 0.213  # of the width
_CAPTION = (
    "Axes: pixels of the input frame. Brightness: sky subtracted, one stretch per filter. "
    "Profiles: vertical lines at 1 and 2 half-light radii (dotted) and at the aperture (solid)."
)


def qa_figure(model: GalaxyModel) -> Figure:
    """The picture of a galaxy: key numbers, the filters in colours, then a row per filter.

    In the first row the filters are one picture in colours (data, model, stars subtracted),
    with arrows to the north and east where there is a WCS, a scale, what the marks mean, and
    the SED. Rows of filters, from blue to red: data, model and star-subtracted data (sky
    subtracted, one asinh stretch per filter), the residual in units of the pixel error, and
    the profile in elliptical annuli. Solid ellipse: the aperture; dashed: that of
    Kron; dotted: 1 and 2 r_eff; crosses: stars of the model; grey: masked; white disc: the FWHM
    of the PSF. Where there are any, dash-dotted orange ellipses are companions (2 r_eff) and
    green diamonds on the residual knots; both stay in what stars left. Axes are pixels of the
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
    names = by_wavelength(model.bands)
    flags = flag_lines(model, 150, 6)
    header = _TOP + _LINE * (max(len(names) + 1, _SHAPE_LINES) + len(flags) + 1) + _GAP
    height = header + _ROW * (len(names) + 1) + _FOOTER
    figure = Figure(figsize=(_WIDTH, height), dpi=100)
    _draw_header(figure, model, height, flags)
    images = {name: band_images(model.bands[name]) for name in names}
    has_titles = _draw_first_row(figure, model, images, height - header, height)
    profiles = []
    for index, name in enumerate(names):
        bottom = (_FOOTER + _ROW * (len(names) - 1 - index)) / height
        strip, profile = _row_axes(figure, bottom, height)
        profiles.append(profile)
        band = model.bands[name]
        _draw_row(strip, profile, band, images[name], index == len(names) - 1)
        if not has_titles and images[name] is not None:
            has_titles = True
            _write_titles(strip, Strip(strip, band, None))
            draw_scale(strip, band)
            draw_compass(strip, band)
    share_radii(profiles)
    if any(band.residual is not None for band in model.bands.values()):
        _residual_bar(figure, height)
    figure.text(_LEFT, 0.12 / height, _CAPTION, fontsize=8.5, color="0.25")
    return figure


def _draw_header(figure, model, height, flags):
    top = 1 - _TOP / height
    figure.text(0.02, 1 - 0.42 / height, model.meta.name, fontsize=18, weight="bold")
    figure.text(
        0.985, 1 - 0.3 / height, origin_line(model), ha="right", fontsize=8.5, color="0.35"
    )  # fmt: skip
    text = {"va": "top", "fontsize": 9.5, "family": "monospace", "linespacing": 1.4}
    figure.text(0.02, top, "\n".join(shape_lines(model)), **text)
    figure.text(0.31, top, "\n".join(band_lines(model)), **text)
    below = top - _LINE * (max(len(model.bands) + 1, _SHAPE_LINES) + 0.8) / height
    figure.text(0.02, below, "\n".join(flags), **text | {"color": "0.3", "fontsize": 9})


def _row_axes(figure, bottom, height):
    size = 0.925 * _ROW / height
    strip = figure.add_axes((_LEFT, bottom, _STRIP, size))
    strip.set_anchor("W")
    return strip, figure.add_axes((1 - 0.015 - _PROFILE, bottom, _PROFILE, size))


def _draw_first_row(figure, model, images, top, height):
    """Pictures in colours and the SED."""
    strip, sed = _row_axes(figure, (top - 0.985 * _ROW) / height, height)
    composite = make_composite(model, images)
    band = None if composite is None else model.bands[composite.band]
    draw_colour_row(strip, model, composite, band)
    if band is not None:
        place = Strip(strip, band, None)
        _write_titles(strip, place)
        strip.text(
            -0.13 * place.nx, place.ny / 2, "colours", rotation=90, ha="center", va="center",
            fontsize=12, weight="bold",
        )  # fmt: skip
    # its numbers and their name stand above the first profile
    left, bottom, width, size = sed.get_position().bounds
    size -= (_SED_LABELS + _SED_NAMES) / height
    sed.set_position((left, bottom + _SED_LABELS / height, width, size))
    draw_sed(sed, model)
    sed.tick_params(labelsize=7.5)
    if sed.get_legend() is not None:
        sed.legend(fontsize=6.5, frameon=False, loc="best", labelspacing=0.25)
    return band is not None


def _write_titles(axes, place):
    for panel, title in enumerate(TITLES):
        axes.text(
            place.centre(panel), 1.03 * place.ny, title, ha="center", va="bottom", fontsize=10
        )


def _draw_row(axes, profile, band, images, is_last):
    axes.set_ylabel(band.name, fontsize=12, weight="bold")
    if images is None:
        _say(axes, "no usable pixels")
        _say(profile, "no usable pixels")
        return
    Strip(axes, band, images).draw(numbers_below=is_last)
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
    r_eff, zero = half_light_radius(band), zero_point(band)
    draw_profile(axes, profile, r_eff, aperture_a, band.unit, band.pixel_scale, zero)


def _say(axes, text):
    """A panel with a sentence and nothing else."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("0.93")
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, transform=axes.transAxes)


def _residual_bar(figure, height):
    """The colours of the residual, below its column."""
    bar = figure.add_axes((0.355, 0.64 / height, 0.135, 0.09 / height))
    colours = ScalarMappable(residual_norm(), RESIDUAL_MAP)
    figure.colorbar(colours, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=7.5, length=2)
    bar.set_xlabel("residual / σ", fontsize=8.5, labelpad=1)
