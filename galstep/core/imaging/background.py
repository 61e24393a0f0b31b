"""The sky as a low-order polynomial, and first estimates of level and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import sigma_clip

from galstep.core.imaging.medians import mad_std, median
from galstep.core.imaging.rounding import dither, rounding_step
from galstep.exceptions import InputError, ParameterError

if TYPE_CHECKING:
    from galstep.records import SkyModel

__all__ = ["pixel_noise", "robust_sky", "sky_basis", "sky_exponents", "sky_frame", "sky_image"]


def sky_exponents(order: int) -> list[tuple[int, int]]:
    """Powers (i, j) of the terms u^i v^j of a sky polynomial.

    Parameters
    ----------
    order : int
        Highest total degree, i + j <= ``order``; 0 is a constant, 1 a plane.

    Returns
    -------
    list of tuple
        1, u, v, u^2, uv, v^2, ...: by degree, then by falling power of u.

    Raises
    ------
    ParameterError
        If ``order`` is negative or not a whole number.
    """
    if order != int(order) or order < 0:
        raise ParameterError(f"order must be a whole number >= 0, got {order}")
    return [(degree - j, j) for degree in range(int(order) + 1) for j in range(degree + 1)]


def sky_frame(shape: tuple[int, int]) -> tuple[float, float, float]:
    """Reference point and scale of the sky's coordinates on a frame.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    x_ref, y_ref, scale : float
        The frame's centre and half its longer side (pixels). Coordinates then
        run over about [-1, 1], which keeps the terms' normal matrix well
        conditioned.
    """
    ny, nx = shape
    return (nx - 1) / 2, (ny - 1) / 2, max(ny, nx) / 2


def _terms(shape, order, x_ref, y_ref, scale):
    ny, nx = shape
    u = (np.arange(nx) - x_ref) / scale
    v = (np.arange(ny) - y_ref) / scale
    return np.array([np.outer(v**j, u**i) for i, j in sky_exponents(order)])


def sky_basis(shape: tuple[int, int], order: int) -> np.ndarray:
    """The terms of a sky polynomial as images.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    order : int
        Highest total degree.

    Returns
    -------
    ndarray, shape (nterms, ny, nx)
        In the order of `sky_exponents`, coordinates as in `sky_frame`: the
        coefficients that go with it make a `galstep.records.SkyModel`.
    """
    return _terms(shape, order, *sky_frame(shape))


def sky_image(sky: SkyModel, shape: tuple[int, int]) -> np.ndarray:
    """A sky model drawn on a frame.

    Parameters
    ----------
    sky : galstep.records.SkyModel
        Its reference point and scale are used as they stand.
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    ndarray, shape (ny, nx)
        Image units.

    Raises
    ------
    InputError
        If the number of coefficients does not fit the order.
    """
    coefficients = np.asarray(sky.coefficients, dtype=float)
    basis = _terms(shape, sky.order, sky.x_ref, sky.y_ref, sky.scale)
    if coefficients.shape != (len(basis),):
        raise InputError(
            f"sky: order {sky.order} needs {len(basis)} coefficients, got {coefficients.size}"
        )
    return np.tensordot(coefficients, basis, axes=1)


def pixel_noise(data: np.ndarray, mask: np.ndarray) -> float:
    """Noise of single pixels, from differences of neighbours.

    sigma = MAD_std(d[i+1] - d[i]) / sqrt(2) over both axes. Smooth light and
    the few pixels under stars hardly enter; noise that is correlated between
    neighbours is underestimated by sqrt(1 - rho_1). Where more than half of the
    differences are zero (a partly constant image), their rms takes the place of
    the MAD; where no two good pixels are neighbours (every other one is masked),
    the scatter of the pixels themselves. Of rounded numbers the differences are made
    continuous (`galstep.core.imaging.rounding`), and no noise is below step / sqrt(12).

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image; NaN allowed.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. Pixels that are not finite are bad in any case.

    Returns
    -------
    float
        1 sigma, image units; NaN without a good pixel.
    """
    good = np.where(mask, np.nan, data)
    rounded = rounding_step(good)
    if rounded:
        good = good + dither(good.shape, rounded)
    steps = np.concatenate([np.diff(good, axis=axis).ravel() for axis in (0, 1)])
    steps = steps[np.isfinite(steps)]
    if not steps.size:
        noise = mad_std(good[np.isfinite(good)])
    else:
        noise = (mad_std(steps) or np.sqrt(np.mean(steps**2))) / np.sqrt(2)
    if not rounded:
        return noise
    # what the dither has added goes; what the rounding has, stays
    own = rounded**2 / 12
    return float(np.sqrt(max(noise**2 - own, own)))


def robust_sky(data: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Level and scatter of the sky with sources clipped.

    Pixels further than 3 robust sigma from the median are clipped until none
    are left to clip. In crowded fields the level stays above the true sky (the
    unresolved stars) and the scatter holds them: start values, no more.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image; NaN allowed.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. Pixels that are not finite are bad in any case.

    Returns
    -------
    level, sigma : float
        Median and MAD_std of what is left, image units; NaN without good
        pixels.
    """
    values = np.asarray(data, dtype=float)[~np.asarray(mask, dtype=bool)]
    values = values[np.isfinite(values)]
    if not values.size:
        return np.nan, np.nan
    kept = sigma_clip(
        values, sigma=3, maxiters=None, cenfunc="median", stdfunc="mad_std", masked=False
    )
    return median(kept), mad_std(kept)
