"""Sizes and shapes to start from: moments of the image under a Gaussian that fits itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.medians import median

if TYPE_CHECKING:
    from galstep.core.scene.frame import SceneFrame

__all__ = ["measured_shape", "psf_moments", "white_image"]

# Half-size of the window (pixels), and rounds of the matched Gaussian.
_HALF, _STEPS = 25, 12
# Per-axis second moment under a matched Gaussian -> r_eff of an exponential: measured on noise-free
# profiles of r_eff = 1 to 4 FWHM, good to 20 %, which is all that a start needs.
_TO_R_EFF = 1.3
# Below this share of the PSF's own moment nothing can be told from a star.
_RESOLVED = 0.08
# The start takes this share of the measured ellipticity, which the PSF has rounded in part, and
# no more than that.
_E_SHARE, _LARGEST_E = 0.7, 0.6


def white_image(frames: list[SceneFrame]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the bands that have the grid of the first, by inverse variance; sky taken off.

    Fixed light of a frame is taken off too.

    Returns
    -------
    white : (ny, nx) array
        0 without a good pixel.
    weight : (ny, nx) array
        Inverse variance.
    """
    shape = frames[0].shape
    total, weight = np.zeros(shape), np.zeros(shape)
    for frame in frames:
        if frame.shape != shape or not frame.pixel_map.is_translation or not frame.good.any():
            continue
        own = np.where(frame.good, 1 / frame.sigma**2, 0.0)
        # the level of the quieter half: the sky of a crowded field is not its median
        values = frame.clean[frame.good]
        level = median(values[values <= median(values) + frame.sigma])
        total += own * np.where(frame.good, frame.clean - level, 0.0)
        weight += own
    return np.divide(total, weight, out=np.zeros(shape), where=weight > 0), weight


def _adaptive(image, x, y, weight, first):
    """Second moments (2, 2) of a light about a place, and its flux; None if it has none."""
    half = _HALF
    ix, iy = int(np.rint(x)), int(np.rint(y))
    y0, x0 = max(iy - half, 0), max(ix - half, 0)
    part = np.s_[y0 : iy + half + 1, x0 : ix + half + 1]
    values, used = image[part], weight[part] > 0
    if values.size == 0 or not used.any():
        return None
    yy, xx = np.indices(values.shape)
    dx, dy = xx + x0 - x, yy + y0 - y
    moments = first.copy()
    for _ in range(_STEPS):
        inverse = np.linalg.inv(moments)
        radius = inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy
        gauss = np.exp(-0.5 * radius) * used
        light = gauss * values
        total = light.sum()
        if not total > 0:
            return None
        seen = np.array([[dx * dx, dx * dy], [dx * dy, dy * dy]])
        # the light times the Gaussian has half its moments where the two are alike
        new = 2 * np.einsum("ijkl,kl->ij", seen, light) / total
        values_of, vectors = np.linalg.eigh(0.5 * (new + new.T))
        values_of = np.clip(values_of, 0.3, (0.5 * half) ** 2)
        new = (vectors * values_of) @ vectors.T
        if np.abs(new - moments).max() < 1e-3 * np.trace(moments):
            moments = new
            break
        moments = 0.5 * (moments + new)
    return moments, 2.0 * total


def psf_moments(psf) -> np.ndarray:
    """Second moments (2, 2) of a star, measured in the same way (pixel^2)."""
    from galstep.core.imaging.stars import StarRenderer

    def make():
        shape, centre = (2 * _HALF + 1,) * 2, np.array([float(_HALF)])
        star = StarRenderer(psf).render(shape, centre, centre, np.ones(1))
        first = np.eye(2) * (psf.fwhm / 2.35) ** 2
        found = _adaptive(star, _HALF, _HALF, np.ones(shape), first)
        return first if found is None else found[0]

    return psf.derived("adaptive moments", make)


def measured_shape(
    white: np.ndarray, weight: np.ndarray, x: float, y: float, psf: np.ndarray
) -> tuple[float, float, float] | None:
    """(r_eff, e1, e2) of the light at a place.

    Parameters
    ----------
    white, weight : (ny, nx) arrays
        From `white_image`.
    x, y : float
        Pixels of the image.
    psf : (2, 2) array
        Moments of a star there.

    Returns
    -------
    tuple or None
        r_eff is 0 where the light is no larger than a star; None where there is no light.
    """
    found = _adaptive(white, x, y, weight, 1.5 * psf)
    if found is None:
        return None
    own = found[0] - psf
    size = np.sqrt(max(np.linalg.det(found[0]), 1e-9)) - np.sqrt(np.linalg.det(psf))
    if size < _RESOLVED * np.sqrt(np.linalg.det(psf)):
        return 0.0, 0.0, 0.0
    trace = max(np.trace(own), 1e-6)
    e = np.array([own[0, 0] - own[1, 1], 2 * own[0, 1]]) / trace * 0.5
    e *= _E_SHARE * min(1.0, _LARGEST_E / max(np.hypot(*e), 1e-9))
    major = np.sqrt(max(0.5 * trace * (1 + np.hypot(*e)), 1e-6))
    return _TO_R_EFF * major, float(e[0]), float(e[1])
