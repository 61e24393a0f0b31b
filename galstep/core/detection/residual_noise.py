"""The noise of a frame, measured on the residuals of the fit itself.

Two things are measured. The variance of single pixels,

    sigma^2 = base + g m + (eps s)^2,

where m is the model without the sky and s its stars, ``base`` is the error
plane if there is one and a constant if not, ``g`` stands for photon noise (only
without an error plane) and ``eps`` for errors of the PSF, which grow with a
star. And the scale by which the matched-filter map scatters more than such
pixels would make it.

The galaxy's core takes no part in the measurement: what a profile leaves there
is not noise, and taking it for noise would give the core no weight, leave more
of it, and so on.

Of rounded numbers the residuals are made continuous before anything is measured on
them, and no variance is below that of the rounding (`galstep.core.imaging.rounding`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from galstep.core.detection.detect import (
    PADDING,
    lower_scatter,
    maps_on_scene,
    matched_filter,
    thinned,
)
from galstep.core.imaging.medians import mad_std, median, quantile
from galstep.core.imaging.rounding import dither

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand

__all__ = ["update_noise", "variance_model"]

QUANTILES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
MIN_BIN_PIXELS = 60
CLIP = 4.0
MAX_EPS = 0.1
MIN_EXCESS = 2.0


def _binned_variance(residual, light, scale):
    """Clipped variance of ``residual / scale`` in bins of the model's light.

    ``scale`` is None where all have one.
    The last bin is that of the brightest pixels, however few they are: they
    alone tell what the light adds to the noise.

    Returns
    -------
    variance, light, count : arrays
        ``light`` is the rms of light / scale in the bin.
    """
    edges = [int(q * len(light)) for q in QUANTILES] + [len(light) - MIN_BIN_PIXELS]
    edges = sorted({k for k in edges if 0 <= k <= len(light) - MIN_BIN_PIXELS}) or [0]
    # in order from bin to bin, which is all that is needed
    order = np.argpartition(light, edges)
    variance, mean, count = [], [], []
    uniform = scale is None
    for low, high in zip(edges, [*edges[1:], len(order)], strict=True):
        inside = order[low:high]
        if len(inside) < MIN_BIN_PIXELS:
            continue
        values = residual[inside]
        values = values if uniform else values / scale[inside]
        kept = np.abs(values) <= CLIP * _scatter(values)
        if kept.sum() < MIN_BIN_PIXELS // 2 or not values[kept].any():
            continue
        variance.append(np.mean(values[kept] ** 2))
        own = light[inside]
        own = own if uniform else own / scale[inside]
        mean.append(np.sqrt(np.mean(own**2)))
        count.append(kept.sum())
    return np.array(variance), np.array(mean), np.array(count)


def _scatter(values):
    """Robust scatter; the rms where most values are one, as those of a rounded image are."""
    values = thinned(values)
    return mad_std(values) or float(values.std())


def variance_model(
    residual: np.ndarray,
    light: np.ndarray,
    stars: np.ndarray,
    mask: np.ndarray,
    core: np.ndarray,
    base: np.ndarray | None = None,
    step: float = 0.0,
) -> np.ndarray:
    """Pixel variance from the residuals of a fit.

    Parameters
    ----------
    residual : (ny, nx) array
        Data - model.
    light, stars : (ny, nx) arrays
        Model without the sky, and the stars alone.
    mask, core : (ny, nx) bool arrays
        True = bad, and True = too close to the galaxy to measure noise.
    base : (ny, nx) array, optional
        Variance from an error plane; it is kept, and only what the PSF's
        errors add is measured.
    step : float, optional
        Of the numbers that the image was rounded to; 0 if it was not.

    Returns
    -------
    (ny, nx) array
        Variance, positive on all good pixels.
    """
    if not step > 0:
        return _variance_model(residual, light, stars, mask, core, base)
    rounding = step**2 / 12
    # a dither is a rounding's equal: there, and off again
    own = None if base is None else base + rounding
    continuous = residual + dither(residual.shape, step)
    variance = _variance_model(continuous, light, stars, mask, core, own) - rounding
    return np.where(mask, 1.0, np.maximum(variance, rounding))


def _variance_model(residual, light, stars, mask, core, base):
    good = ~mask & ~core
    if good.sum() < MIN_BIN_PIXELS:
        good = ~mask
    light, stars = np.maximum(light, 0.0), np.maximum(stars, 0.0)
    scale = None if base is None else np.sqrt(np.where(mask, 1.0, base))[good]
    values, mean, count = _binned_variance(residual[good], light[good], scale)
    if base is not None:
        eps_squared = _excess(values, mean, count)
        return np.where(mask, 1.0, base) + eps_squared * stars**2
    faint = light[good] <= quantile(thinned(light[good]), 0.6)
    floor = _scatter(residual[good][faint]) ** 2
    if len(values) < 3:
        return np.full(mask.shape, max(floor, np.finfo(float).tiny))
    weight = np.sqrt(count) / values
    columns = np.column_stack([np.ones_like(mean), mean, mean**2])
    # columns of unit size: nnls stops on an absolute tolerance
    size = np.linalg.norm(columns * weight[:, None], axis=0)
    size[size == 0] = 1.0
    terms, _ = nnls(columns * weight[:, None] / size, values * weight)
    constant, photon, eps_squared = terms / size
    constant = max(constant, 0.25 * floor, np.finfo(float).tiny)
    return constant + photon * light + min(eps_squared, MAX_EPS**2) * stars**2


def _excess(values, mean, count):
    """eps^2 from normalised variances v = v_0 + eps^2 (m / sigma)^2.

    Taken for real only above twice its error: the brightest pixels are few, and
    a chance excess there would take their weight away.
    """
    if len(values) < 3:
        return 0.0
    weight = np.sqrt(count / 2) / values  # the variance of a variance is 2 v^2 / n
    columns = np.column_stack([np.ones_like(mean), mean**2]) * weight[:, None]
    normal = columns.T @ columns
    if not np.linalg.cond(normal) < 1e12:
        return 0.0
    covariance = np.linalg.inv(normal)
    eps_squared = (covariance @ (columns.T @ (values * weight)))[1]
    if eps_squared < MIN_EXCESS * np.sqrt(covariance[1, 1]):
        return 0.0
    return float(min(eps_squared, MAX_EPS**2))


def update_noise(
    band: SceneBand,
    base: np.ndarray | None,
    residual: np.ndarray,
    light: np.ndarray,
    stars: np.ndarray,
    core: np.ndarray,
    shift: tuple[float, float] | np.ndarray = (0.0, 0.0),
) -> tuple[SceneBand, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The band with weights that agree with its residuals.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    base : (ny, nx) array or None
        Variance of the error plane, if there is one.
    residual, light, stars, core
        See `variance_model`.
    shift : (dx, dy), optional
        Registration of the band.

    Returns
    -------
    band : SceneBand
        With new ``weight`` = 1 / (sigma noise_scale)^2 and ``noise_scale``.
    maps : (snr, flux, information)
        The matched filter of the residual with these weights, on the scene's
        frame.
    """
    variance = variance_model(residual, light, stars, band.mask, core, base, band.step)
    weight = np.where(band.mask, 0.0, 1.0 / variance)
    fresh = replace(band, weight=weight, noise_scale=1.0, robust=1.0)
    snr, flux, information = matched_filter(fresh, residual, shift)
    inner = (slice(PADDING, -PADDING),) * 2
    covered = information[inner] > 0.5 * median(thinned(information[inner]))
    scale = max(1.0, lower_scatter(snr[inner][covered]))
    band = replace(fresh, weight=weight / scale**2, noise_scale=scale)
    maps = snr / scale, flux, information / scale**2
    return band, maps_on_scene(band, maps, shift)
