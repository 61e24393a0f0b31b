"""Positions that are given for photometry, and the stars that they make.

Every position has its row in the result. Not every one is a star of its own in
the fit: one far off the frame, or not finite, is none; and positions that
coincide are one star, since no data can share its light between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from galstep.core.fitting.forced_fit import at_bound
from galstep.exceptions import ParameterError
from galstep.flags import StarFlag
from galstep.records import ForcedStars
from galstep.units import flux_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from galstep.core.fitting.forced_fit import ForcedFit
    from galstep.records import StarList

__all__ = ["GivenPositions", "flagged", "forced_rows", "one_to_one"]

# Nearer to each other than this (FWHM) positions count as one star: the error
# of each flux would be some six times that of their sum.
DUPLICATE_FWHM = 0.1
# A star this far outside (FWHM) has no light on the frame that could be told
# from the sky.
REACH_FWHM = 3.0


@dataclass(frozen=True, eq=False)
class GivenPositions:
    """Positions, and which star of the fit each of them is.

    Parameters
    ----------
    name : tuple of str
        Ids as given, "" for none.
    x, y : (n,) arrays
        Pixels; may be NaN.
    slot : (n,) int array
        Index of the star in ``star_x``, ``star_y``; -1 for none.
    star_x, star_y : (k,) arrays
        The stars: mean position of those that coincide.
    """

    name: tuple
    x: np.ndarray
    y: np.ndarray
    slot: np.ndarray
    star_x: np.ndarray
    star_y: np.ndarray

    @classmethod
    def of(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        shape: tuple[int, int],
        fwhm: float,
        name: Sequence[Any] | None = None,
        listed: int = 0,
    ) -> GivenPositions:
        """Sort out positions.

        Parameters
        ----------
        x, y : (n,) array_like
        shape : (ny, nx)
            Of the frame.
        fwhm : float
            Of the PSF (pixels).
        name : sequence, optional
            Ids.
        listed : int, optional
            So many positions at the end are stars of another fit: each stays a
            star of its own, wherever it lies.

        Raises
        ------
        ParameterError
            If the lengths differ.
        """
        x, y = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (x, y))
        name = ("",) * len(x) if name is None else tuple(str(n) for n in name)
        if x.ndim != 1 or x.shape != y.shape or len(name) != len(x):
            raise ParameterError(
                "positions must be x and y (and ids) of one length, got "
                f"x of shape {x.shape}, y {y.shape}, {len(name)} ids"
            )
        first = len(x) - listed
        seen = _within_reach(x, y, shape, REACH_FWHM * fwhm)
        seen[first:] = np.isfinite(x[first:]) & np.isfinite(y[first:])
        loose, slot = seen & (np.arange(len(x)) < first), np.full(len(x), -1)
        slot[loose], count = _groups(x[loose], y[loose], DUPLICATE_FWHM * fwhm)
        slot[seen & ~loose] = count + np.arange(np.count_nonzero(seen & ~loose))
        members = np.bincount(slot[seen])
        star_x, star_y = (np.bincount(slot[seen], v[seen]) / members for v in (x, y))
        return cls(name, x, y, slot, star_x, star_y)

    def mapped(
        self, transform: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> GivenPositions:
        """The same positions on other pixels; ``transform(x, y)`` takes them there."""
        star_x, star_y = transform(self.star_x, self.star_y)
        x, y = transform(self.x, self.y)
        return replace(self, x=x, y=y, star_x=star_x, star_y=star_y)

    def first_of(self, values: npt.ArrayLike) -> np.ndarray:
        """Of each star the value of the first of its positions."""
        where = np.full(len(self.star_x), -1)
        own = np.flatnonzero(self.slot >= 0)[::-1]
        where[self.slot[own]] = own
        return np.asarray(values)[where]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def duplicated(self) -> np.ndarray:
        """(n,) bool: positions that share their star with another."""
        members = np.bincount(self.slot[self.slot >= 0], minlength=len(self.star_x))
        return (self.slot >= 0) & (np.append(members, 0)[self.slot] > 1)


def _within_reach(x, y, shape, reach):
    ny, nx = shape
    with np.errstate(invalid="ignore"):
        return (x > -reach) & (x < nx - 1 + reach) & (y > -reach) & (y < ny - 1 + reach)


def _groups(x, y, distance):
    """Label of each place, numbered by first appearance; places within reach share one."""
    if not len(x):
        return np.zeros(0, dtype=int), 0
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(distance, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(x),) * 2)
    count, label = connected_components(links, directed=False)
    _, first = np.unique(label, return_index=True)
    rank = np.empty(count, dtype=int)
    rank[np.argsort(first)] = np.arange(count)
    return rank[label], count


def one_to_one(
    x: np.ndarray, y: np.ndarray, other_x: np.ndarray, other_y: np.ndarray, radius: float
) -> np.ndarray:
    """Which of other places each place is, each used once, the nearest pairs first.

    Parameters
    ----------
    x, y, other_x, other_y : arrays
        Finite.
    radius : float
        Largest distance.

    Returns
    -------
    (n,) int array
        Index into the others, -1 for none.
    """
    match = np.full(len(x), -1)
    if not len(x) or not len(other_x):
        return match
    tree, others = (cKDTree(np.column_stack(p)) for p in ((x, y), (other_x, other_y)))
    near = tree.sparse_distance_matrix(others, radius, output_type="ndarray")
    taken = np.zeros(len(other_x), dtype=bool)
    for i, j, _ in near[np.lexsort((near["j"], near["i"], near["v"]))]:
        if match[i] < 0 and not taken[j]:
            match[i], taken[j] = j, True
    return match


def flagged(stars: StarList, given: GivenPositions, fit: ForcedFit, n_sigma: float) -> StarList:
    """The stars with the flags that only forced photometry sets.

    Parameters
    ----------
    stars, given, fit, n_sigma
        As for `forced_rows`.

    Returns
    -------
    `galstep.records.StarList`
        UPPER_LIMIT and AT_BOUND added.
    """
    bound = at_bound(stars.x, stars.y, given.star_x, given.star_y, fit)
    limited = np.isfinite(flux_limits(stars.flux, stars.flux_err, n_sigma))
    flags = stars.flags | np.where(bound, int(StarFlag.AT_BOUND), 0)
    return replace(stars, flags=flags | np.where(limited, int(StarFlag.UPPER_LIMIT), 0))


def forced_rows(
    given: GivenPositions, stars: StarList, fit: ForcedFit, n_sigma: float, source: str = ""
) -> ForcedStars:
    """The rows of the positions, from the stars that were fitted.

    Parameters
    ----------
    given : `GivenPositions`
    stars : `galstep.records.StarList`
        Of the ``given`` stars, in their order; from `flagged`.
    fit : `galstep.core.fitting.forced_fit.ForcedFit`
    n_sigma : float
        Of the upper limits.
    source : str, optional
        Where the positions are from, in words.

    Returns
    -------
    `galstep.records.ForcedStars`
    """
    seen, slot = given.slot >= 0, given.slot

    def of_star(values, otherwise=np.nan):
        out = np.full(len(given), otherwise, dtype=np.asarray(values).dtype)
        out[seen] = np.asarray(values)[slot[seen]]
        return out

    flags = of_star(stars.flags, int(StarFlag.OFF_FRAME | StarFlag.NO_DATA))
    flags[given.duplicated] |= int(StarFlag.DUPLICATE)
    flux, flux_err = of_star(stars.flux), of_star(stars.flux_err)
    return ForcedStars(
        name=given.name,
        star_id=of_star(stars.star_id, -1),
        x_given=given.x,
        y_given=given.y,
        x=np.where(seen, of_star(stars.x), given.x),
        y=np.where(seen, of_star(stars.y), given.y),
        flux=flux,
        x_err=of_star(stars.x_err),
        y_err=of_star(stars.y_err),
        flux_err=flux_err,
        flux_limit=flux_limits(flux, flux_err, n_sigma),
        chi2_reduced=of_star(stars.chi2_reduced),
        flags=flags,
        n_sigma=float(n_sigma),
        mode=fit.mode,
        source=source,
    )
