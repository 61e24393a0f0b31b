"""The image panels of one filter: data, model, residual, stars subtracted.

All four are one picture on one pair of axes: axes take most of the time that a
figure takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from galstep.plotting.sky_marks import draw_psf_width
from galstep.plotting.stretch import (
    BRIGHTNESS_MAP,
    RESIDUAL_MAP,
    brightness_norm,
    brightness_ticks,
    colours,
    pixel_sigma,
    residual_norm,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galstep.datamodels import BandData
    from galstep.records import Aperture

__all__ = [
    "COMPANION_COLOUR",
    "KNOT_COLOUR",
    "TITLES",
    "BandImages",
    "Strip",
    "band_images",
    "ellipse_outline",
]

TITLES = ("data", "model (galaxies + stars)", "residual / σ", "stars subtracted")
_RESIDUAL = 2
_GAP = 0.06  # between panels, in panels
_BAR = 0.05  # width of the colour bar
_LIGHT = "#7fe3ff"
#: Orange and bluish green of Okabe & Ito: told apart by the colour-blind too, and by line
#: and marker without any colour.
COMPANION_COLOUR, KNOT_COLOUR = "#e69f00", "#009e73"
_N_POINTS = 97


class BandImages:
    """What the panels of one filter show; sky subtracted, NaN where masked.

    ``data``, ``model`` (galaxy, knots, companions and stars) and ``star_subtracted``
    share the stretch ``norm``; ``residual`` is in units of ``sigma``. What stars left,
    ``star_subtracted``, shows knots and companions: they are galaxies. For profiles,
    ``target_data`` is that without companions and ``target`` its model, galaxy + knots.
    All but ``data`` are None before a fit.
    """

    def __init__(self, band: BandData) -> None:
        self.sigma = pixel_sigma(band)
        masked = np.where(band.mask, np.nan, band.data)
        level = np.median(band.data[~band.mask]) if band.sky is None else band.sky
        self.data = masked - level
        self.model = self.star_subtracted = self.residual = None
        self.target = self.target_data = None
        if band.residual is not None:
            self.target = band.target_image
            self.target_data = np.where(band.mask, np.nan, band.target_data)
            self.model = band.scene_image - band.sky
            self.star_subtracted = self.data - band.stars
            self.residual = band.residual / self.sigma
        shown = [i for i in (self.data, self.star_subtracted) if i is not None]
        self.norm = brightness_norm(shown, _median(self.sigma))

    @property
    def panels(self) -> tuple[np.ndarray | None, ...]:
        """The images in the order of `TITLES`, None where there is nothing to show."""
        return self.data, self.model, self.residual, self.star_subtracted


def band_images(band: BandData) -> BandImages:
    """The `BandImages` of a filter, None if it has no usable pixel."""
    return BandImages(band) if band.usable else None


class Strip:
    """The four panels of a filter side by side, and the scale of brightness.

    Positions are pixels of the crop, moved to the right by `offset` for each
    panel; ticks have the numbers of the input frame.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    band : galstep.datamodels.BandData
    images : BandImages or None
        None where only the places of the panels are wanted.
    """

    def __init__(self, axes: Axes, band: BandData, images: BandImages | None) -> None:
        self.axes, self.band, self.images = axes, band, images
        self.ny, self.nx = band.shape
        self.step = self.nx + round(_GAP * max(band.shape))

    def offset(self, panel: int) -> float:
        """Where the first pixel of a panel lies."""
        return panel * self.step

    def centre(self, panel: int) -> float:
        """x of the middle of a panel."""
        return self.offset(panel) + (self.nx - 1) / 2

    @property
    def width(self) -> int:
        """Pixels of all panels with the colour bar."""
        return self.offset(4) + self._bar_width

    def frame(self, panel: int) -> list[tuple[float, float]]:
        """The corners of a panel, in order, the first again at the end."""
        return _rectangle(self.offset(panel), self.nx, self.ny)

    def set_limits(self) -> None:
        """The axes' limits, with room for the numbers of the colour bar."""
        self.axes.set_xlim(-0.5, self.width + 0.3 * self.step)
        self.axes.set_ylim(-0.5, self.ny - 0.5)

    def draw(self, numbers_below: bool = False) -> None:
        """Draw everything.

        Parameters
        ----------
        numbers_below : bool, optional
            Whether pixels are numbered below the panels.
        """
        self._draw_picture()
        self._draw_scale()
        self._mark_shapes()
        if self.images.residual is not None:
            self._mark_stars()
            self._mark_knots()
        draw_psf_width(self.axes, self.band)
        self._draw_ticks(numbers_below)

    def _draw_picture(self):
        """One picture of all panels, their frames, and words where nothing is shown."""
        picture = np.full((self.ny, self.width, 4), 255, dtype=np.uint8)
        frames = []
        for panel, image in enumerate(self.images.panels):
            x = self.offset(panel)
            part = picture[:, x : x + self.nx]
            if image is None:
                part[:] = 237
                self._say("not fitted", panel)
            else:
                part[:] = self._coloured(image, panel)
            frames.append(self.frame(panel))
        x = self.offset(4)
        picture[:, x:] = BRIGHTNESS_MAP(np.linspace(0, 1, self.ny), bytes=True)[:, None]
        frames.append(_rectangle(x, self._bar_width, self.ny))
        ny, width = picture.shape[:2]
        self.axes.imshow(picture, origin="lower", extent=(-0.5, width - 0.5, -0.5, ny - 0.5))
        self.axes.add_collection(LineCollection(frames, colors="0.2", linewidths=0.7))

    @property
    def _bar_width(self):
        return max(round(_BAR * max(self.ny, self.nx)), 1)

    def _coloured(self, image, panel):
        if panel == _RESIDUAL:
            return colours(image, residual_norm(), RESIDUAL_MAP)
        return colours(image, self.images.norm, BRIGHTNESS_MAP)

    def _say(self, text, panel):
        self.axes.text(self.centre(panel), self.ny / 2, text, ha="center", va="center", fontsize=9)

    def _draw_scale(self):
        """Numbers beside the colour bar."""
        x = self.offset(4) + self._bar_width + 0.02 * self.nx
        for number in brightness_ticks(self.images.norm):
            y = float(self.images.norm(number)) * self.ny - 0.5
            self.axes.text(x, y, f"{number:.3g}", va="center", fontsize=7)
        self.axes.text(
            x + 0.15 * self.step, (self.ny - 1) / 2, self.band.unit, rotation=90, va="center",
            ha="center", fontsize=7.5,
        )  # fmt: skip

    def _mark_shapes(self):
        """The apertures, and ellipses of 1 and 2 r_eff (companions: 2) where there is a fit."""
        measured = self.band.aperture
        if measured is not None:
            self._outlines(measured.aperture, "-", range(4))
            for other in measured.others:
                if other.kind == "kron":
                    self._outlines(other.aperture, "--", range(4))
        if self.band.fitted and self.images.residual is not None:
            for component in self.band.fit.target:
                for factor in (1, 2):
                    self._outlines(_ellipse(component, factor), ":", range(1, 4))
            for component in self.band.fit.companions:
                self._outlines(_ellipse(component, 2), "-.", range(4), COMPANION_COLOUR)

    def _outlines(self, ellipse, style, panels, own_colour=None):
        outline = ellipse_outline(ellipse)
        if outline is None:
            return
        outline = self._inside(outline)
        for colour, chosen in (
            (_LIGHT, [p for p in panels if p != _RESIDUAL]),
            ("black", [p for p in panels if p == _RESIDUAL]),
        ):
            lines = [outline + (self.offset(panel), 0) for panel in chosen]
            if style == "-" and colour == _LIGHT:
                # a light line is lost on a bright galaxy
                under = LineCollection(lines, colors="black", linewidths=2.4)
                self.axes.add_collection(under)
            drawn = LineCollection(
                lines,
                colors=own_colour or colour,
                linestyles=style,
                linewidths=1.2 if own_colour else 1.0,
            )
            self.axes.add_collection(drawn)

    def _inside(self, outline):
        """The points within the panel; the others, NaN, break the line."""
        x, y = outline.T
        inside = (x >= -0.5) & (x <= self.nx - 0.5) & (y >= -0.5) & (y <= self.ny - 0.5)
        return np.where(inside[:, None], outline, np.nan)

    def _mark_stars(self):
        """Small crosses on the residual where the stars of the model are."""
        stars = self.band.fit.stars
        near = self._on_panel(stars)
        self.axes.plot(
            stars.x[near] + self.offset(_RESIDUAL),
            stars.y[near],
            ls="",
            marker="+",
            ms=3.5 if near.sum() < 150 else 2.0,
            mew=0.5,
            color="black",
            alpha=0.7,
        )

    def _mark_knots(self):
        """Open diamonds on the residual where the knots are; what stars left stays bare."""
        knots = self.band.fit.knots
        knots = knots.select(self._on_panel(knots))
        if len(knots):
            self.axes.plot(
                knots.x + self.offset(_RESIDUAL),
                knots.y,
                ls="",
                marker="D",
                ms=4.0 if len(knots) < 20 else 2.5,
                mew=0.9 if len(knots) < 20 else 0.6,
                mfc="none",
                mec=KNOT_COLOUR,
            )

    def _on_panel(self, stars):
        near = (stars.x > -0.5) & (stars.x < self.nx - 0.5)
        return near & (stars.y > -0.5) & (stars.y < self.ny - 0.5)

    def _draw_ticks(self, numbers_below):
        axes, (x_min, y_min) = self.axes, self.band.origin
        self.set_limits()
        axes.spines[:].set_visible(False)
        numbers = _round_numbers(y_min, self.ny)
        axes.yaxis.set_major_locator(FixedLocator(numbers - y_min))
        axes.set_yticklabels([f"{n:.0f}" for n in numbers])
        axes.tick_params(labelsize=7, length=2.5)
        if not numbers_below:
            axes.xaxis.set_major_locator(NullLocator())
            return
        numbers = _round_numbers(x_min, self.nx)
        places = [number - x_min + self.offset(panel) for panel in range(4) for number in numbers]
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.set_xticklabels([f"{n:.0f}" for n in numbers] * 4)


