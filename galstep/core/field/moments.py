"""Sizes and shapes to start from: moments of the image under a Gaussian that fits itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.white import white_stack
from galstep.core.imaging.medians import median
from galstep.core.scene.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.core.scene.frame import SceneFrame

__all__ = ["measured_shape", "on_first", "psf_moments", "white_image"]

# Half-sizes of the window (pixels): a larger one where the light fills it, that is where its
# 1-sigma axis is more than this share; rounds of the matched Gaussian.
_HALVES, _FILLED, _STEPS = (25, 60, 140), 0.28, 14
# where nothing else is said the smallest
_HALF = _HALVES[0]
# S/N above which a light may fill the window: a faint one that does has the sky for its wings.
_BRIGHT = 100.0
# Per-axis second moment under a matched Gaussian -> r_eff of an exponential: measured on noise-free
# profiles of r_eff = 1 to 4 FWHM, good to 20 %, which is all that a start needs.
_TO_R_EFF = 1.3
# Below this share of the PSF's own moment nothing can be told from a star.
_RESOLVED = 0.08
# The start takes this share of the measured ellipticity, which the PSF has rounded in part, and
# no more than that.
_E_SHARE, _LARGEST_E = 0.7, 0.6


def white_image(frames: list[SceneFrame]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the bands on the pixels of the first, by inverse variance; sky taken off.

    Fixed light of a frame is taken off too.

    Returns
    -------
    white : (ny, nx) array
        0 without a good pixel.
    weight : (ny, nx) array
        Inverse variance.
    """
    parts = []
    for frame in frames:
        if not frame.good.any():
            continue
        # the level of the quieter half: the sky of a crowded field is not its median
        values = frame.clean[frame.good]
        level = median(values[values <= median(values) + frame.sigma])
        weight = np.where(frame.good, 1 / frame.sigma**2, 0.0)
        parts.append((np.where(frame.good, frame.clean - level, 0.0), weight, frame))
    return on_first(parts, frames[0])


def on_first(
    parts: list[tuple[np.ndarray, np.ndarray, SceneFrame]], first: SceneFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Images of frames stacked on the pixels of one of them.

    Parameters
    ----------
    parts : list of (values, weight, frame)
    first : SceneFrame

    Returns
    -------
    white, weight : (ny, nx) arrays
        See `galstep.core.field.white.white_stack`.
    """
    back = first.pixel_map.inverse()
    own = [(v, w, frame.pixel_map.after(back), _box(frame)) for v, w, frame in parts]
    return white_stack(own, _box(first))


def _box(frame):
    ny, nx = frame.shape
    return Box(frame.origin[0], frame.origin[1], frame.origin[0] + nx, frame.origin[1] + ny)


# The Gaussian stops growing where the S/N under it has fallen to this share of its best: beyond is
# the noise. (Of an exponential it falls to 0.9 where the Gaussian has the size of the light.)
_PAST_THE_LIGHT = 0.8
# Without this S/N there is no light to be measured.
_LEAST_SNR = 3.0
_NOISELESS = 1e12  # weight of the pixels of a PSF
# What is brighter than its mirror image about the source by so many sigma is of another source.
_NOT_MIRRORED = 3.0


def _adaptive(image, x, y, weight, first, others=(), half=_HALF):
    """Second moments (2, 2) of a light about a place, and its S/N; None if it has none.

    Pixels that are nearer to one of ``others`` are not its, nor is what has no mirror image.
    """
    ix, iy = int(np.rint(x)), int(np.rint(y))
    y0, x0 = max(iy - half, 0), max(ix - half, 0)
    part = np.s_[y0 : iy + half + 1, x0 : ix + half + 1]
    values, used = image[part], weight[part] > 0
    if values.size == 0 or not used.any():
        return None
    yy, xx = np.indices(values.shape)
    dx, dy = xx + x0 - x, yy + y0 - y
    for own_x, own_y in others:
        used &= dx * dx + dy * dy <= (dx - (own_x - x)) ** 2 + (dy - (own_y - y)) ** 2
    noise = np.where(used, 1 / np.where(used, weight[part], 1.0), 0.0)
    values = _mirrored(values, np.sqrt(noise), used, (iy - y0, ix - x0))
    moments, best = first.copy(), (0.0, None)
    for _ in range(_STEPS):
        inverse = np.linalg.inv(moments)
        radius = inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy
        gauss = np.exp(-0.5 * radius) * used
        light = gauss * values
        total = light.sum()
        snr = total / np.sqrt(np.sum(gauss * gauss * noise)) if total > 0 else 0.0
        if snr < max(_PAST_THE_LIGHT * best[0], _LEAST_SNR):
            return best[1]
        if snr > best[0]:
            best = snr, (moments, snr)
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
    return moments, best[0]


def _mirrored(values, sigma, used, centre):
    """The values, no higher than those on the other side of the centre but for the noise."""
    ny, nx = values.shape
    y, x = np.indices(values.shape)
    y, x = 2 * centre[0] - y, 2 * centre[1] - x
    inside = (y >= 0) & (y < ny) & (x >= 0) & (x < nx)
    y, x = np.where(inside, y, 0), np.where(inside, x, 0)
    known = inside & used & used[y, x]
    limit = values[y, x] + _NOT_MIRRORED * np.hypot(sigma, sigma[y, x])
    return np.where(known, np.minimum(values, limit), values)


def psf_moments(psf) -> np.ndarray:
    """Second moments (2, 2) of a star, measured in the same way (pixel^2)."""
    from galstep.core.imaging.stars import StarRenderer

    def make():
        shape, centre = (2 * _HALF + 1,) * 2, np.array([float(_HALF)])
        star = StarRenderer(psf).render(shape, centre, centre, np.ones(1))
        first = np.eye(2) * (psf.fwhm / 2.35) ** 2
        found = _adaptive(star, _HALF, _HALF, np.full(shape, _NOISELESS), first)
        return first if found is None else found[0]

    return psf.derived("adaptive moments", make)


def measured_shape(
    white: np.ndarray,
    weight: np.ndarray,
    x: float,
    y: float,
    psf: np.ndarray,
    others: Iterable[tuple[float, float]] = (),
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
    others : iterable of (x, y), optional
        Where other sources are: what is nearer to one of them is theirs.

    Returns
    -------
    tuple or None
        r_eff is 0 where the light is no larger than a star; None where there is no light.
    """
    first, found = 1.5 * psf, None
    for half in _HALVES:
        found = _adaptive(white, x, y, weight, first, others, half) or found
        if found is None:
            return None
        first = found[0]
        filled = np.sqrt(np.linalg.eigvalsh(first)[-1]) > _FILLED * half
        if not filled or found[1] < _BRIGHT:
            break
    own = found[0] - psf
    size = np.sqrt(max(np.linalg.det(found[0]), 1e-9)) - np.sqrt(np.linalg.det(psf))
    if size < _RESOLVED * np.sqrt(np.linalg.det(psf)):
        return 0.0, 0.0, 0.0
    trace = max(np.trace(own), 1e-6)
    e = np.array([own[0, 0] - own[1, 1], 2 * own[0, 1]]) / trace * 0.5
    e *= _E_SHARE * min(1.0, _LARGEST_E / max(np.hypot(*e), 1e-9))
    major = np.sqrt(max(0.5 * trace * (1 + np.hypot(*e)), 1e-6))
    return _TO_R_EFF * major, float(e[0]), float(e[1])
