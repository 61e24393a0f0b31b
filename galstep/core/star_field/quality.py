"""What is said of each star of a field: errors, quality of fit, flags, group.

Names and meaning are those of photutils' PSF photometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.neighbours import groups_of
from galstep.core.imaging.rounding import light_error
from galstep.core.star_field.boxes import boxes_are_cheaper, look_at_boxes

if TYPE_CHECKING:
    from galstep.core.psf.effective import EffectivePSF
    from galstep.core.scene.star_system import StarSystem
    from galstep.core.star_field.model import FieldModel, StarState
    from galstep.core.star_field.tiles import FieldImage

__all__ = [
    "FitQuality",
    "fit_quality",
    "group_sizes",
    "lost_in_a_step",
    "star_errors",
    "star_flags",
    "with_given_groups",
]

# Neighbours that share in a star's error; the next would change it by a per cent.
MAX_NEIGHBOURS = 8
# Stars whose matrices are inverted at a time.
BATCH = 4096


def lost_in_a_step(image: FieldImage, psf: EffectivePSF, flux: np.ndarray) -> np.ndarray:
    """1-sigma errors of stars' light from wide steps of rounded numbers.

    Where sky and wings lie within a step no pixel tells; see `galstep.core.imaging.rounding`.

    Parameters
    ----------
    image : `galstep.core.star_field.tiles.FieldImage`
    psf : `galstep.core.psf.effective.EffectivePSF`
    flux : (N,) array

    Returns
    -------
    (N,) array
        0 of an image that is not rounded.
    """
    scatter = image.sigma if image.err is None else image.typical_error()
    return light_error(psf.at_places, flux, image.step, scatter)


def group_sizes(group_id: np.ndarray) -> np.ndarray:
    """How many stars each star's group has: (N,) int array."""
    _, label, count = np.unique(group_id, return_inverse=True, return_counts=True)
    return count[label]


def with_given_groups(
    state: StarState, group_id: np.ndarray, separation: float | None
) -> np.ndarray:
    """Groups as they were given; stars that were found make groups of their own.

    Parameters
    ----------
    state : `galstep.core.star_field.model.StarState`
    group_id : (n,) int array
        Of the stars that were given, by their number.
    separation : float or None
        What links stars that were found, pixels; None: each is alone.

    Returns
    -------
    (N,) int array
    """
    found = state.number < 0
    groups = np.empty(len(state), dtype=int)
    groups[~found] = group_id[state.number[~found]]
    first = int(group_id.max(initial=0))
    linked = np.arange(1, np.count_nonzero(found) + 1)
    if separation is not None:
        linked, _ = groups_of(state.x[found], state.y[found], separation)
    groups[found] = first + linked
    return groups


def star_errors(equations: StarSystem, wanted: np.ndarray | None = None) -> np.ndarray:
    """Marginal 1-sigma errors of flux, x and y.

    The inverse of the normal matrix of each star with its eight most strongly
    coupled neighbours.

    Parameters
    ----------
    equations : `galstep.core.scene.star_system.StarSystem`
    wanted : (N,) bool array, optional
        The stars whose errors are needed.

    Returns
    -------
    (N, 3) array
        NaN where there is no information, for positions that are held, and for stars
        that are not wanted.
    """
    n_stars, blocks = len(equations.right), equations.blocks
    errors = np.full((n_stars, 3), np.nan)
    if not n_stars:
        return errors
    own = equations.diagonal
    known = own[:, 0] > 0
    neighbours = _neighbours(equations, own[:, 0], known)
    table = _BlockTable(equations, blocks, n_stars)
    counts = (neighbours >= 0).sum(axis=1)
    known = known if wanted is None else known & wanted
    for count in np.unique(counts[known]):
        stars = np.flatnonzero(known & (counts == count))
        for start in range(0, len(stars), BATCH):
            some = stars[start : start + BATCH]
            members = np.column_stack([some, neighbours[some, :count]])
            errors[some] = _marginal(table, members)
    return errors


