"""PSFs that are formulas: the models of photutils and astropy as arrays.

photutils takes such a model for the light in a pixel whose centre is where it is
evaluated: the ``PRF`` models have the pixel's integral in their formula, the ``PSF``
models are compared with pixels as they are. An effective PSF means the same, so
sampling the formula is all there is to do, and its norm is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from galstep.exceptions import InputError

__all__ = ["is_analytic_psf", "sampled_formula"]

_NAMES = {"flux": "flux_name", "x_0": "x_name", "y_0": "y_name"}
# A cubic spline through so many samples per FWHM of a Gaussian is good to 1e-5 of its peak.
SAMPLES_PER_FWHM = 10
MOST_OVERSAMPLE = 16
# The array ends where the formula has fallen to this share of its peak, or at so many
# FWHM, or pixels: an Airy disk never ends.
LEAST_BRIGHTNESS, MOST_FWHM, MOST_PIXELS = 1e-7, 25.0, 128


def is_analytic_psf(thing: Any) -> bool:
    """Whether ``thing`` is a model with flux and position and no samples of its own."""
    if not hasattr(thing, "param_names") or hasattr(thing, "oversampling"):
        return False
    return all(_parameter(thing, name) in thing.param_names for name in _NAMES)


def _parameter(model, name):
    """What a model calls a parameter: ``make_psf_model`` of photutils renames them."""
    return getattr(model, _NAMES[name], name)


def sampled_formula(model: Any, what: str) -> tuple[np.ndarray, int]:
    """The effective PSF of a formula.

    Parameters
    ----------
    model : `astropy.modeling.Model`
        See `is_analytic_psf`.
    what : str
        What messages call it.

    Returns
    -------
    (2-D array, int)
        Star in the middle, value in a pixel of a star of flux 1; samples per pixel.

    Raises
    ------
    InputError
        If it has no width.
    """
    star = _unit_star(model)
    fwhm = _fwhm(star, what)
    oversample = int(np.clip(np.ceil(SAMPLES_PER_FWHM / fwhm), 2, MOST_OVERSAMPLE))
    reach = min(MOST_FWHM * fwhm, MOST_PIXELS)
    radii = np.linspace(0, reach, 512)
    profile = np.max([star(radii * c, radii * s) for c, s in _DIRECTIONS], axis=0)
    bright = np.flatnonzero(np.abs(profile) > LEAST_BRIGHTNESS * profile[0])
    half = int(np.ceil(max(radii[min(bright[-1] + 1, 511)], 3.0) * oversample))
    v, u = np.mgrid[-half : half + 1, -half : half + 1] / oversample
    return star(u, v), oversample


_ANGLES = np.linspace(0, np.pi, 9)[:-1]
_DIRECTIONS = list(zip(np.cos(_ANGLES), np.sin(_ANGLES), strict=True))


def _unit_star(model):
    """``star(x, y)``: the light of flux 1 at the origin, plain numbers."""
    model = model.copy()
    for name, value in (("flux", 1.0), ("x_0", 0.0), ("y_0", 0.0)):
        parameter = getattr(model, _parameter(model, name))
        parameter.value = value
    model.bounding_box = None

    def star(x, y):
        found = model(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        return np.asarray(getattr(found, "value", found), dtype=float)

    return star


def _fwhm(star, what):
    """Narrowest full width at half maximum, pixels."""
    radii = np.geomspace(1e-2, 100 * MOST_PIXELS, 4000)
    peak = float(star(0.0, 0.0))
    if not np.isfinite(peak) or peak <= 0:
        raise InputError(f"{what} must have light at its centre, got {peak:g}")
    widths = []
    for c, s in _DIRECTIONS:
        below = np.flatnonzero(star(radii * c, radii * s) < peak / 2)
        widths.append(2 * radii[below[0]] if len(below) else np.inf)
    if not min(widths) < 2 * MOST_PIXELS:
        raise InputError(f"{what} must have a width of at most {2 * MOST_PIXELS} pixels")
    return min(widths)