def ellipse_outline(ellipse: Aperture | tuple) -> np.ndarray | None:
    """Points on an ellipse, (n, 2); None if a number is not finite.

    Parameters
    ----------
    ellipse : galstep.records.Aperture or tuple
        Or x, y, a, b, theta.
    """
    if not isinstance(ellipse, tuple):
        ellipse = (ellipse.x, ellipse.y, ellipse.a, ellipse.b, ellipse.theta)
    if not np.isfinite(ellipse).all():
        return None
    x, y, a, b, theta = ellipse
    phase = np.linspace(0, 2 * np.pi, _N_POINTS)
    along, across = a * np.cos(phase), b * np.sin(phase)
    cos, sin = np.cos(theta), np.sin(theta)
    return np.column_stack([x + along * cos - across * sin, y + along * sin + across * cos])


def _ellipse(component, factor):
    p = component.params
    a = factor * p.r_eff
    return p.x_0, p.y_0, a, a * (1 - p.ellip), p.theta


def _rectangle(x, nx, ny):
    left, right = x - 0.5, x + nx - 0.5
    bottom, top = -0.5, ny - 0.5
    return [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]


def _round_numbers(first, size):
    """A few round pixel numbers of the input frame."""
    numbers = MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]).tick_values(first, first + size - 1)
    return numbers[(numbers >= first) & (numbers <= first + size - 1)]


def _median(image):
    finite = image[np.isfinite(image)]
    return float(np.median(finite)) if finite.size else np.nan