def _neighbours(equations, own, known):
    """(N, MAX_NEIGHBOURS) indices of the strongest couplings, -1 where there are fewer."""
    n_stars = len(own)
    found = np.full((n_stars, MAX_NEIGHBOURS), -1)
    i, j = equations.first[n_stars:], equations.second[n_stars:]
    keep = known[i] & known[j]
    coupling = equations.blocks[n_stars:, 0, 0] ** 2 / np.maximum(own[i] * own[j], 1e-300)
    i, j, coupling = i[keep], j[keep], coupling[keep]
    one, two = np.concatenate([i, j]), np.concatenate([j, i])
    order = np.lexsort((two, -np.concatenate([coupling, coupling]), one))
    one, two = one[order], two[order]
    rank = np.arange(len(one)) - np.searchsorted(one, one)
    near = rank < MAX_NEIGHBOURS
    found[one[near], rank[near]] = two[near]
    return found


class _BlockTable:
    """Blocks by pair of stars; zero for pairs that do not overlap."""

    def __init__(self, equations, blocks, n_stars):
        first, second = equations.first.astype(np.int64), equations.second.astype(np.int64)
        keys = first * n_stars + second
        self.order = np.argsort(keys)
        self.keys, self.blocks, self.n_stars = keys[self.order], blocks, n_stars

    def get(self, i, j):
        """The blocks (..., 3, 3) of stars i, j, index arrays that broadcast."""
        low, high = np.minimum(i, j), np.maximum(i, j)
        key = low * self.n_stars + high
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        found = self.blocks[self.order[place]]
        turned = np.broadcast_to(i > j, key.shape)
        found[turned] = found[turned].transpose(0, 2, 1)
        found[self.keys[place] != key] = 0.0
        return found


def _marginal(table, members):
    n, m = members.shape
    blocks = table.get(members[:, :, None], members[:, None, :])
    matrix = blocks.transpose(0, 1, 3, 2, 4).reshape(n, 3 * m, 3 * m)
    diagonal = np.einsum("naa->na", matrix)
    held = ~(diagonal > 0)
    scale = 1 / np.sqrt(np.where(held, 1.0, diagonal))
    matrix *= scale[:, :, None] * scale[:, None, :]
    # two stars at one place cannot be told apart: their errors become large, not infinite
    np.einsum("naa->na", matrix)[...] += np.where(held, 1.0, 1e-9)
    inverse = np.linalg.inv(matrix)
    variance = np.einsum("naa->na", inverse)[:, :3] * scale[:, :3] ** 2
    return np.sqrt(np.where((variance > 0) & ~held[:, :3], variance, np.nan))


@dataclass(frozen=True, eq=False)
class FitQuality:
    """Arrays per star.

    ``qfit``: sum of the absolute residuals in the box over the flux; ``cfit``:
    residual at the star's pixel over the flux; ``reduced_chi2`` of the box;
    ``n_pixels_fit``: good pixels in it.
    """

    qfit: np.ndarray
    cfit: np.ndarray
    reduced_chi2: np.ndarray
    n_pixels_fit: np.ndarray

    @classmethod
    def empty(cls, n_stars: int) -> FitQuality:
        """Nothing known yet."""
        return cls(*(np.full(n_stars, np.nan) for _ in range(3)), np.zeros(n_stars, dtype=int))  # type: ignore[call-arg]


