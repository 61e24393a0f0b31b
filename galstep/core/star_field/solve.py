"""All stars of a field moved and scaled together, the field read in tiles.

Joint Gauss-Newton steps of all fluxes and positions. Their normal matrix has a
3 x 3 block for each pair of stars whose boxes overlap; it is summed up tile by
tile and solved once for the field, so no star is fitted twice and none is torn
apart by a tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.calibration.field_stars import rendering_half_sizes
from galstep.core.imaging import _kernels
from galstep.core.imaging.stars import gram_stamps, project_stamps
from galstep.core.star_field.boxes import boxes_are_cheaper, look_at_boxes, pair_products
from galstep.core.star_field.sky import SkyMesh, annulus_levels
from galstep.core.star_field.tiles import Tile

if TYPE_CHECKING:
    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.tiles import FieldImage

__all__ = ["FieldEquations", "FieldModel", "StarState", "field_equations", "held", "solve_steps"]

# Fields of at most so many pixels are kept in memory as they are fitted.
KEPT_PIXELS = 6_000_000
# What a star leaves out of its box, in sigma of a pixel.
NEGLIGIBLE = 0.05
# Smallest share of a star's P^2 that must lie on good pixels, else it has no flux of its own.
LEAST_SEEN = 1e-3
# Keeps two stars at one place apart, as a share of the information of each flux.
RIDGE = 1e-9
# Of the conjugate gradients: what may be left, in units of the unknowns' own errors.
ACCURACY, MAX_CG_STEPS = 1e-10, 500


@dataclass(frozen=True, eq=False)
class StarState:
    """Stars while they are fitted: arrays of one length, pixels of the field.

    ``level`` is the sky beside each star above the mesh, NaN where its ring has no
    good pixel; ``trust`` how far a
    position is let move in one step (pixels); ``step_x``, ``step_y`` the last one;
    ``number`` the place of a star that was given, -1 for the others; ``own_sky`` the
    level beneath a star that was given with it (mesh included), else NaN; ``round``
    the round in which a star came, from 1: stars that are given have one of their own.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    x_init: np.ndarray
    y_init: np.ndarray
    flux_init: np.ndarray
    level: np.ndarray
    trust: np.ndarray
    number: np.ndarray
    step_x: np.ndarray
    step_y: np.ndarray
    own_sky: np.ndarray
    round: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def start(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        trust: float,
        number_of_round: int = 1,
        number: np.ndarray | None = None,
    ) -> StarState:
        """Stars where they were found."""
        x, y, flux = (np.array(v, dtype=float) for v in (x, y, flux))
        number = np.full(len(x), -1) if number is None else np.asarray(number, dtype=int)
        return cls(
            x, y, flux, x.copy(), y.copy(), flux.copy(),
            np.zeros(len(x)), np.full(len(x), float(trust)), number,
            np.zeros(len(x)), np.zeros(len(x)), np.full(len(x), np.nan),
            np.full(len(x), number_of_round),
        )  # fmt: skip

    @property
    def subtracted_level(self) -> np.ndarray:
        """``level``, 0 where there is none."""
        return np.nan_to_num(self.level)

    def select(self, keep: np.ndarray) -> StarState:
        """The stars where ``keep`` (boolean or index array) says so."""
        return replace(self, **{name: getattr(self, name)[keep] for name in vars(self)})

    def joined(self, other: StarState) -> StarState:
        """These stars followed by others."""
        return StarState(
            *(np.concatenate([getattr(self, n), getattr(other, n)]) for n in vars(self))
        )


