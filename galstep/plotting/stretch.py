"""How brightness becomes colour: one stretch per filter, one for all residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import AsinhNorm, Normalize

from galstep.core.imaging.medians import mad_std

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.colors import Colormap

    from galstep.datamodels import BandData

__all__ = [
    "BRIGHTNESS_MAP",
    "RESIDUAL_MAP",
    "brightness_norm",
    "brightness_ticks",
    "colours",
    "pixel_sigma",
    "residual_norm",
]

_MASKED = "0.72"

#: Perceptually even, and without grey: grey means masked.
BRIGHTNESS_MAP = colormaps["magma"].with_extremes(bad=_MASKED)

#: Diverging, red against blue: safe for the colour-blind.
RESIDUAL_MAP = colormaps["RdBu_r"].with_extremes(bad=_MASKED)


def pixel_sigma(band: BandData) -> np.ndarray:
    """The 1-sigma error of each pixel of a filter.

    The error map if there is one, else the noise the fit found, else the
    scatter of the residual or of the data (1.4826 MAD).

    Parameters
    ----------
    band : galstep.datamodels.BandData

    Returns
    -------
    ndarray, shape (ny, nx)
        NaN where it is not known.
    """
    if band.err is not None:
        return band.err
    if band.fitted and band.fit.noise_sigma > 0:
        return np.full(band.shape, band.fit.noise_sigma)
    image = band.data if band.residual is None else band.residual
    return np.full(band.shape, mad_std(image[~band.mask]))


def brightness_norm(images: Sequence[np.ndarray], sigma: float) -> AsinhNorm:
    """An asinh stretch for images of one filter, sky subtracted.

    Linear within two sigma of zero, logarithmic above, so that faint wings and
    bright cores are both seen; it ends at the 99.7th percentile of the images.

    Parameters
    ----------
    images : sequence of ndarray
        NaN is left out.
    sigma : float
        Typical noise of a pixel.

    Returns
    -------
    matplotlib.colors.AsinhNorm
    """
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    sigma = sigma if np.isfinite(sigma) and sigma > 0 else 1.0
    top = np.percentile(values, 99.7) if values.size else 0.0
    return AsinhNorm(linear_width=2 * sigma, vmin=-3 * sigma, vmax=max(top, 10 * sigma))


def brightness_ticks(norm: AsinhNorm) -> list[float]:
    """Zero and a few round numbers that are not crowded on a bar of ``norm``.

    Parameters
    ----------
    norm : matplotlib.colors.AsinhNorm

    Returns
    -------
    list of float
    """
    highest = int(np.floor(np.log10(norm.vmax)))
    numbers = (m * 10.0**k for k in range(highest, highest - 6, -1) for m in (5, 2, 1))
    ticks, places = [0.0], [float(norm(0.0))]
    for number in numbers:
        place = float(norm(number))
        if place <= 1 and min(abs(place - other) for other in places) > 0.13:
            ticks.append(number)
            places.append(place)
    return ticks


def colours(image: np.ndarray, norm: AsinhNorm | Normalize, colour_map: Colormap) -> np.ndarray:
    """An image as colours, of 8 bits each: what matplotlib's image would show, faster.

    Parameters
    ----------
    image : ndarray
        NaN is shown as the map's "bad" colour.
    norm : AsinhNorm or Normalize
    colour_map : matplotlib.colors.Colormap

    Returns
    -------
    ndarray of uint8, shape (*image.shape, 4)
    """
    image = np.asarray(image, dtype=float)
    low, high = np.array([norm.vmin, norm.vmax], dtype=float)
    if isinstance(norm, AsinhNorm):
        image, low, high = (np.arcsinh(v / norm.linear_width) for v in (image, low, high))
    share = np.clip((image - low) / (high - low), 0.0, 1.0)
    index = np.where(np.isfinite(image), np.nan_to_num(share) * (colour_map.N - 1) + 0.5, -1)
    table = colour_map(np.arange(colour_map.N), bytes=True)
    bad = np.array(colour_map.get_bad()) * 255
    table = np.vstack([table, np.rint(bad).astype(np.uint8)])
    return table[index.astype(int)]


def residual_norm(limit: float = 5.0) -> Normalize:
    """A linear stretch from -``limit`` to ``limit`` sigma."""
    return Normalize(-limit, limit)
