"""Where the stars of a crowded frame are: peaks of a zero-sum filter, known places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

from galstep.core.calibration.field_stars import FieldStars, refine_stars
from galstep.core.imaging.matched_filter import MatchedFilter, find_peaks, zero_sum
from galstep.core.imaging.medians import mad_std, median
from galstep.core.imaging.neighbours import distances

if TYPE_CHECKING:
    from galstep.core.imaging.stars import StarRenderer

__all__ = ["find_star_peaks", "forced_stars", "zero_sum_filter"]

# An offset between filters is not taken from fewer stars.
LEAST_MATCHES = 3


def zero_sum_filter(
    renderer: StarRenderer, fwhm: float, width: float = 1.0
) -> tuple[np.ndarray, float]:
    """The detection filter: the PSF minus its mean within a small disc.

    See `galstep.core.imaging.matched_filter.zero_sum`; the disc has 1.1 FWHM + 1 px.

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
    kernel = zero_sum(profile, radius)
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
    _, _, height, y, x = find_peaks(height, threshold * scatter, edge=False)
    found = FieldStars(x, y, height)
    return found.select(np.argsort(-found.flux, kind="stable"))


def _filtered_flux(image, good, renderer, fwhm, width):
    """Flux of a star at every pixel, its median and its scatter over ``good``."""
    kernel, response = zero_sum_filter(renderer, fwhm, width)
    flux = MatchedFilter(kernel).correlate(np.where(good, image, 0.0)) / response
    return flux, median(flux[good]), mad_std(flux[good])


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
    distance, nearest = distances(peaks.x, peaks.y, x, y)
    matched = distance < reach
    if matched.sum() < LEAST_MATCHES:
        return 0.0, 0.0
    nearest = nearest[matched]
    return (
        float(np.median(peaks.x[matched] - x[nearest])),
        float(np.median(peaks.y[matched] - y[nearest])),
    )