class FieldModel:
    """The image, the PSFs and the sky: what a state is compared with.

    Parameters
    ----------
    image : `galstep.core.star_field.tiles.FieldImage`
    psfs : `galstep.core.star_field.psf.PsfField`
    tiles : list of `galstep.core.star_field.tiles.Tile`
    half_size : int
        Of the box that a star is fitted in.
    """

    def __init__(
        self, image: FieldImage, psfs: PsfField, tiles: list[Tile], half_size: int
    ) -> None:
        self.image, self.psfs, self.tiles, self.half_size = image, psfs, tiles, int(half_size)
        self.sky = SkyMesh.flat()
        ny, nx = image.shape
        self._whole = Tile(0, 0, nx, ny) if nx * ny <= KEPT_PIXELS else None
        # of a small field: data and goodness, data without sky, weight
        self._raw = self._rest = self._weight = None
        self._sky_taken = False

    @property
    def keeps_weights(self) -> bool:
        """Whether the weights of an error plane are kept from step to step."""
        return self._whole is not None and self.image.err is not None

    def changed(self, image: FieldImage | None = None, sky: SkyMesh | None = None) -> None:
        """Take another image (the same data with other noise) or sky."""
        if image is not None:
            self.image, self._weight = image, None
        if sky is not None:
            self.sky, self._sky_taken = sky, False

    def _data(self, tile):
        """Data (0 where bad) and goodness; of a small field they are kept."""
        if self._whole is None:
            return self.image.read(tile)
        if self._raw is None:
            self._raw = self.image.read(self._whole)
        return tuple(values[tile.part] for values in self._raw)

    def _read(self, tile):
        """Data without sky (0 where bad), goodness, and the weight if the stars have no part in it.

        Not to be changed: of a small field they are parts of what is kept for the next step.
        """
        if self._whole is None:
            data, good = self.image.read(tile)
            data = np.where(good, data - self.sky.image(tile), 0.0)
            return data, good, self._plain_weight(tile, good)
        data, good, weight = self._kept()
        return data[tile.part], good[tile.part], None if weight is None else weight[tile.part]

    def _plain_weight(self, tile, good):
        return None if self.image.weight_needs_model else self.image.weight(tile, good)

    def _kept(self):
        """`_read` of a whole small field, made once for each sky and each noise."""
        data, good = self._data(self._whole)
        if not self._sky_taken:
            # in the same array each time: fresh ones of this size cost more than the sum
            self._rest = self.sky.image(self._whole, out=self._rest)
            np.subtract(data, self._rest, out=self._rest)
            self._rest[~good] = 0.0
            self._sky_taken = True
        if self._weight is None:
            self._weight = self._plain_weight(self._whole, good)
        return self._rest, good, self._weight

    def gather(
        self, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """`_read` on many small grids: (N, n) rows and columns of pixels inside the field."""
        at = rows[:, :, None], columns[:, None, :]
        if self._whole is not None:
            data, good, weight = self._kept()
            return data[at], good[at], None if weight is None else weight[at]
        data, good = self.image.gather(at)
        data = np.where(good, data - self.sky.on_grids(rows, columns), 0.0)
        if self.image.weight_needs_model:
            return data, good, None
        return data, good, self.image.gathered_weight(at, good, None)

    def half_sizes(self, flux: np.ndarray) -> np.ndarray:
        """Boxes that stars are drawn in: as far as they matter beside the noise."""
        level = NEGLIGIBLE * self.image.sigma
        sizes = rendering_half_sizes(self.psfs.mean_renderer, np.abs(flux), level)
        return np.minimum(np.maximum(sizes, self.half_size), self.psfs.half_size)

    def stars_on(self, tile: Tile, state: StarState, half_size: int | None = None) -> np.ndarray:
        """The light of all stars on a part of the field; of boxes of one size if one is given."""
        half = self.half_sizes(state.flux)
        if half_size is not None:
            half = np.full(len(state), min(int(half_size), self.psfs.half_size))
        near = np.flatnonzero(_reaches(tile, state, half))
        return self.psfs.render(
            tile.shape, tile.origin, state.x[near], state.y[near], state.flux[near], half[near]
        )

    def look(
        self, tile: Tile, state: StarState
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Residual (0 where bad), weight, goodness and stars of a part of the field."""
        data, good, weight = self._read(tile)
        stars = self.stars_on(tile, state)
        residual = data - stars
        residual[~good] = 0.0
        if weight is None:
            weight = self.image.weight(tile, good, stars)
        return residual, weight, good, stars

    def without_stars(self, tile: Tile, state: StarState) -> tuple[np.ndarray, np.ndarray]:
        """Data without stars, and where it is good."""
        data, good = self._data(tile)
        if not len(state):
            return data, good
        return np.where(good, data - self.stars_on(tile, state), 0.0), good


def _reaches(tile, state, half):
    """Stars whose box has pixels in the tile."""
    ix, iy = np.rint(state.x), np.rint(state.y)
    return (
        (ix + half >= tile.x0) & (ix - half < tile.x1)
        & (iy + half >= tile.y0) & (iy - half < tile.y1)
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class FieldEquations:
    """Normal equations of all stars.

    ``right`` is (N, 3) and ``blocks`` (npairs, 3, 3) for the pairs ``first``,
    ``second``, each star with itself first; in the order flux, x, y. Positions
    are in units of pixels, derivatives those of the star as bright as it is.
    ``seen`` is the share of each star's sum of P^2 that lies on good pixels: it
    knows neither the unit of the image nor how noisy the pixels are.
    """

    right: np.ndarray
    first: np.ndarray
    second: np.ndarray
    blocks: np.ndarray
    seen: np.ndarray

    @property
    def unseen(self) -> np.ndarray:
        """Stars too much of which lies on bad pixels or off the frame: (N,) bool."""
        return ~(self.seen >= LEAST_SEEN)


def _pairs(state, reach, groups):
    """Pairs of stars whose boxes overlap, the first with the smaller index."""
    if len(state) < 2:
        return np.zeros((0, 2), dtype=int)
    xy = np.column_stack([np.rint(state.x), np.rint(state.y)])
    pairs = cKDTree(xy).query_pairs(reach + 0.5, p=np.inf, output_type="ndarray")
    pairs.sort(axis=1)
    if groups is not None:
        pairs = pairs[groups[pairs[:, 0]] == groups[pairs[:, 1]]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def field_equations(
    model: FieldModel,
    state: StarState,
    who: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    local_radii: tuple[float, float] | None = None,
) -> tuple[FieldEquations, StarState]:
    """Sum up the normal equations of stars, tile by tile.

    Parameters
    ----------
    model : FieldModel
    state : StarState
        All stars.
    who : (n,) int array, optional
        The stars that are free; the others stay as they are. Default: all.
    groups : (N,) int array, optional
        Stars of different groups are fitted beside each other's current
        estimate, not together.
    local_radii : (inner, outer), optional
        Rings of local sky; the levels are put into the state that is returned.

    Returns
    -------
    FieldEquations
        Of the stars ``who``, in that order.
    state : StarState
    """
    who = np.arange(len(state)) if who is None else np.asarray(who)
    state = _with_own_sky(model, state)
    if local_radii is None:
        wings = boxes_are_cheaper(model, state, who)
        if wings is not None:
            return _equations_of_boxes(model, state, who, groups, wings), state
    free, half = state.select(who), model.half_size
    pairs = _pairs(free, 2 * half, None if groups is None else groups[who])
    sums = _Sums(np.zeros((len(who), 3)), np.zeros((len(who), 3, 3)),
                 np.zeros((len(pairs), 3, 3)), free.level.copy(), np.zeros(len(who)))  # fmt: skip
    margin = half if local_radii is None else max(half, int(np.ceil(local_radii[1])) + 1)
    for tile in model.tiles:
        own = np.flatnonzero(_owned(tile, free, model.image.shape))
        if len(own):
            frame = tile
            if len(own) < len(state) / len(model.tiles) / 4:
                frame = _frame_of(free.select(own), tile)
            frame = frame.grown(margin, model.image.shape)
            _add_tile(model, state, free, own, pairs, frame, local_radii, sums)
    order, level = np.arange(len(who)), state.level.copy()
    level[who] = sums.level
    equations = FieldEquations(
        sums.right,
        np.concatenate([order, pairs[:, 0]]),
        np.concatenate([order, pairs[:, 1]]),
        np.concatenate([sums.own, sums.pairs]),
        sums.seen * model.psfs.mean.noise_area,
    )
    return equations, replace(state, level=level)


def _with_own_sky(model, state):
    """The state with the levels, above the mesh, that were given with stars."""
    own = np.isfinite(state.own_sky)
    if not own.any():
        return state
    level = state.level.copy()
    level[own] = state.own_sky[own] - model.sky.at(state.x_init[own], state.y_init[own])
    return replace(state, level=level)


def _equations_of_boxes(model, state, who, groups, wings):
    """The same sums, from the boxes of the stars alone."""
    boxes = look_at_boxes(model, state, who, wings)
    free = state.select(who)
    star = boxes.stamps[:, 0]
    squares = np.einsum("npq,npq->n", star * boxes.good, star)
    boxes.stamps[:, 1:] *= free.flux[:, None, None, None]
    pairs = _pairs(free, 2 * model.half_size, None if groups is None else groups[who])
    weighted = boxes.stamps * boxes.weight[:, None]
    residual = boxes.residual
    if free.subtracted_level.any():
        residual = residual - free.subtracted_level[:, None, None]
    right = np.einsum("napq,npq->na", weighted, residual)
    shape = (len(who), 3, (2 * model.half_size + 1) ** 2)
    own = weighted.reshape(shape) @ boxes.stamps.reshape(shape).transpose(0, 2, 1)
    order = np.arange(len(who))
    return FieldEquations(
        right,
        np.concatenate([order, pairs[:, 0]]),
        np.concatenate([order, pairs[:, 1]]),
        np.concatenate([own, pair_products(model, free, boxes, pairs)]),
        squares * model.psfs.mean.noise_area,
    )


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the tiles add to, in place: gradients, blocks, local sky, P^2 on good pixels."""

    right: np.ndarray
    own: np.ndarray
    pairs: np.ndarray
    level: np.ndarray
    seen: np.ndarray


def _frame_of(stars, tile):
    """The part of a tile that its stars lie in: no more is looked at."""
    ix, iy = np.rint(stars.x).astype(int), np.rint(stars.y).astype(int)
    ix, iy = np.clip(ix, tile.x0, tile.x1 - 1), np.clip(iy, tile.y0, tile.y1 - 1)
    return Tile(int(ix.min()), int(iy.min()), int(ix.max()) + 1, int(iy.max()) + 1)


def _add_tile(model, state, free, own, pairs, frame, local_radii, sums):
    """The sums of the stars ``own``, whose pixels are in one tile."""
    residual, weight, good, _ = model.look(frame, state)
    mine = np.flatnonzero(np.isin(pairs[:, 0], own))
    used = np.union1d(own, pairs[mine].ravel())
    stamps, ix, iy = model.psfs.stamps(frame.origin, free.x[used], free.y[used], model.half_size)
    stamps[:, 1:] *= free.flux[used, None, None, None]
    if local_radii is not None:
        x, y = free.x[own] - frame.x0, free.y[own] - frame.y0
        level = annulus_levels(residual, good, x, y, local_radii, model.image.step)
        sums.level[own] = np.where(np.isfinite(free.own_sky[own]), sums.level[own], level)
    at = np.searchsorted(used, own)
    own_stamps = stamps[at], ix[at], iy[at]
    sums.right[own] = project_stamps((weight * residual)[None], *own_stamps)[:, 0]
    level = np.nan_to_num(sums.level[own])
    if level.any():
        on_level = project_stamps(weight[None], *own_stamps)[:, 0]
        sums.right[own] -= level[:, None] * on_level
    sums.own[own] = gram_stamps(weight, stamps, ix, iy, at, at)
    sums.seen[own] = _squares_seen(good, *own_stamps)
    if len(mine):
        i, j = np.searchsorted(used, pairs[mine]).T
        sums.pairs[mine] = gram_stamps(weight, stamps, ix, iy, i, j)


def _squares_seen(good, stamps, ix, iy):
    """Sum of P^2 on good pixels of a frame, for each star."""
    squares = np.einsum("npq,npq->n", stamps[:, 0], stamps[:, 0])
    half, (ny, nx) = stamps.shape[-1] // 2, good.shape
    # only stars with a bad pixel, or an edge, in their box are worth a closer look
    partial = (ix < half) | (iy < half) | (ix >= nx - half) | (iy >= ny - half)
    if not good.all():
        x, y, side = ix[~partial] - half, iy[~partial] - half, 2 * half + 1
        bad = np.pad((~good).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        partial[~partial] = (
            bad[y + side, x + side] - bad[y, x + side] - bad[y + side, x] + bad[y, x]
        ) > 0
    if partial.any():
        order = np.arange(np.count_nonzero(partial))
        some = stamps[partial], ix[partial], iy[partial]
        squares[partial] = gram_stamps(good.astype(float), *some, order, order)[:, 0, 0]
    return squares


def _owned(tile, state, shape):
    """Stars that a tile takes care of; one outside the field belongs to the nearest pixel."""
    ny, nx = shape
    x, y = np.clip(np.rint(state.x), 0, nx - 1), np.clip(np.rint(state.y), 0, ny - 1)
    return tile.holds(x, y)


def held(equations: FieldEquations, which: np.ndarray) -> FieldEquations:
    """The equations with the positions of some stars held.

    Parameters
    ----------
    equations : FieldEquations
    which : (N,) bool array

    Returns
    -------
    FieldEquations
        Gradients and products of the held positions are 0.
    """
    if not which.any():
        return equations
    right, blocks = equations.right.copy(), equations.blocks.copy()
    right[which, 1:] = 0.0
    blocks[which[equations.first], 1:, :] = 0.0
    blocks[which[equations.second], :, 1:] = 0.0
    return replace(equations, right=right, blocks=blocks)


def solve_steps(equations: FieldEquations, trust: np.ndarray) -> np.ndarray:
    """The Gauss-Newton step of every star.

    Solved by conjugate gradients in units of each unknown's own error, to a
    ten-thousand-millionth of it: what a bright star leaves undone is no less for a faint one.

    Parameters
    ----------
    equations : FieldEquations
    trust : (N,) array
        A prior of this width (pixels) on the step of each position. A star that is
        not seen (`FieldEquations.unseen`) keeps the flux it has.

    Returns
    -------
    (N, 3) array
        Steps of flux, x, y.
    """
    n_stars = len(equations.right)
    if not n_stars:
        return np.zeros((0, 3))
    right, blocks = equations.right.copy(), equations.blocks.copy()
    own = np.einsum("naa->na", blocks[:n_stars])
    unseen = equations.unseen | ~(own[:, 0] > 0)
    right[unseen] = 0.0
    for side in (equations.first, equations.second):
        blocks[unseen[side]] = 0.0
    own[:, 0] = np.where(unseen, 1.0, own[:, 0] * (1 + RIDGE))
    own[:, 1:] += (1.0 / trust**2)[:, None]
    scale = 1 / np.sqrt(own)
    blocks *= scale[equations.first][:, :, None] * scale[equations.second][:, None, :]
    solution = np.empty((n_stars, 3))
    _kernels.solve_blocks(
        equations.first,
        equations.second,
        blocks,
        np.linalg.inv(blocks[:n_stars]),
        right * scale,
        solution,
        ACCURACY,
        MAX_CG_STEPS,
    )
    return solution * scale
