"""Stars that the PSF of a band is measured on: their pixels, and which of them are stars."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.records import Box
from galstep.core.imaging.medians import mad_std, median

if TYPE_CHECKING:
    from galstep.core.field.epsf_light import FieldLight
    from galstep.core.field.epsf_options import EpsfOptions
    from galstep.core.field.records import FieldBand

__all__ = ["CORE", "StarStamp", "read_stars"]

# Pixels: no masked one may be so near to a star's centre; what is counted for its first flux; and
# a source so near is the star itself.
_CLEAN, CORE, _ITSELF = 5, 3, 1.5
# Light of a neighbour that was fitted is known to this share, not better.
_LIGHT_ERROR = 0.03
# What is not used about a neighbour grows by this share with every factor of ten of its S/N.
_GROWTH = 0.35
# A neighbour is not drawn but left out where it has so many times the light of any star.
_OUTSHINES = 3.0
# A star needs this share of its disc.
_LEAST_SHARE = 0.45
# Of the sizes of stars: their scatter is some percents, that of galaxies a factor.
_LOCUS, _MOST_LOCUS = 4.0, 0.15


@dataclass(eq=False)
class StarStamp:
    """A star: its pixels about the nearest one, and what is known of it.

    Attributes
    ----------
    ix, iy : int
        The middle pixel, in the image.
    data : (P,) array
        Of the disc of offsets that all stars share.
    used : (P,) bool array
    variance : (P,) array
        Of the sky.
    x, y, flux, sky : float
        Position in the image, flux, level beneath it.
    free_sky, sky_variance : float
        That level and its variance, were it known from the stamp alone.
    near : (k, 3) array
        x, y and light of the sources about it that are drawn by the PSF as it stands.
    near_total : bool
        Whether that light is their flux; else what is in their core.
    base : (P,) array or float
        Other light and sky, known before.
    others : (P,) array or float
        ``base`` and the light of ``near``.
    others_variance : (P,) array or float
        Of the light of ``near``, which the PSF and the fluxes do not tell better.
    snr, size, ratio : float
        S/N in the core, 1-sigma width (pixels), width along y over that along x.
    chi2 : float
        Reduced, of the last fit.
    """

    ix: int
    iy: int
    data: np.ndarray
    used: np.ndarray
    variance: np.ndarray
    x: float
    y: float
    flux: float = 0.0
    sky: float = 0.0
    free_sky: float = np.nan
    sky_variance: float = np.nan
    near: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    near_total: bool = False
    base: np.ndarray | float = 0.0
    others: np.ndarray | float = 0.0
    others_variance: np.ndarray | float = 0.0
    snr: float = 0.0
    size: float = np.nan
    ratio: float = np.nan
    chi2: float = np.nan


def read_stars(
    band: FieldBand,
    x: np.ndarray,
    y: np.ndarray,
    others: tuple[np.ndarray, np.ndarray],
    half: int,
    options: EpsfOptions,
    known: FieldLight | None = None,
) -> list[StarStamp]:
    """Read the candidates and keep what are stars, brightest first.

    Parameters
    ----------
    band : FieldBand
    x, y : (n,) arrays
        Of the candidates, pixels of the band.
    others : (x, y)
        Of all sources, the candidates among them; pixels about them are not used.
    half : int
        Half the side of the stamps, pixels.
    options : EpsfOptions
    known : FieldLight, optional
        The fitted field: what is about a star is then taken off instead of masked.

    Returns
    -------
    list of StarStamp
    """
    offsets = np.arange(-half, half + 1)
    gx, gy = np.meshgrid(offsets, offsets)
    disc = np.hypot(gx, gy) <= half + 0.5
    grid = gx[disc], gy[disc]
    if known is None:
        lights = np.column_stack([*others, _core_light(band, *others)])
    else:
        lights = known.stars(band)
    stars = []
    for star_x, star_y in zip(x, y, strict=True):
        star = _read(band, float(star_x), float(star_y), lights, half, grid, disc, options, known)
        if star is not None:
            stars.append(star)
    stars = [star for star in stars if star.snr > options.star_snr]
    stars = _not_outshone(stars, grid, half)
    low, high = options.q_range
    stars = [star for star in stars if low <= star.ratio <= high]
    stars = _on_locus(stars)
    return sorted(stars, key=lambda star: -star.snr)[: options.max_stars]


def _read(band, x, y, others, half, grid, disc, options, known):
    ny, nx = band.pixels.shape
    ix, iy = int(np.rint(x)), int(np.rint(y))
    edge = options.star_edge
    if not (edge <= ix < nx - edge and edge <= iy < ny - edge):
        return None
    side = 2 * half + 1
    box = Box(ix - half, iy - half, ix + half + 1, iy + half + 1)
    inside = box.inside((ny, nx))
    pixels = band.pixels.read(inside)
    data, used = np.zeros((side, side)), np.zeros((side, side), dtype=bool)
    variance = np.full((side, side), band.sigma**2)
    part = np.s_[inside.y0 - box.y0 : inside.y1 - box.y0, inside.x0 - box.x0 : inside.x1 - box.x0]
    data[part], used[part] = pixels.data, ~np.asarray(pixels.mask, dtype=bool)
    if pixels.sigma is not None:
        good = np.isfinite(pixels.sigma) & (pixels.sigma > 0)
        used[part] &= good
        variance[part] = np.where(good, pixels.sigma, band.sigma) ** 2
    core = np.s_[half - _CLEAN : half + _CLEAN + 1, half - _CLEAN : half + _CLEAN + 1]
    # up to the edge there may be no pixels; none may be masked
    if not used[core].all():
        return None
    base = 0.0
    if known is not None:
        light = np.zeros((side, side))
        light[part] = known.profiles(band, inside)
        variance += (_LIGHT_ERROR * light) ** 2 + band.variance_per_unit * np.maximum(light, 0)
        base = light[disc] + known.sky(band, ix + grid[0], iy + grid[1])
    data, used, variance = data[disc], used[disc], variance[disc]
    gx, gy = grid
    away = np.hypot(others[:, 0] - x, others[:, 1] - y)
    near = others[(away > _ITSELF) & (away < 2 * half)]
    if known is None:
        _leave_out(used, near, gx + ix, gy + iy, band, options)
    if np.count_nonzero(used) < _LEAST_SHARE * len(used):
        return None
    ring = used & (np.hypot(gx, gy) > 0.6 * half)
    above = data - base
    level = median(above[ring]) if known is None and np.count_nonzero(ring) > 20 else 0.0
    star = StarStamp(
        ix, iy, data, used, variance, x, y, sky=level, near=near, near_total=known is not None,
        base=base, others=base,
    )  # fmt: skip
    core = used & (np.hypot(gx, gy) <= CORE + 0.5)
    light = (above - level)[core]
    if not light.sum() > 0:
        return None
    noise = variance[core] + band.variance_per_unit * np.maximum(light, 0)
    star.flux = float(light.sum())
    star.snr = float(star.flux / np.sqrt(noise.sum()))
    star.size, star.ratio = _widths(star, gx, gy)
    return star if np.isfinite(star.size) else None


def _not_outshone(stars, grid, half):
    """Pixels near a light that no star of the PSF comes near to are left out.

    What the PSF lacks in its wings is drawn wrong for it many times brighter, and what is wrong
    would come back as wings: 1.1 percent of a star's light beside one full star.
    """
    if not stars:
        return stars
    limit = _OUTSHINES * max(star.flux for star in stars)
    for star in stars:
        for x, y, light in star.near:
            if light > limit:
                star.used &= np.hypot(grid[0] + star.ix - x, grid[1] + star.iy - y) > half
    return [star for star in stars if np.count_nonzero(star.used) >= _LEAST_SHARE * len(star.used)]


def _leave_out(used, near, x, y, band, options):
    """No pixel about a neighbour of which nothing but the place is known."""
    for other in near:
        apart = np.hypot(x - other[0], y - other[1])
        # the brighter, the farther its wings are more than noise
        signal = other[2] / (band.sigma * np.sqrt(np.pi) * CORE)
        grown = 1 + _GROWTH * max(0.0, np.log10(max(signal, 1.0) / options.star_snr))
        used &= apart > grown * options.star_min_separation


def _core_light(band, x, y):
    """Light within the core of each source, above the level of the ring about it; 0 if unknown."""
    reach = 3 * CORE
    gx, gy = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    radius = np.hypot(gx, gy)
    light = np.zeros(len(x))
    for k, (own_x, own_y) in enumerate(zip(x, y, strict=True)):
        ix, iy = int(np.rint(own_x)), int(np.rint(own_y))
        box = Box(ix - reach, iy - reach, ix + reach + 1, iy + reach + 1)
        inside = box.inside(tuple(band.pixels.shape))
        if inside.empty:
            continue
        part = np.s_[
            inside.y0 - box.y0 : inside.y1 - box.y0, inside.x0 - box.x0 : inside.x1 - box.x0
        ]
        pixels = band.pixels.read(inside)
        good, own = ~np.asarray(pixels.mask, dtype=bool), radius[part]
        core, ring = own <= CORE + 0.5, good & (own > reach - 2)
        # a full core has no number; its pixels are counted as those that are there
        if np.count_nonzero(core & good) < 5 or not ring.any():
            continue
        level = median(pixels.data[ring])
        light[k] = max(0.0, float(np.mean(pixels.data[core & good] - level))) * np.count_nonzero(
            radius <= CORE + 0.5
        )
    return light


def _widths(star, gx, gy):
    """1-sigma width, and that along y over that along x, under a round window of its own size."""
    dx, dy = gx + star.ix - star.x, gy + star.iy - star.y
    light = np.where(star.used, star.data - star.base - star.sky, 0.0)
    window = 2.0
    for _ in range(6):
        weight = np.exp(-0.5 * (dx**2 + dy**2) / window**2) * light
        total = weight.sum()
        if not total > 0:
            return np.nan, np.nan
        dx, dy = dx - (weight * dx).sum() / total, dy - (weight * dy).sum() / total
        xx, yy = ((weight * d**2).sum() / total for d in (dx, dy))
        if not (xx > 0 and yy > 0):
            return np.nan, np.nan
        # under a window of its own width a Gaussian seems narrower by the root of two
        window = float(np.clip(np.sqrt(xx + yy), 0.7, 8.0))
    return window, float(np.sqrt(yy / xx))


def _on_locus(stars):
    """Those of the size that most have: galaxies are larger, each in its own way."""
    if len(stars) < 5:
        return stars
    sizes = np.log([star.size for star in stars])
    middle = _half_sample_mode(np.sort(sizes))
    near = np.abs(sizes - middle) < _MOST_LOCUS
    if np.count_nonzero(near) < 3:
        return stars
    middle, scatter = median(sizes[near]), mad_std(sizes[near])
    width = float(np.clip(_LOCUS * scatter, 0.03, _MOST_LOCUS))
    return [star for star, own in zip(stars, sizes, strict=True) if abs(own - middle) <= width]


def _half_sample_mode(ordered):
    """Where values are densest (Robertson & Cryer 1974, JASA 69, 1012)."""
    while len(ordered) > 3:
        half = (len(ordered) + 1) // 2
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        first = int(np.argmin(widths))
        ordered = ordered[first : first + half]
    return float(np.mean(ordered))
