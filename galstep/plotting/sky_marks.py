"""What a picture needs to be read on the sky: north and east, a scale, the width of the PSF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Circle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galstep.datamodels import BandData

__all__ = ["directions", "draw_compass", "draw_psf_width", "draw_scale", "scale_length"]

_LIGHT = "white"
_ROUND = (1.0, 2.0, 5.0)
_LONGEST = 0.3  # of the frame's width
_ARROW = 0.13  # of the frame's shorter side


def directions(band: BandData) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Unit vectors in pixels to the north and to the east, at the middle of the frame.

    Parameters
    ----------
    band : galstep.datamodels.BandData

    Returns
    -------
    north, east : tuple of (float, float)
        dx, dy. None without a WCS.
    """
    jacobian = _jacobian(band)
    if jacobian is None:
        return None
    # columns: the displacement in pixels for a step to the east, and to the north
    to_east, to_north = np.linalg.inv(jacobian).T
    north, east = (v / np.hypot(*v) for v in (to_north, to_east))
    return (float(north[0]), float(north[1])), (float(east[0]), float(east[1]))


def _jacobian(band):
    """Degrees to the east and to the north for a pixel in x and in y; None where unknown."""
    if band.wcs is None:
        return None
    ny, nx = band.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    ra, dec = band.sky_position(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    east = (np.remainder(ra[1:] - ra[0] + 180, 360) - 180) * np.cos(np.radians(dec[0]))
    jacobian = np.array([east, dec[1:] - dec[0]])
    if not np.isfinite(jacobian).all() or np.linalg.det(jacobian) == 0:
        return None
    return jacobian


def _pixel_along_x(band):
    """Arcsec of a pixel along x, which is how a bar lies: pixels need not be square."""
    jacobian = _jacobian(band)
    return band.pixel_scale if jacobian is None else 3600.0 * float(np.hypot(*jacobian[:, 0]))


def scale_length(band: BandData) -> tuple[float, str] | None:
    """A round length that fits the frame: pixels along x and its name; None for an odd scale."""
    side = _pixel_along_x(band)
    longest = _LONGEST * band.shape[1] * side
    if not 1e-6 < longest < 1e9:
        return None
    power = 10.0 ** np.floor(np.log10(longest))
    arcsec = max(m * power for m in _ROUND if m * power <= longest * (1 + 1e-9))
    if arcsec >= 60:
        minutes = max(n for n in (1, 2, 5, 10, 20, 60, 600) if n * 60 <= longest)
        return 60 * minutes / side, f"{minutes}'"
    return arcsec / side, f'{arcsec:g}"'


def draw_scale(axes: Axes, band: BandData, x0: float = 0.0) -> None:
    """A bar of a round length in the lower left corner of a panel.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    band : galstep.datamodels.BandData
    x0 : float, optional
        Where the panel's first pixel lies.
    """
    found = scale_length(band)
    if found is None:
        return
    length, name = found
    ny, nx = band.shape
    x, y = x0 + 0.06 * nx, 0.07 * ny
    axes.plot([x, x + length], [y, y], color="black", lw=3.4, solid_capstyle="butt")
    axes.plot([x, x + length], [y, y], color=_LIGHT, lw=2, solid_capstyle="butt")
    _write(axes, x + length / 2, y + 0.03 * ny, name, va="bottom")


def draw_compass(axes: Axes, band: BandData, x0: float = 0.0) -> None:
    """Arrows to the north and to the east in the upper left corner; nothing without a WCS.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    band : galstep.datamodels.BandData
    x0 : float, optional
        Where the panel's first pixel lies.
    """
    found = directions(band)
    if found is None:
        return
    ny, nx = band.shape
    length = _ARROW * min(ny, nx)
    # the arrows' box goes into the corner, whatever way they point
    tips = length * np.array([(0.0, 0.0), *found])
    left, top = tips[:, 0].min(), tips[:, 1].max()
    x, y = x0 + 0.09 * nx - left, 0.89 * ny - top
    for name, (dx, dy) in zip("NE", found, strict=True):
        tip = (x + length * dx, y + length * dy)
        for colour, width in (("black", 3.0), (_LIGHT, 1.4)):
            style = {"arrowstyle": "-|>", "color": colour, "lw": width, "mutation_scale": 7}
            axes.annotate("", tip, (x, y), arrowprops=style | {"shrinkA": 0, "shrinkB": 0})
        place = (x + 1.3 * length * dx, y + 1.3 * length * dy)
        _write(axes, *place, name, va="center")


def draw_psf_width(axes: Axes, band: BandData, x0: float = 0.0) -> None:
    """A circle as wide as the PSF (FWHM) in the lower right corner, if it is known.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    band : galstep.datamodels.BandData
    x0 : float, optional
        Where the panel's first pixel lies.
    """
    fwhm = np.nan if band.psf_kernel is None else band.psf_kernel.fwhm
    ny, nx = band.shape
    if not 0 < fwhm < 0.5 * min(ny, nx):
        return
    centre = x0 + nx - 0.05 * nx - fwhm / 2, 0.05 * ny + fwhm / 2
    axes.add_patch(Circle(centre, fwhm / 2, fc=_LIGHT, ec="black", lw=0.6, zorder=3))


def _write(axes, x, y, text, **place):
    from matplotlib.patheffects import withStroke

    axes.text(
        x, y, text, color=_LIGHT, ha="center", fontsize=8.5, weight="bold", **place,
        path_effects=[withStroke(linewidth=1.8, foreground="black")],
    )  # fmt: skip
