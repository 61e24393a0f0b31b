"""`profile_figure`: radial profiles of data and model, and what is left between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from galstep.filters import by_wavelength
from galstep.plotting.panels import band_images
from galstep.plotting.profiles import (
    band_profile,
    draw_profile,
    draw_profile_residual,
    half_light_radius,
    zero_point,
)

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["profile_figure"]

_COLUMNS = 3
_WIDTH, _ROW, _FRAME = 4.0, 4.0, 0.9  # inches


def profile_figure(model: GalaxyModel) -> Figure:
    """Profiles in elliptical annuli, a pair of panels per filter.

    Above the brightness of the data without stars, sky and companions, its error as a
    band and the galaxy model, knots included; below (data - model) / model in per cent.
    The error is that of the scatter between sectors of an annulus. Vertical lines: 1
    and 2 half-light radii (dotted) and the aperture (solid).

    Parameters
    ----------
    model : galstep.datamodels.GalaxyModel
        Filters without a fit are left out.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawn = {name: _profile_of(model.bands[name]) for name in by_wavelength(model.bands)}
    drawn = {name: profile for name, profile in drawn.items() if profile is not None}
    columns = max(min(_COLUMNS, len(drawn)), 1)
    rows = max(-(-len(drawn) // columns), 1)
    height = _ROW * rows + _FRAME
    figure = Figure(figsize=(_WIDTH * columns + 0.4, height), dpi=100)
    figure.text(0.02, 1 - 0.4 / height, f"{model.meta.name}: radial profiles", fontsize=14)
    if not drawn:
        figure.text(0.5, 0.5, "no galaxy has been fitted", ha="center")
        return figure
    grid = figure.add_gridspec(
        rows, columns, left=0.08, right=0.985, bottom=0.55 / height, top=1 - 0.85 / height,
        hspace=0.27, wspace=0.27,
    )  # fmt: skip
    for index, (name, profile) in enumerate(drawn.items()):
        _draw(figure, grid[index // columns, index % columns], model.bands[name], profile)
    figure.axes[0].legend(fontsize=8, loc="lower left", frameon=False)
    return figure


def _profile_of(band):
    images = band_images(band) if band.fitted and band.fit.target else None
    return None if images is None else band_profile(band, images)


def _draw(figure, place, band, profile):
    pair = place.subgridspec(2, 1, height_ratios=(2.4, 1), hspace=0.06)
    upper, lower = pair.subplots(sharex=True)
    r_eff = half_light_radius(band)
    aperture_a = None if band.aperture is None else band.aperture.aperture.a
    scale = band.pixel_scale
    draw_profile(
        upper, profile, r_eff, aperture_a, f"brightness ({band.unit})", scale, zero_point(band)
    )
    draw_profile_residual(lower, profile, r_eff, aperture_a, scale)
    upper.set_title(band.name, fontsize=11, weight="bold", pad=4)
    lower.set_ylabel("residual (%)", fontsize=7.5, labelpad=1)
    lower.set_xlabel("semi-major radius (arcsec)", fontsize=8)
