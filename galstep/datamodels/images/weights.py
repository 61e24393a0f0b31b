"""Errors from weight maps.

The weight map of a mosaic may be the inverse variance, or an exposure time, or
something in between; its header rarely says. What it is in ``"auto"``: an inverse
variance, unless the errors that follow differ from the scatter of neighbouring
pixels by more than a factor of three in the middle. Then it is relative: only its
course over the frame is kept, and its scale is that of the scatter.
"""

from __future__ import annotations

import numpy as np
from astropy.stats import mad_std

__all__ = ["error_from_weight", "weight_scale"]

_LARGEST_DISAGREEMENT = 3.0


def error_from_weight(
    data: np.ndarray, weight: np.ndarray, kind: str
) -> tuple[np.ndarray | None, str]:
    """1-sigma error of each pixel.

    Parameters
    ----------
    data, weight : (ny, nx) arrays
        NaN allowed; where the weight is not positive, the error is NaN.
    kind : {"auto", "inverse_variance", "relative", "ignore"}

    Returns
    -------
    err : (ny, nx) array or None
        In the unit of ``data``. None if weights are to be ignored, or none is
        positive.
    reason : str
        Why the weights are taken as relative in ``"auto"``, else "".
    """
    scale, reason = weight_scale(data, weight, kind)
    if scale is None:
        return None, ""
    return scale * _err(weight), reason


def _err(weight):
    good = np.isfinite(weight) & (weight > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(good, 1.0 / np.sqrt(weight), np.nan)


def weight_scale(data: np.ndarray, weight: np.ndarray, kind: str) -> tuple[float | None, str]:
    """The error of a pixel of weight 1.

    Parameters
    ----------
    data, weight, kind
        As for `error_from_weight`; a part of an image will do.

    Returns
    -------
    scale : float or None
        None if weights are to be ignored, or none is positive.
    reason : str
    """
    if kind == "ignore" or not (weight > 0).any():
        return None, ""
    if kind == "inverse_variance":
        return 1.0, ""
    ratio = _scatter(data / _err(weight))
    if not (np.isfinite(ratio) and ratio > 0):
        return 1.0, ""
    if kind == "auto" and 1 / _LARGEST_DISAGREEMENT < ratio < _LARGEST_DISAGREEMENT:
        return 1.0, ""
    reason = (
        f"neighbouring pixels scatter by {ratio:.3g} times 1/sqrt(weight): "
        "the weights are taken as relative"
    )
    return float(ratio), reason if kind == "auto" else ""


def _scatter(image):
    """Sigma of white noise from differences of neighbours, in which sources cancel."""
    differences = np.concatenate([np.diff(image, axis=axis).ravel() for axis in (0, 1)])
    differences = differences[np.isfinite(differences)]
    return mad_std(differences) / np.sqrt(2.0) if differences.size else np.nan
