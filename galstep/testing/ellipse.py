"""Ellipses of the light of a noise-free image: shape by moments, size by half of the light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from photutils.aperture import EllipticalAperture
from scipy.optimize import brentq

__all__ = ["Ellipse", "ellipse_of", "half_light"]


@dataclass(frozen=True)
class Ellipse:
    """Centre (pixels), 1 - b/a, and angle of the major axis (radians); no size."""

    x: float
    y: float
    ellip: float
    theta: float

    def radius(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Semi-major axis of the ellipse through each place (pixels)."""
        cos, sin = np.cos(self.theta), np.sin(self.theta)
        dx, dy = np.asarray(x) - self.x, np.asarray(y) - self.y
        return np.hypot(dx * cos + dy * sin, (dy * cos - dx * sin) / (1 - self.ellip))

    def place(self, a: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels at the semi-major axis ``a`` and the eccentric anomaly ``phi``."""
        u, v = a * np.cos(phi), (1 - self.ellip) * a * np.sin(phi)
        cos, sin = np.cos(self.theta), np.sin(self.theta)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def weights(self, a: float, shape: tuple[int, int]) -> np.ndarray:
        """The fraction of each pixel inside the semi-major axis ``a``, shape (ny, nx)."""
        aperture = EllipticalAperture((self.x, self.y), a, (1 - self.ellip) * a, theta=self.theta)
        image = aperture.to_mask(method="exact").to_image(shape)
        return np.zeros(shape) if image is None else image


def half_light(image: np.ndarray, total: float, ellipse: Ellipse) -> float:
    """Semi-major axis inside which half of ``total`` lies (pixels).

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Without noise, the light spread evenly over each pixel.
    total : float
        May be more than the image holds.
    ellipse : Ellipse

    Returns
    -------
    float
    """
    inside = lambda a: float(np.sum(ellipse.weights(a, image.shape) * image)) - total / 2  # noqa: E731
    return brentq(inside, 0.3, float(np.hypot(*image.shape)), xtol=1e-4)


def ellipse_of(image: np.ndarray, total: float) -> tuple[Ellipse, float]:
    """The ellipse of an image and its half-light semi-major axis.

    Second moments inside two half-light ellipses, again and again from a circle
    about the centroid.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Without noise.
    total : float
        All light of the object.

    Returns
    -------
    Ellipse, float
    """
    rows, columns = np.indices(image.shape, dtype=float)
    weight = image
    for step in range(13):
        light = weight.sum()
        x, y = (weight * columns).sum() / light, (weight * rows).sum() / light
        dx, dy = columns - x, rows - y
        moments = [(weight * p).sum() / light for p in (dx**2, dx * dy, dy**2)]
        ellipse = _from_moments(x, y, *moments) if step else Ellipse(x, y, 0.0, 0.0)
        r_half = half_light(image, total, ellipse)
        weight = image * ellipse.weights(2 * r_half, image.shape)
    return ellipse, r_half


def _from_moments(x, y, xx, xy, yy):
    small, big = np.linalg.eigvalsh([[xx, xy], [xy, yy]])
    theta = 0.5 * np.arctan2(2 * xy, xx - yy) % np.pi
    return Ellipse(float(x), float(y), float(1 - np.sqrt(small / big)), float(theta))
