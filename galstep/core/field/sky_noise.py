"""The noise of the sky in a pixel of a large image, from a part of its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.imaging.medians import mad_std

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["sky_noise", "typical_error"]

# Pixels that are looked at, more or less; a thousandth of them knows the noise to 1 percent.
MOST_SAMPLES = 250_000
# One sigma below the middle of a Gaussian: sources and shallow parts do not set it.
QUIET = 15.87


def sky_noise(data: Any, bad_pixels: Callable) -> float:
    """Scatter of neighbouring pixels about each other.

    Half the difference of pixels two apart: a smooth sky and the wings of sources drop out, and
    so does most of what a resampling has correlated.

    Parameters
    ----------
    data : (ny, nx) array
        Anything that takes slices.
    bad_pixels : callable
        ``bad_pixels(part)`` is True where a pixel cannot be used.

    Returns
    -------
    float
        NaN without good pixels.
    """
    ny, nx = data.shape
    rows = max(1, MOST_SAMPLES // nx)
    step = max(1, ny // rows)
    part = np.s_[step // 2 :: step, :]
    values = np.array(data[part], dtype=float)
    values[bad_pixels(part)] = np.nan
    difference = (values[:, 2:] - values[:, :-2]) / np.sqrt(2)
    difference = difference[np.isfinite(difference)]
    return float(mad_std(difference)) if difference.size else np.nan


def typical_error(error: Any, bad_pixels: Callable) -> float:
    """The error of a quiet pixel.

    Parameters
    ----------
    error : (ny, nx) array
        Anything that takes slices.
    bad_pixels : callable
        As for `sky_noise`.

    Returns
    -------
    float
        NaN without good pixels.
    """
    step = max(1, int(np.sqrt(error.shape[0] * error.shape[1] / MOST_SAMPLES)))
    part = np.s_[::step, ::step]
    values = np.asarray(error[part], dtype=float)[~bad_pixels(part)]
    return float(np.percentile(values, QUIET)) if values.size else np.nan
