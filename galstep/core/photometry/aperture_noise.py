"""The noise of an aperture sum, from empty apertures of the same shape.

The residual of a fit (data - all its models) holds everything that is
not in the model: pixel noise with its correlations, stars too faint to be
found, structure of the sky. The scatter of the sum over one ellipse, laid over
every position where it fits, therefore is the error of a sum, whatever the
correlations are (empty apertures: Labbe et al. 2003, AJ 125, 1107). One
convolution gives all positions at once, so nothing is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.convolution import convolve_same
from galstep.core.photometry.apertures import overlap, scaled

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.records import Aperture

__all__ = [
    "EmptyApertures",
    "empty_apertures",
    "fitting_apertures",
    "growth_exponent",
    "noise_shared_by",
]

MIN_GOOD_SHARE = 0.8  # of an empty aperture's area
MIN_INDEPENDENT = 6.0  # else the scatter is uncertain by more than a third
SHRINKING = (1.0, 0.7, 0.5, 0.35, 0.25)


@dataclass(frozen=True)
class EmptyApertures:
    """Statistics of the residual in empty apertures.

    Parameters
    ----------
    level, level_err : float
        Mean residual of a pixel (image unit) and its error.
    scatter : float
        1 sigma of the sum over the aperture asked for (image unit x pixel).
    n_independent : float
        Number of independent apertures that fit.
    scale : float
        Semi-axes of the apertures that were laid out over those asked for.
        Below 1 the scatter is extrapolated.
    sums : (ny, nx) array
        The sum over the aperture laid out about each pixel, NaN where it is not
        used.
    """

    level: float
    level_err: float
    scatter: float
    n_independent: float
    scale: float = 1.0
    sums: np.ndarray = field(default=None, repr=False, compare=False)


def empty_apertures(
    residual: np.ndarray, mask: np.ndarray, aperture: Aperture, center_mask: float = 4.0
) -> EmptyApertures | None:
    """Level and scatter of the residual in apertures of one shape.

    Apertures whose centres lie within ``center_mask`` semi-axes of the galaxy
    are left out. If fewer than `MIN_INDEPENDENT` independent ones are left,
    the excluded zone is shrunk until an empty aperture just touches the
    galaxy's, then the empty apertures are shrunk too. From those of area s^2 A
    the scatter is extrapolated as A^beta, beta being measured between them and
    others of half their size and kept between 1/2 (white noise) and 1 (an
    error common to all pixels).

    The mean over the positions has the variance scatter^2 / n with
    n = 1 + positions / area: the integral of the overlap of two equal
    apertures over their offset is their area.

    Parameters
    ----------
    residual : ndarray, shape (ny, nx)
        NaN allowed where masked.
    mask : ndarray of bool, shape (ny, nx)
        True = bad. An aperture of which less than `MIN_GOOD_SHARE` is good is
        not used; the others are scaled to their full area.
    aperture : galstep.records.Aperture
        The galaxy's aperture.
    center_mask : float, optional
        In units of its semi-axes.

    Returns
    -------
    EmptyApertures or None
        None if not even the smallest fit often enough.
    """
    values, good = _without_gaps(residual, mask)
    distance = _distance(residual.shape, aperture)
    for scale, zone in _attempts(center_mask):
        found = _laid_out(values, good, aperture, scale, distance > zone)
        if found is not None:
            break
    else:
        return None
    if scale == 1:
        return found
    # half as large, among the same positions
    smaller = _laid_out(values, good, aperture, scale / 2, distance > zone, least=1.0)
    area = overlap(_centred(aperture, scale)).data.sum()
    growth = 1.0
    if smaller is not None:
        half_area = overlap(_centred(aperture, scale / 2)).data.sum()
        growth = growth_exponent(found.scatter, area, smaller.scatter, half_area)
    return replace(found, scatter=float(found.scatter * (1 / scale**2) ** growth))


def fitting_apertures(
    residual: np.ndarray, mask: np.ndarray, aperture: Aperture, center_mask: float = 4.0
) -> EmptyApertures | None:
    """As `empty_apertures`, but of the size asked for or none at all."""
    values, good = _without_gaps(residual, mask)
    distance = _distance(residual.shape, aperture)
    for scale, zone in _attempts(center_mask):
        if scale == 1 and (found := _laid_out(values, good, aperture, 1.0, distance > zone)):
            return found
    return None


def _without_gaps(residual, mask):
    good = ~(np.asarray(mask, dtype=bool) | ~np.isfinite(residual))
    return np.where(good, residual, 0.0), good


def _attempts(center_mask):
    """(scale, zone) in the order in which they are tried."""
    return [(1.0, center_mask)] + [(s, min(center_mask, 1.0 + s)) for s in SHRINKING]


def _laid_out(values, good, aperture, scale, allowed, least=MIN_INDEPENDENT):
    """`EmptyApertures` of one size, not extrapolated; None if fewer than ``least`` fit."""
    if 1.0 + allowed.sum() / (np.pi * aperture.a * aperture.b * scale**2) < least:
        return None  # however many of them fit
    image, area = _sum_map(values, good, _centred(aperture, scale), allowed)
    sums = image[np.isfinite(image)]
    independent = 1.0 + len(sums) / area
    if independent < least or not len(sums):
        return None
    scatter = np.std(sums) * np.sqrt(independent / (independent - 1))
    return EmptyApertures(
        level=float(sums.mean() / area),
        level_err=float(scatter / np.sqrt(independent) / area),
        scatter=float(scatter),
        n_independent=float(independent),
        scale=scale,
        sums=image,
    )


def noise_shared_by(
    first: EmptyApertures | None,
    second: EmptyApertures | None,
    to_second: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> float:
    """Correlation of the noise of two filters, from empty apertures at the same places.

    Parameters
    ----------
    first, second : EmptyApertures or None
    to_second : callable, optional
        (x, y) of the first filter's pixels to those of the second. By default
        they are the same.

    Returns
    -------
    float
        In [-1, 1]; 0 where it cannot be measured (one is None, or fewer than
        `MIN_INDEPENDENT` apertures in common).
    """
    if first is None or second is None:
        return 0.0
    y, x = np.nonzero(np.isfinite(first.sums))
    at_x, at_y = (x, y) if to_second is None else to_second(x, y)
    at_x, at_y = np.rint(at_x).astype(int), np.rint(at_y).astype(int)
    ny, nx = second.sums.shape
    inside = (at_x >= 0) & (at_x < nx) & (at_y >= 0) & (at_y < ny)
    here, there = first.sums[y[inside], x[inside]], second.sums[at_y[inside], at_x[inside]]
    common = np.isfinite(there)
    share = common.sum() / max(len(y), 1)
    if share * first.n_independent < MIN_INDEPENDENT:
        return 0.0
    here, there = here[common], there[common]
    if not (here.std() > 0 and there.std() > 0):
        return 0.0
    return float(np.corrcoef(here, there)[0, 1])


def _centred(aperture, scale):
    # centred on a pixel: laid over the frame in whole-pixel steps
    return replace(scaled(aperture, scale), x=0.0, y=0.0)


def _distance(shape, aperture):
    """Distance from the galaxy in units of the aperture's semi-axes."""
    rows, columns = np.indices(shape)
    dx, dy = columns - aperture.x, rows - aperture.y
    cos, sin = np.cos(aperture.theta), np.sin(aperture.theta)
    return np.hypot((dx * cos + dy * sin) / aperture.a, (dy * cos - dx * sin) / aperture.b)