def fit_quality(model: FieldModel, state: StarState, n_free: np.ndarray) -> FitQuality:
    """Residuals in the boxes of all stars, tile by tile.

    Parameters
    ----------
    model : `galstep.core.star_field.model.FieldModel`
    state : `galstep.core.star_field.model.StarState`
    n_free : (N,) int array
        Free parameters of each star.

    Returns
    -------
    FitQuality
    """
    quality = FitQuality.empty(len(state))
    everyone = np.arange(len(state))
    wings = boxes_are_cheaper(model, state, everyone)
    if wings is not None:
        boxes = look_at_boxes(model, state, everyone, wings)
        _rate(quality, state, everyone, boxes.residual, boxes.weight, boxes.good, n_free)
        return quality
    half = model.half_size
    offsets = np.arange(-half, half + 1)
    ny, nx = model.image.shape
    for tile in model.tiles:
        x, y = np.clip(np.rint(state.x), 0, nx - 1), np.clip(np.rint(state.y), 0, ny - 1)
        own = np.flatnonzero(tile.holds(x, y))
        if not len(own):
            continue
        frame = tile.grown(half, model.image.shape)
        residual, weight, good, _ = model.look(frame, state)
        rows = np.rint(state.y[own]).astype(int)[:, None] + offsets - frame.y0
        columns = np.rint(state.x[own]).astype(int)[:, None] + offsets - frame.x0
        fy, fx = frame.shape
        in_rows, in_columns = (rows >= 0) & (rows < fy), (columns >= 0) & (columns < fx)
        inside = in_rows[:, :, None] & in_columns[:, None, :]
        at = np.clip(rows, 0, fy - 1)[:, :, None], np.clip(columns, 0, fx - 1)[:, None, :]
        _rate(quality, state, own, residual[at], weight[at], inside & good[at], n_free)
    return quality


def _rate(quality, state, own, residual, weight, use, n_free):
    """Fill in the quality of some stars from their boxes."""
    half = residual.shape[-1] // 2
    rest = np.where(use, residual - state.subtracted_level[own, None, None], 0.0)
    flux = np.where(state.flux[own] == 0, np.nan, state.flux[own])
    n_pixels = use.sum(axis=(1, 2))
    quality.qfit[own] = np.abs(rest).sum(axis=(1, 2)) / flux
    quality.cfit[own] = np.where(use[:, half, half], rest[:, half, half], np.nan) / flux
    quality.reduced_chi2[own] = (rest**2 * weight).sum(axis=(1, 2)) / np.maximum(
        n_pixels - n_free[own], 1
    )
    quality.n_pixels_fit[own] = n_pixels


def star_flags(
    state: StarState,
    errors: np.ndarray,
    quality: FitQuality,
    shape: tuple[int, int],
    half_size: int,
    still: np.ndarray,
    bounds: tuple[float, float],
) -> np.ndarray:
    """photutils' flag bits (`photutils.psf.PSF_FLAGS`).

    Parameters
    ----------
    state : StarState
    errors : (N, 3) array
    quality : FitQuality
    shape : (ny, nx)
    half_size : int
    still : (N,) bool array
        Whether the star's fit has converged.
    bounds : (float, float)
        Largest distance from the first position on x and on y, pixels.

    Returns
    -------
    (N,) int array
    """
    from photutils.psf import PSF_FLAGS

    ny, nx = shape
    flags = np.zeros(len(state), dtype=int)
    outside = (state.x < -0.5) | (state.y < -0.5) | (state.x > nx - 0.5) | (state.y > ny - 0.5)
    moved = np.abs([state.x - state.x_init, state.y - state.y_init])
    at_bound = (moved > 0.99 * np.array(bounds)[:, None]).any(axis=0)
    conditions = {
        PSF_FLAGS.N_PIXELS_FIT_PARTIAL: quality.n_pixels_fit < (2 * half_size + 1) ** 2,
        PSF_FLAGS.OUTSIDE_BOUNDS: outside,
        PSF_FLAGS.NEGATIVE_FLUX: state.flux <= 0,
        PSF_FLAGS.NO_CONVERGENCE: ~still,
        PSF_FLAGS.NO_COVARIANCE: ~np.isfinite(errors[:, 0]),
        PSF_FLAGS.NEAR_BOUND: at_bound,
        PSF_FLAGS.FULLY_MASKED: quality.n_pixels_fit == 0,
        PSF_FLAGS.NON_FINITE_LOCALBKG: ~np.isfinite(state.level) & ~np.isfinite(state.own_sky),
    }
    for bit, where in conditions.items():
        flags[where] |= bit
    return flags
