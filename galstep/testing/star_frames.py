"""Frames of stars by the PSF's formula, for tests: no renderer of galstep's core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.wcs import WCS
    from numpy.random import Generator

__all__ = ["star_frame", "star_positions", "tan_wcs"]


def star_frame(
    shape: tuple[int, int], psf: Callable, x: np.ndarray, y: np.ndarray, flux: np.ndarray
) -> np.ndarray:
    """An image of stars without noise.

    Parameters
    ----------
    shape : (ny, nx)
    psf : callable
        ``psf(dx, dy)``: light per pixel at an offset (pixels), such as a
        `GaussianMixturePSF`. One that changes over the field has a method
        ``at(x, y)`` that gives it.
    x, y, flux : (N,) arrays
        Pixels, image unit x pixel.

    Returns
    -------
    (ny, nx) array
    """
    image = np.zeros(shape)
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
    for x_i, y_i, flux_i in zip(x, y, flux, strict=True):
        own = psf.at(x_i, y_i) if hasattr(psf, "at") else psf
        image += flux_i * own(columns - x_i, rows - y_i)
    return image


def star_positions(
    rng: Generator, count: int, shape: tuple[int, int], separation: float, border: float = 5.0
) -> np.ndarray:
    """Random places at least ``separation`` pixels apart and ``border`` from the edge.

    Returns
    -------
    x, y : (count,) arrays
    """
    ny, nx = shape
    places = np.zeros((0, 2))
    for _ in range(200 * count):
        if len(places) == count:
            break
        new = rng.uniform((border, border), (nx - 1 - border, ny - 1 - border))
        if not len(places) or np.hypot(*(places - new).T).min() >= separation:
            places = np.vstack([places, new])
    if len(places) < count:
        raise ValueError(f"{count} stars {separation} px apart do not fit into {shape}")
    return places.T


def tan_wcs(
    shape: tuple[int, int],
    scale: float = 0.031,
    centre: tuple[float, float] = (150.1, 2.2),
    rotation: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> WCS:
    """A TAN WCS about the middle of a frame.

    Parameters
    ----------
    shape : (ny, nx)
    scale : float, optional
        arcsec per pixel.
    centre : (ra, dec), optional
        Degrees.
    rotation : float, optional
        Degrees.
    shift : (dx, dy), optional
        Pixels by which the sky is moved on the frame.

    Returns
    -------
    `astropy.wcs.WCS`
    """
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = centre
    wcs.wcs.crpix = [(shape[1] + 1) / 2 + shift[0], (shape[0] + 1) / 2 + shift[1]]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    wcs.wcs.cd = scale / 3600 * np.array([[-c, s], [s, c]])
    wcs.wcs.set()
    return wcs
