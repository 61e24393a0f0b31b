"""The sky under a star field: a smooth mesh, or a level beside each star.

Both are measured on what the stars leave. The boxes of the mesh lie on a
lattice of the whole field, whatever the tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import BSpline, RectBivariateSpline

from galstep.core.imaging.medians import MAD_TO_STD
from galstep.core.imaging.rounding import dither
from galstep.core.star_field.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SkyMesh", "annulus_levels", "measure_mesh"]

# Sigma clipping of a box: 3 sigma keep 0.997 of a Gaussian; five rounds end where nothing is
# left to clip.
CLIP, N_CLIPS = 3.0, 5
# A box needs this share of good pixels to count.
LEAST_SHARE = 0.1
# From a median and the scatter about it in at most so many pixels of a box.
MAX_PER_BOX = 20_000
# Values of which so many are the median itself are steps wider than 0.6 of their scatter, as
# few photons are: neither a median nor the distances from it tell what lies between steps.
# Beyond 3 sigma of few photons are the photons themselves.
STEPPED_SHARE, STEPPED_CLIP = 0.25, 5.0


class SkyMesh:
    """A smooth sky through levels at the centres of boxes.

    Parameters
    ----------
    levels : (ny, nx) array
        Image units.
    x, y : (nx,), (ny,) arrays
        Centres of the boxes, pixels.
    """

    def __init__(self, levels: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
        self.levels, self.x, self.y = np.asarray(levels, dtype=float), x, y
        self._spline, self._degrees = None, None
        if min(self.levels.shape) > 1:
            self._degrees = [min(3, n - 1) for n in self.levels.shape]
            ky, kx = self._degrees
            self._spline = RectBivariateSpline(y, x, self.levels, kx=ky, ky=kx)

    @classmethod
    def flat(cls, level: float = 0.0) -> SkyMesh:
        """One level everywhere."""
        return cls(np.full((1, 1), level), np.zeros(1), np.zeros(1))

    def image(self, tile: Tile, out: np.ndarray | None = None) -> np.ndarray:
        """The sky on a tile, in ``out`` if given; constant beyond the outermost centres."""
        image = np.empty(tile.shape) if out is None else out
        rows, columns = np.arange(tile.y0, tile.y1), np.arange(tile.x0, tile.x1)
        if self._spline is not None:
            # the sum over products of B-splines, as matrices: on a grid the soonest done
            along_y, along_x = (
                BSpline.design_matrix(np.clip(at, own[0], own[-1]), knots, degree).toarray()
                for at, own, knots, degree in zip(
                    (rows.astype(float), columns.astype(float)),
                    (self.y, self.x),
                    self._spline.get_knots(),
                    self._degrees,
                    strict=True,
                )
            )
            coefficients = self._spline.get_coeffs().reshape(along_y.shape[1], along_x.shape[1])
            return np.matmul(along_y @ coefficients, along_x.T, out=image)
        if self.levels.size == 1:
            image[:] = self.levels.flat[0]
            return image
        # a single row or column of boxes
        along_x = self.levels.shape[0] == 1
        image[:] = self.at(columns, columns) if along_x else self.at(rows, rows)[:, None]
        return image

    def on_grids(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The sky on many small grids: (N, n) rows and columns give (N, n, n)."""
        y, x = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
        return self.at(x.ravel(), y.ravel()).reshape(x.shape)

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The level at positions: 1-D arrays."""
        if self.levels.size == 1:
            return np.full(len(x), self.levels.flat[0])
        if self._spline is None:
            along_x = self.levels.shape[0] == 1
            return np.interp(
                x if along_x else y, self.x if along_x else self.y, self.levels.ravel()
            )
        x, y = np.clip(x, self.x[0], self.x[-1]), np.clip(y, self.y[0], self.y[-1])
        return self._spline(y, x, grid=False)


def clipped_level(values: np.ndarray, step: float = 0.0) -> tuple[float, float]:
    """Median and robust scatter of values, clipped at 3 sigma; mean and scatter of steps.

    Parameters
    ----------
    values : (n,) array
    step : float, optional
        Of the numbers that the data were rounded to: smaller steps than those that are
        seen in ``values`` make their median distance one step or the next.

    Returns
    -------
    level, scatter : float
    """
    values = values[:: max(1, len(values) // MAX_PER_BOX)]
    # in order, what is kept is a slice
    ordered = np.sort(values)
    stepped = _are_steps(ordered, step)
    if not step > 0:
        return _mean_level(ordered) if stepped else _median_level(ordered)
    level, scatter = _median_level(np.sort(values + dither(values.shape, step)))
    if stepped:
        # before the stars are known they are in the mean
        return _mean_level(ordered[np.abs(ordered - level) <= STEPPED_CLIP * scatter])
    return level, float(np.sqrt(max(scatter**2 - step**2 / 12, 0.0)))


def _median_level(values):
    """Median and robust scatter of values in order, clipped at 3 sigma."""
    level = scatter = np.nan
    for _ in range(N_CLIPS):
        level = _middle(values)
        scatter = MAD_TO_STD * _middle_distance(values, level)
        low = np.searchsorted(values, level - CLIP * scatter, side="left")
        high = np.searchsorted(values, level + CLIP * scatter, side="right")
        if high - low == len(values) or not scatter > 0:
            break
        values = values[low:high]
    return level, scatter


def _are_steps(ordered, step=0.0):
    """Whether the median of values in order is many of them, but not all."""
    level = ordered[len(ordered) // 2]
    # what was taken off the data has moved their steps a little
    low = np.searchsorted(ordered, level - step / 4, side="left")
    high = np.searchsorted(ordered, level + step / 4, side="right")
    return STEPPED_SHARE * len(ordered) < high - low < len(ordered)


def _mean_level(values):
    """Mean and standard deviation, clipped at 5 sigma."""
    for _ in range(N_CLIPS):
        level, scatter = values.mean(), values.std()
        kept = values[np.abs(values - level) <= STEPPED_CLIP * scatter]
        if len(kept) == len(values) or not kept.std() > 0:
            break
        values = kept
    return float(level), float(scatter)


def _middle(ordered):
    """The median of values in order."""
    half = len(ordered) // 2
    return 0.5 * (ordered[half] + ordered[-1 - half])


def _middle_distance(ordered, level):
    """The median distance of values in order from their own median.

    The k values nearest to a level stand side by side, so the k-th smallest distance
    is the least that any k neighbours have for their larger one.
    """
    n, half = len(ordered), len(ordered) // 2

    def smallest(k):
        return np.maximum(level - ordered[: n - k + 1], ordered[k - 1 :] - level).min()

    upper = smallest(half + 1)
    return upper if n % 2 else 0.5 * (upper + smallest(half))


def measure_mesh(
    shape: tuple[int, int],
    box_size: int,
    residual_of: Callable[[Tile], tuple[np.ndarray, np.ndarray]],
    step: float = 0.0,
) -> tuple[SkyMesh, float]:
    """Levels and scatters of the boxes of a field.

    Parameters
    ----------
    shape : (ny, nx)
    box_size : int
        About the side of a box; the field is divided into equal ones.
    residual_of : callable
        ``residual_of(tile)`` gives (image, good) of any part: data without stars.
    step : float, optional
        Of the numbers that the data were rounded to.

    Returns
    -------
    mesh : SkyMesh
    scatter : float
        Median over the boxes, image units; NaN without good pixels.
    """
    counts = [max(1, round(n / box_size)) for n in shape]
    edges = [np.linspace(0, n, k + 1).astype(int) for n, k in zip(shape, counts, strict=True)]
    levels, scatters = np.full(counts, np.nan), np.full(counts, np.nan)
    for i in range(counts[0]):
        strip = Tile(0, int(edges[0][i]), shape[1], int(edges[0][i + 1]))
        image, good = residual_of(strip)
        for j in range(counts[1]):
            columns = np.s_[:, edges[1][j] : edges[1][j + 1]]
            values = image[columns][good[columns]]
            if len(values) >= max(5, LEAST_SHARE * good[columns].size):
                levels[i, j], scatters[i, j] = clipped_level(values, step)
    known = np.isfinite(levels)
    if not known.any():
        return SkyMesh.flat(), np.nan
    levels[~known] = np.median(levels[known])
    centres = [(edge[:-1] + edge[1:] - 1) / 2 for edge in edges]
    return SkyMesh(levels, centres[1], centres[0]), float(np.median(scatters[known]))


def annulus_levels(
    residual: np.ndarray,
    good: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    radii: tuple[float, float],
    step: float = 0.0,
) -> np.ndarray:
    """Median of the residual in a ring about each star; of steps, their mean.

    Parameters
    ----------
    residual : (ny, nx) array
    good : (ny, nx) bool array
    x, y : (N,) arrays
        In the pixels of ``residual``.
    radii : (inner, outer)
        Pixels.
    step : float, optional
        Of the numbers that the data were rounded to.

    Returns
    -------
    (N,) array
        NaN where a ring has no good pixel.
    """
    inner, outer = radii
    reach = int(np.ceil(outer))
    dy, dx = (v.ravel() for v in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    ring = (np.hypot(dx, dy) >= inner) & (np.hypot(dx, dy) <= outer)
    dx, dy = dx[ring], dy[ring]
    rows = np.rint(y).astype(int)[:, None] + dy
    columns = np.rint(x).astype(int)[:, None] + dx
    ny, nx = residual.shape
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    rows, columns = np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)
    values = np.where(inside & good[rows, columns], residual[rows, columns], np.nan)
    empty = np.isnan(values).all(axis=1)
    values[empty] = 0.0
    if not len(values):
        return np.zeros(0)
    levels = np.nanmedian(values, axis=1)
    ties = np.count_nonzero(np.abs(values - levels[:, None]) <= step / 4, axis=1)
    for number in np.flatnonzero(
        ties > STEPPED_SHARE * np.count_nonzero(~np.isnan(values), axis=1)
    ):
        levels[number], _ = clipped_level(values[number][~np.isnan(values[number])], step)
    return np.where(empty, np.nan, levels)
