"""Where the stars of a crowded frame are: peaks of a zero-sum filter, known places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from galstep.core.calibration.field_stars import FieldStars, refine_stars
from galstep.core.imaging.convolution import convolve_same

if TYPE_CHECKING:
    from galstep.core.imaging.stars import StarRenderer

__all__ = ["find_star_peaks", "forced_stars", "zero_sum_filter"]

# An offset between filters is not taken from fewer stars.
LEAST_MATCHES = 3


def zero_sum_filter(
    renderer: StarRenderer, fwhm: float, width: float = 1.0
) -> tuple[np.ndarray, float]:
    """The detection filter: the PSF minus its mean within a small disc.

    A plain matched filter collects every faint star in the wings of the PSF;
    in a crowded field its noise is that of the crowd. Taking the mean out
    within 1.1 FWHM + 1 px removes any constant light under the filter.

    Parameters
    ----------
    renderer : galstep.core.imaging.stars.StarRenderer
        Draws the current PSF.
    fwhm : float
        Its FWHM, pixels.
    width : float, optional
        The filter is the PSF drawn so many times wider.

    Returns
    -------
    kernel : ndarray, shape (2h+1, 2h+1)
        Zero outside the disc; sums to zero.
    response : float
        Filtered value at a star of unit flux.
    """
    radius = 1.1 * fwhm * width + 1.0
    h = int(np.ceil(radius))
    star = renderer.render((2 * h + 1,) * 2, np.array([h * 1.0]), np.array([h * 1.0]), np.ones(1))
    profile = star if width == 1.0 else _stretched(renderer.psf, h, width)
    yy, xx = np.ogrid[-h : h + 1, -h : h + 1]
    disc = xx * xx + yy * yy <= radius * radius
    kernel = np.where(disc, profile - profile[disc].mean(), 0.0)
    return kernel, float((kernel * star).sum())


def _stretched(psf, half_size, width):
    """A stamp of the PSF drawn ``width`` times wider."""
    offset = np.arange(-half_size, half_size + 1) * psf.oversample / width
    row, column = psf.centre
    places = np.meshgrid(row + offset, column + offset, indexing="ij")
    return map_coordinates(psf.array, places, order=3, mode="constant")


def find_star_peaks(
    image: np.ndarray,
    good: np.ndarray,
    renderer: StarRenderer,
    fwhm: float,
    threshold: float,
    width: float = 1.0,
) -> FieldStars:
    """Local maxima of the zero-sum filtered image.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        What the stars stand on already removed.
    good : ndarray of bool, shape (ny, nx)
        Pixels to search; the others count as zero in the filter.
    renderer, fwhm, width
        As for `zero_sum_filter`.
    threshold : float
        In units of the MAD of the filtered image over ``good``.

    Returns
    -------
    FieldStars
        Brightest first, positions to a fraction of a pixel (parabola through
        the three values on each axis). Fluxes are those at the nearest pixel,
        up to 15 per cent low: start values.
    """
    if not good.any():
        return FieldStars()
    flux, centre, scatter = _filtered_flux(image, good, renderer, fwhm, width)
    height = np.where(good, flux - centre, 0.0)
    peaks = (height == maximum_filter(height, 3)) & (height > threshold * scatter)
    peaks[[0, -1]] = peaks[:, [0, -1]] = False
    iy, ix = np.nonzero(peaks)
    found = FieldStars(
        ix + _parabola(height[iy, ix - 1], height[iy, ix], height[iy, ix + 1]),
        iy + _parabola(height[iy - 1, ix], height[iy, ix], height[iy + 1, ix]),
        height[iy, ix],
    )
    return found.select(np.argsort(-found.flux, kind="stable"))


def _filtered_flux(image, good, renderer, fwhm, width):
    """Flux of a star at every pixel, its median and its scatter over ``good``."""
    kernel, response = zero_sum_filter(renderer, fwhm, width)
    flux = convolve_same(np.where(good, image, 0.0), kernel[::-1, ::-1]) / response
    values = flux[good]
    centre = float(np.median(values))
    return flux, centre, 1.4826 * float(np.median(np.abs(values - centre)))


def _parabola(before, at, after):
    """Vertex of the parabola through three equidistant values, within +-0.5."""
    curvature = before - 2 * at + after
    flat = curvature >= 0
    return np.clip(0.5 * (before - after) / np.where(flat, 1.0, curvature), -0.5, 0.5) * ~flat


def forced_stars(
    image: np.ndarray,
    variance: np.ndarray,
    good: np.ndarray,
    renderer: StarRenderer,
    fwhm: float,
    positions: tuple[np.ndarray, np.ndarray],
    *,
    threshold: float = 15.0,
    width: float = 1.0,
) -> tuple[FieldStars, np.ndarray]:
    """Fluxes of stars whose positions come from another filter.

    The other filter's frame may be displaced by a fraction of a pixel: the
    offset is the median of those between the bright peaks of this filter and
    the nearest known position.

    Parameters
    ----------
    image, variance, good, renderer
        As for `refine_stars`.
    fwhm : float
        FWHM of the PSF, pixels.
    positions : (x, y)
        Known positions, pixels.
    threshold, width : float, optional
        Of the peaks that give the offset, and of the filter that finds them.

    Returns
    -------
    stars : FieldStars
        All positions, moved by the offset; flux 0 where none was found.
    rest : ndarray, shape (ny, nx)
        ``image`` minus stars.
    """
    x, y = (np.asarray(values, float) for values in positions)
    ny, nx = image.shape
    near = (x > -3) & (y > -3) & (x < nx + 2) & (y < ny + 2)
    x, y = x[near], y[near]
    if not len(x):
        return FieldStars(), image
    peaks = find_star_peaks(image, good, renderer, fwhm, threshold, width)
    dx, dy = _offset(peaks, x, y, 0.5 * fwhm)
    stars = FieldStars(x + dx, y + dy, np.zeros(len(x)))
    stars, _ = refine_stars(image, variance, good, renderer, stars, move=False)
    return refine_stars(image, variance, good, renderer, stars, move=False)


def _offset(peaks, x, y, reach):
    """Median displacement of peaks from the nearest positions within ``reach``."""
    if not len(peaks):
        return 0.0, 0.0
    distance, nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([peaks.x, peaks.y]))
    matched = distance < reach
    if matched.sum() < LEAST_MATCHES:
        return 0.0, 0.0
    nearest = nearest[matched]
    return (
        float(np.median(peaks.x[matched] - x[nearest])),
        float(np.median(peaks.y[matched] - y[nearest])),
    )
