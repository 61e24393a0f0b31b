"""PSF models of photutils as arrays, and PSF arrays on another grid.

Anything with ``oversampling``, ``data`` and ``evaluate(x, y, flux, x_0, y_0)`` is
taken: ``ImagePSF``, what ``EPSFBuilder`` makes, ``GriddedPSFModel``. They hold the
effective PSF, the pixel's response included. So are formulas: see
`galstep.datamodels.psf.psf_analytic`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import affine_transform, convolve1d

from galstep.datamodels.psf.psf_analytic import is_analytic_psf, sampled_formula
from galstep.psf_array import whole_oversample

__all__ = ["add_pixel_response", "is_psf_model", "resampled", "sampled"]


def is_psf_model(thing: Any) -> bool:
    """Whether ``thing`` is a PSF model of photutils, with samples or a formula, or like one."""
    has_samples = all(hasattr(thing, name) for name in ("oversampling", "data", "evaluate"))
    return has_samples or is_analytic_psf(thing)


def sampled(model: Any, x: float, y: float, what: str) -> tuple[np.ndarray, int]:
    """The effective PSF of a model at a place on the image.

    Parameters
    ----------
    model : object
        See `is_psf_model`.
    x, y : float
        Pixels of the image for which the model is meant; a place beyond the
        outermost PSFs of a grid gets that of the nearest place within.
    what : str
        What messages call it.

    Returns
    -------
    (2-D array, int)
        Samples with the star in the geometric centre, not normalised; samples
        per pixel.

    Raises
    ------
    InputError
        If the oversampling is not one whole number.
    """
    if is_analytic_psf(model):
        return sampled_formula(model, what)
    oversample = whole_oversample(model.oversampling, what)
    x_0, y_0 = _within_grid(model, x, y)
    ny, nx = np.shape(model.data)[-2:]
    v, u = np.indices((ny, nx), dtype=float)
    u = x_0 + (u - (nx - 1) / 2) / oversample
    v = y_0 + (v - (ny - 1) / 2) / oversample
    values = np.asarray(model.evaluate(u.ravel(), v.ravel(), 1.0, x_0, y_0), dtype=float)
    return values.reshape(ny, nx), oversample


def _within_grid(model, x, y):
    places = getattr(model, "grid_xypos", None)
    if places is None:
        return 0.0, 0.0
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    return tuple(float(v) for v in np.clip((x, y), low, high))


def add_pixel_response(array: np.ndarray, oversample: int) -> np.ndarray:
    """A PSF at points, integrated over the square pixel.

    Parameters
    ----------
    array : 2-D array
        Light that falls on each sample.
    oversample : int
        Samples per pixel.

    Returns
    -------
    2-D array
        For an even ``oversample`` the pixel ends in the middle of the outermost
        samples, which count half.
    """
    if oversample == 1:
        return np.array(array, dtype=float)
    weights = np.ones(oversample + 1 - oversample % 2)
    if oversample % 2 == 0:
        weights[[0, -1]] = 0.5
    weights /= oversample
    for axis in (0, 1):
        array = convolve1d(np.asarray(array, dtype=float), weights, axis=axis, mode="constant")
    return array


def resampled(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A PSF on a grid of other steps about the same centre.

    Parameters
    ----------
    array : 2-D array
    matrix : (2, 2) array
        Steps of the new grid in samples of the old: the new sample at (x, y) from
        the centre has the value of the old at ``matrix @ (x, y)``.

    Returns
    -------
    2-D array
        Square, of odd size, as large as the old samples allow in every
        direction; cubic splines between samples, sum as it comes.
    """
    half = (min(array.shape) - 1) / 2
    reach = np.abs(matrix).sum(axis=1).max()
    n = 2 * int(half / reach + 1e-9) + 1
    # affine_transform counts (y, x)
    swapped = np.asarray(matrix, dtype=float)[::-1, ::-1]
    offset = (np.array(array.shape) - 1) / 2 - swapped @ np.full(2, (n - 1) / 2)
    return affine_transform(
        np.asarray(array, dtype=float), swapped, offset, (n, n), order=3, mode="constant"
    )