def _sum_map(values, good, aperture, allowed):
    """Sums over the aperture at all allowed positions, NaN elsewhere; its area."""
    if not _fits(aperture, values.shape):
        return np.full(values.shape, np.nan), np.pi * aperture.a * aperture.b
    share = overlap(aperture).data
    # an ellipse about the origin is its own mirror image: no flip is needed
    total, covered = convolve_same(np.stack([values, good]), share)
    covered /= share.sum()
    fits = allowed & (covered >= MIN_GOOD_SHARE)
    return np.where(fits, total / np.maximum(covered, MIN_GOOD_SHARE), np.nan), share.sum()


def _fits(aperture, shape):
    """Whether the ellipse is smaller than the frame along both axes."""
    cos2 = np.cos(aperture.theta) ** 2
    half_x = np.sqrt(aperture.a**2 * cos2 + aperture.b**2 * (1 - cos2))
    half_y = np.sqrt(aperture.b**2 * cos2 + aperture.a**2 * (1 - cos2))
    return 2 * half_x + 2 < shape[1] and 2 * half_y + 2 < shape[0]


def growth_exponent(scatter: float, area: float, smaller: float, smaller_area: float) -> float:
    """The exponent beta of scatter ~ area^beta between two sizes.

    Parameters
    ----------
    scatter, smaller : float
        1 sigma of the sums over apertures of the two sizes.
    area, smaller_area : float

    Returns
    -------
    float
        Between 1/2 (white noise) and 1 (an error common to all pixels); 1 where it
        cannot be told.
    """
    if not (scatter > 0 and smaller > 0):
        return 1.0
    return float(np.clip(np.log(scatter / smaller) / np.log(area / smaller_area), 0.5, 1.0))
