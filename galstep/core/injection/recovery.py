"""What became of injected sources: pulls, completeness, purity.

A pull is (measured - true) / quoted error. With honest errors and no bias its mean is
0 and its standard deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.stats import binom_conf_interval, poisson_conf_interval
from scipy.spatial import cKDTree

from galstep.core.imaging.medians import MAD_TO_STD, median
from galstep.exceptions import ParameterError
from galstep.flags import StarFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.records import SersicFit, SersicParams, StarList

__all__ = [
    "PullSummary",
    "completeness",
    "faint_star_error",
    "galaxy_pulls",
    "isolated",
    "match_stars",
    "purity",
    "rate_by_snr",
    "summarise",
    "unmatched",
]

# A star counts as found where it is measured to 0.75 mag: beyond that what was
# found is another star, or two as one (Stetson 1991, ASP Conf. 25, 297).
FLUX_FACTOR = 2.0
# A star is alone if none of half its flux lies within 1.5 FWHM, where two are one peak.
ISOLATION_FWHM = 1.5
ISOLATION_FLUX = 0.5
# Pulls beyond this are counted: of a Gaussian there is one in two million.
OUTLIER = 5.0
FAINT_SNR = 30.0
LEAST_STARS = 5
_NOT_PLAIN = (
    StarFlag.NEAR_EDGE
    | StarFlag.MASKED_PIXELS
    | StarFlag.BLENDED
    | StarFlag.IN_CORE
    | StarFlag.NO_DATA
)


@dataclass(frozen=True)
class PullSummary:
    """Statistics of a set of pulls.

    ``bias`` is the median and ``bias_err`` its standard error, 1.2533 std / sqrt(count) with the
    robust std; ``std`` is the root mean square about the mean, ``mad`` 1.4826 times
    the median absolute deviation, ``n_outliers`` the number beyond 5.
    """

    count: int
    bias: float
    bias_err: float
    std: float
    mad: float
    n_outliers: int


def summarise(pulls: Any) -> PullSummary:
    """Statistics of pulls; those that are not finite are left out.

    Parameters
    ----------
    pulls : sequence of float

    Returns
    -------
    PullSummary
        NaN where there are too few: none for the bias, one for the widths.
    """
    pulls = np.asarray(pulls, dtype=float)
    pulls = pulls[np.isfinite(pulls)]
    count, nan = len(pulls), float("nan")
    if count == 0:
        return PullSummary(0, nan, nan, nan, nan, 0)
    bias = float(np.median(pulls))
    std = float(np.std(pulls, ddof=1)) if count > 1 else nan
    mad = MAD_TO_STD * median(np.abs(pulls - bias)) if count > 1 else nan
    outliers = int((np.abs(pulls) > OUTLIER).sum())
    return PullSummary(count, bias, float(1.2533 * mad / np.sqrt(count)), std, mad, outliers)


def galaxy_pulls(fit: SersicFit, params: SersicParams, flux: float) -> dict[str, float]:
    """Pulls of one fitted galaxy, in the coordinates in which errors are Gaussian.

    Parameters
    ----------
    fit : `galstep.records.SersicFit`
    params : `galstep.records.SersicParams`
        The truth, in the same pixels.
    flux : float
        Its true flux.

    Returns
    -------
    dict of str to float
        ``flux``, ``r_eff`` and ``n`` (of the logarithms), ``ellip`` (the
        component of (e1, e2) along the true one: the modulus itself is biased
        upwards by noise), ``x``, ``y``. NaN without an error.
    """
    wrong = np.append(fit.params.to_vector() - params.to_vector(), fit.flux - flux)
    if fit.covariance is None:
        return dict.fromkeys(("flux", "r_eff", "n", "ellip", "x", "y"), float("nan"))
    covariance = np.asarray(fit.covariance, dtype=float).copy()
    # the record's own flux error may hold more than the covariance of one filter
    covariance[6, 6] = fit.flux_err**2
    along = np.zeros(7)
    e = params.to_vector()[3:5]
    along[3:5] = e / np.hypot(*e) if np.hypot(*e) > 0 else (1.0, 0.0)
    # a pinned parameter's NaN must not enter the others
    known = np.isfinite(np.diag(covariance))
    used = np.where(known[:, None] & known, covariance, 0.0)

    def pull(direction):
        if not known[direction != 0].all():
            return float("nan")
        variance = direction @ used @ direction
        return float(direction @ wrong / np.sqrt(variance)) if variance > 0 else float("nan")

    rows = dict(zip(("x", "y", "r_eff", "e1", "e2", "n", "flux"), np.eye(7), strict=True))
    rows["ellip"] = along
    return {name: pull(rows[name]) for name in ("flux", "r_eff", "n", "ellip", "x", "y")}


def match_stars(
    x: np.ndarray, y: np.ndarray, flux: np.ndarray, stars: StarList, radius: float
) -> np.ndarray:
    """Which measured star each injected one has become.

    Parameters
    ----------
    x, y, flux : (ns,) arrays
        The truth.
    stars : `galstep.records.StarList`
        Measured, in the same pixels.
    radius : float
        Largest distance (pixels).

    Returns
    -------
    (ns,) int array
        Index into ``stars``, -1 where none is near enough or its flux differs
        by more than a factor of 2. A measured star belongs to one injected star, the
        nearest.
    """
    match = np.full(len(x), -1)
    if not len(x) or not len(stars):
        return match
    distance, nearest = cKDTree(np.column_stack([stars.x, stars.y])).query(np.column_stack([x, y]))
    taken = set()
    for i in np.argsort(distance, kind="stable"):
        ratio = stars.flux[nearest[i]] / flux[i]
        same = distance[i] <= radius and 1 / FLUX_FACTOR < ratio < FLUX_FACTOR
        if same and nearest[i] not in taken:
            match[i] = nearest[i]
            taken.add(nearest[i])
    return match


def unmatched(stars: StarList, x: np.ndarray, y: np.ndarray, radius: float) -> StarList:
    """Measured stars that are none of these.

    Parameters
    ----------
    stars : `galstep.records.StarList`
    x, y : (ns,) arrays
        Where there is a star.
    radius : float
        Largest distance (pixels).

    Returns
    -------
    `galstep.records.StarList`
    """
    if not len(stars) or not len(x):
        return stars
    distance, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([stars.x, stars.y]))
    return stars.select(distance > radius)


def faint_star_error(stars: StarList, otherwise: float) -> float:
    """The error that the fit quotes for the flux of a faint star by itself.

    Parameters
    ----------
    stars : `galstep.records.StarList`
    otherwise : float
        Given back where there are fewer than five stars.

    Returns
    -------
    float
        Median over the stars below S/N 30 that are not blended, at the edge,
        under a mask or in the galaxy's core; with fewer than five of these the
        lower quartile of all, since brighter ones have larger errors.
    """
    known = stars.flux_err > 0
    plain = known & (stars.flags & int(_NOT_PLAIN) == 0)
    plain &= stars.flux < FAINT_SNR * np.where(known, stars.flux_err, 0.0)
    if plain.sum() >= LEAST_STARS:
        return float(np.median(stars.flux_err[plain]))
    if known.sum() >= LEAST_STARS:
        return float(np.quantile(stars.flux_err[known], 0.25))
    return float(otherwise)


def isolated(
    x: np.ndarray, y: np.ndarray, flux: np.ndarray, stars: StarList, fwhm: float
) -> np.ndarray:
    """Injected stars without a neighbour that matters.

    Parameters
    ----------
    x, y, flux : (ns,) arrays
    stars : `galstep.records.StarList`
        Those of the frame itself.
    fwhm : float
        Of the PSF (pixels).

    Returns
    -------
    (ns,) bool array
        False where one of them with half the flux or more is within 1.5 FWHM.
    """
    alone = np.ones(len(x), dtype=bool)
    if not len(x) or not len(stars):
        return alone
    tree = cKDTree(np.column_stack([stars.x, stars.y]))
    near = tree.query_ball_point(np.column_stack([x, y]), ISOLATION_FWHM * fwhm)
    for i, indices in enumerate(near):
        alone[i] = not np.any(stars.flux[indices] > ISOLATION_FLUX * flux[i])
    return alone


def rate_by_snr(
    snr: np.ndarray, found: np.ndarray, edges: Sequence[float]
) -> list[tuple[int, int]]:
    """Share of sources found per bin of S/N.

    Parameters
    ----------
    snr : (ns,) array
    found : (ns,) bool array
    edges : sequence of float
        Rising; a bin holds its lower edge.

    Returns
    -------
    list of (int, int)
        (found, all) per bin.

    Raises
    ------
    ParameterError
        If the edges do not rise.
    """
    if len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise ParameterError(f"edges of the S/N bins must rise, got {list(edges)}")
    bins = np.digitize(snr, edges) - 1
    return [
        (int(np.asarray(found)[bins == k].sum()), int((bins == k).sum()))
        for k in range(len(edges) - 1)
    ]


def completeness(found: int, injected: int) -> tuple[float, float, float]:
    """Share of injected stars that were found, and its 68 % interval.

    Wilson's interval (1927, J. Am. Stat. Assoc. 22, 209), which holds also where all
    or none were found.

    Parameters
    ----------
    found, injected : int

    Returns
    -------
    (float, float, float)
        Share, lower and upper end; NaN without an injected star.
    """
    if not injected:
        return (float("nan"),) * 3
    low, high = binom_conf_interval(found, injected, interval="wilson")
    return found / injected, float(low), float(high)


def purity(spurious: int, listed: int) -> tuple[float, ...]:
    """Share of listed stars that are real, and its 68 % interval.

    Parameters
    ----------
    spurious : int
        Found in a frame like this one where no star is.
    listed : int

    Returns
    -------
    (float, float, float)
        1 - spurious / listed with the interval of the Poisson number (Gehrels 1986,
        ApJ 303, 336), cut at 0 and 1; NaN without a listed star.
    """
    if not listed:
        return (float("nan"),) * 3
    few, many = poisson_conf_interval(spurious, "frequentist-confidence")
    shares = (1 - number / listed for number in (spurious, many, few))
    return tuple(float(np.clip(share, 0.0, 1.0)) for share in shares)
