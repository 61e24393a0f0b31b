"""The image panels of one filter: data, model, residual, stars subtracted."""

import numpy as np
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke

from galstep.plotting.stretch import (
    BRIGHTNESS_MAP,
    RESIDUAL_MAP,
    brightness_norm,
    pixel_sigma,
    residual_norm,
)

__all__ = ["BandImages", "band_images", "draw_image", "draw_residual", "mark_shapes", "mark_stars"]


class BandImages:
    """What the panels of one filter show; sky subtracted, NaN where masked.

    ``data``, ``model`` (galaxy + stars) and ``star_subtracted`` share the
    stretch ``norm``; ``residual`` is in units of ``sigma``. The last three are
    None before a fit.
    """

    def __init__(self, band):
        self.sigma = pixel_sigma(band)
        masked = np.where(band.mask, np.nan, band.data)
        level = np.median(band.data[~band.mask]) if band.sky is None else band.sky
        self.data = masked - level
        self.model = self.star_subtracted = self.residual = self.galaxy = None
        if band.residual is not None:
            self.galaxy = band.galaxy
            self.model = band.galaxy + band.stars
            self.star_subtracted = self.data - band.stars
            self.residual = band.residual / self.sigma
        shown = [i for i in (self.data, self.star_subtracted) if i is not None]
        self.typical_sigma = _median(self.sigma)
        self.norm = brightness_norm(shown, self.typical_sigma)
        ny, nx = band.shape
        x, y = band.origin
        self.extent = (x - 0.5, x + nx - 0.5, y - 0.5, y + ny - 0.5)


def band_images(band):
    """The `BandImages` of a filter, None if it has no usable pixel."""
    return BandImages(band) if band.usable else None


def draw_image(axes, image, images):
    """Show a brightness image in the stretch of its filter; returns the artist."""
    return axes.imshow(
        image,
        norm=images.norm,
        cmap=BRIGHTNESS_MAP,
        origin="lower",
        extent=images.extent,
        interpolation="nearest",
    )


def draw_residual(axes, images):
    """Show the residual in units of sigma; returns the artist."""
    return axes.imshow(
        images.residual,
        norm=residual_norm(),
        cmap=RESIDUAL_MAP,
        origin="lower",
        extent=images.extent,
        interpolation="nearest",
    )


def mark_shapes(axes, band, color, effective_radii=True):
    """Draw the aperture (solid) and the ellipses of 1 and 2 r_eff (dotted)."""
    if band.aperture is not None:
        place = band.aperture.aperture
        _ellipse(axes, band, (place.x, place.y), place.a, place.b, place.theta, color, "-")
    if effective_radii and band.fitted:
        for component in band.fit.sersic:
            p = component.params
            for a in (p.r_eff, 2 * p.r_eff):
                centre = (p.x_0, p.y_0)
                _ellipse(axes, band, centre, a, a * (1 - p.ellip), p.theta, color, ":")


def mark_stars(axes, band):
    """Small crosses where the stars of the model are."""
    stars = band.fit.stars
    size = 3.5 if len(stars) < 150 else 2.0
    axes.plot(
        stars.x + band.origin[0],
        stars.y + band.origin[1],
        ls="",
        marker="+",
        ms=size,
        mew=0.5,
        color="black",
        alpha=0.7,
    )


def _ellipse(axes, band, centre, a, b, theta, color, style):
    if not np.all(np.isfinite([*centre, a, b, theta])):
        return
    x, y = centre[0] + band.origin[0], centre[1] + band.origin[1]
    ellipse = Ellipse(
        (x, y), 2 * a, 2 * b, angle=np.degrees(theta), fc="none", ec=color, ls=style, lw=1.0
    )
    if style == "-" and color != "black":
        # a light line is lost on a bright galaxy
        ellipse.set_path_effects([withStroke(linewidth=2.4, foreground="black")])
    axes.add_patch(ellipse)


def _median(image):
    finite = image[np.isfinite(image)]
    return float(np.median(finite)) if finite.size else np.nan
