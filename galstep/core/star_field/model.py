"""What a star field is fitted with: its stars, and the image, the PSFs and the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.field_stars import rendering_half_sizes
from galstep.core.star_field.sky import SkyMesh
from galstep.core.star_field.tiles import Tile

if TYPE_CHECKING:
    from galstep.core.star_field.psf import PsfField
    from galstep.core.star_field.tiles import FieldImage

__all__ = ["FieldModel", "StarState"]

# Fields of at most so many pixels are kept in memory as they are fitted.
KEPT_PIXELS = 6_000_000
# What a star leaves out of its box, in sigma of a pixel.
NEGLIGIBLE = 0.05


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
        # the data are 0 where bad already
        residual = data - stars if len(state) else data.copy()
        if len(state) and not good.all():
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
