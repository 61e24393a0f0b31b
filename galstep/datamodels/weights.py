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

__all__ = ["error_from_weight"]

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
    good = np.isfinite(weight) & (weight > 0)
    if kind == "ignore" or not good.any():
        return None, ""
    with np.errstate(divide="ignore", invalid="ignore"):
        err = np.where(good, 1.0 / np.sqrt(weight), np.nan)
    if kind == "inverse_variance":
        return err, ""
    ratio = _scatter(data / err)
    if not (np.isfinite(ratio) and ratio > 0):
        return err, ""
    if kind == "auto" and 1 / _LARGEST_DISAGREEMENT < ratio < _LARGEST_DISAGREEMENT:
        return err, ""
    reason = (
        f"neighbouring pixels scatter by {ratio:.3g} times 1/sqrt(weight): "
        "the weights are taken as relative"
    )
    return err * ratio, reason if kind == "auto" else ""


def _scatter(image):
    """Sigma of white noise from differences of neighbours, in which sources cancel."""
    differences = np.concatenate([np.diff(image, axis=axis).ravel() for axis in (0, 1)])
    differences = differences[np.isfinite(differences)]
    return mad_std(differences) / np.sqrt(2.0) if differences.size else np.nan
