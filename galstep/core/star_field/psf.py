"""A PSF that changes over the field: a grid of effective PSFs.

Between the points of the grid the PSF is the bilinear interpolation of the four
around the star, as photutils' ``GriddedPSFModel`` has it; outside it is that of
the edge. Interpolation and rendering are linear, so a star is drawn as four
stars of the grid's own PSFs.
"""

from __future__ import annotations

import numpy as np

from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.exceptions import InputError

__all__ = ["PsfField"]


class PsfField:
    """Effective PSFs on a rectangular grid of positions.

    Make it with `single` or `from_grid`.

    Parameters
    ----------
    psfs : list of `EffectivePSF`
        Row by row: index = iy * len(x_grid) + ix. All of one shape and oversampling.
    x_grid, y_grid : (nx,), (ny,) arrays
        Positions, pixels, ascending.
    norms : (ny * nx,) array
        Sum of each PSF over native pixels: a star of flux F has F * norm in the frame.
    """

    def __init__(
        self, psfs: list[EffectivePSF], x_grid: np.ndarray, y_grid: np.ndarray, norms: np.ndarray
    ) -> None:
        self.renderers = [StarRenderer(psf) for psf in psfs]
        self.x_grid, self.y_grid = np.asarray(x_grid, float), np.asarray(y_grid, float)
        self.norms = np.asarray(norms, dtype=float)
        array = np.mean([psf.array * norm for psf, norm in zip(psfs, norms, strict=True)], axis=0)
        # the mean PSF finds stars and sizes their boxes; it fits none
        self.mean = EffectivePSF.from_array(array, psfs[0].oversample, "mean PSF")
        self.mean_renderer = StarRenderer(self.mean)
        self.half_size = self.mean_renderer.half_size
        self.matrix_half_size = self.mean_renderer.matrix_half_size

    @classmethod
    def single(cls, psf: EffectivePSF) -> PsfField:
        """One `EffectivePSF` for the whole field."""
        return cls([psf], np.zeros(1), np.zeros(1), np.ones(1))

    @classmethod
    def from_grid(cls, data: np.ndarray, positions: np.ndarray, oversample: int) -> PsfField:
        """A grid of PSFs as photutils and STPSF have them.

        Parameters
        ----------
        data : (n, ny, nx) array
            The PSFs, each summing to about ``oversample``^2.
        positions : (n, 2) array
            (x, y) of each, pixels; together a rectangular grid, in any order.
        oversample : int
            Samples per pixel.

        Raises
        ------
        InputError
            If the positions are no grid.
        """
        data, positions = np.asarray(data, dtype=float), np.asarray(positions, dtype=float)
        if data.ndim != 3 or positions.shape != (len(data), 2):
            raise InputError(
                "a PSF grid needs PSFs of shape (n, ny, nx) and n positions (x, y), "
                f"got {data.shape} and {positions.shape}"
            )
        x_grid, y_grid = np.unique(positions[:, 0]), np.unique(positions[:, 1])
        order = np.lexsort((positions[:, 0], positions[:, 1]))
        wanted = np.array([(x, y) for y in y_grid for x in x_grid])
        if len(wanted) != len(data) or not np.array_equal(positions[order], wanted):
            raise InputError(
                f"a PSF grid needs a PSF at every crossing of its {len(x_grid)} columns and "
                f"{len(y_grid)} rows, got {len(data)} PSFs"
            )
        psfs = [
            EffectivePSF.from_array(data[i], oversample, f"PSF at {tuple(positions[i])}")
            for i in order
        ]
        return cls(psfs, x_grid, y_grid, data[order].sum(axis=(1, 2)) / oversample**2)

    def weights(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The PSFs that make a star's own, and their shares.

        Parameters
        ----------
        x, y : (N,) arrays

        Returns
        -------
        index : (N, 4) int array
        weight : (N, 4) array
            Sums to 1; without the norms.
        """
        ix, fx = _bracket(self.x_grid, x)
        iy, fy = _bracket(self.y_grid, y)
        across, up = int(len(self.x_grid) > 1), len(self.x_grid) * int(len(self.y_grid) > 1)
        first = iy * len(self.x_grid) + ix
        index = np.column_stack([first, first + across, first + up, first + up + across])
        weight = np.column_stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy])
        return index, weight

    def _shares(self, x, y):
        """(PSF, stars, shares) for each PSF that has a part in any star."""
        if len(self.renderers) == 1:
            yield self.renderers[0], slice(None), np.full(len(x), self.norms[0])
            return
        index, weight = self.weights(x, y)
        star, corner = np.nonzero(weight)
        if not len(star):
            return
        index, weight = index[star, corner], weight[star, corner]
        order = np.argsort(index, kind="stable")
        used, first = np.unique(index[order], return_index=True)
        for k, own in zip(used, np.split(order, first[1:]), strict=True):
            yield self.renderers[k], star[own], weight[own] * self.norms[k]

    def render(
        self,
        shape: tuple[int, int],
        origin: tuple[int, int],
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        half_sizes: np.ndarray,
    ) -> np.ndarray:
        """An image of stars.

        Parameters
        ----------
        shape : (ny, nx)
            Of the part of the field to be drawn.
        origin : (x, y)
            Its first pixel in the field.
        x, y, flux : (N,) arrays
            Positions in the field (pixels), fluxes.
        half_sizes : (N,) int array
            Half-sizes of the boxes that the stars are drawn in.

        Returns
        -------
        (ny, nx) array
        """
        image = np.zeros(shape)
        for renderer, own, share in self._shares(x, y):
            place = x[own] - origin[0], y[own] - origin[1]
            renderer.render(shape, *place, flux[own] * share, half_sizes[own], out=image)
        return image

    def stamps(
        self,
        origin: tuple[int, int],
        x: np.ndarray,
        y: np.ndarray,
        half_size: int,
        centres: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit stars with their derivatives; see `StarRenderer.stamps`.

        The change of the PSF itself over the field is no part of the derivatives.
        ``centres``, like what is returned, counts from ``origin``.
        """
        side = 2 * int(half_size) + 1
        x_local, y_local = x - origin[0], y - origin[1]
        ix, iy = (np.rint(v).astype(np.int64) for v in (centres or (x_local, y_local)))
        stamps, everyone = np.zeros((len(x), 3, side, side)), np.arange(len(x))
        for renderer, own, share in self._shares(x, y):
            renderer.add_to_stamps(
                stamps, x_local[own], y_local[own], (ix[own], iy[own]), share, everyone[own]
            )
        return stamps, ix, iy


def _bracket(grid, values):
    """Index of the grid interval of each value, and the place in it from 0 to 1."""
    values = np.asarray(values, dtype=float)
    if len(grid) == 1:
        return np.zeros(len(values), dtype=int), np.zeros(len(values))
    index = np.clip(np.searchsorted(grid, values) - 1, 0, len(grid) - 2)
    place = (values - grid[index]) / (grid[index + 1] - grid[index])
    return index, np.clip(place, 0.0, 1.0)
