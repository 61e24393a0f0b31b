"""Objects much larger than the rest: found and fitted first, in a coarse image of the field.

A galaxy of a hundred pixels beside small sources is not measured through the window of a small
one, its light inflates what is measured on top of it, and it reaches over tiles that do not know
it. So the field is averaged to coarse cells; there the largest light is fitted by one profile,
what stands out of it masked, then taken off, and so on, until nothing large is left. That is
where the fit of the field begins; the rounds refine it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError
from scipy import ndimage

from galstep.core.field.frames import LightRows, band_box
from galstep.core.field.keys import content_key
from galstep.core.field.records import SourceType
from galstep.core.imaging.medians import mad_std, median
from galstep.core.scene.frame import SceneFrame, SkyTerms
from galstep.core.scene.psf_map import PsfMap
from galstep.core.scene.scene import Scene
from galstep.core.scene.solve import FitOptions, fit_scene, linear_fit
from galstep.core.scene.source import SceneSource, SourceBounds

if TYPE_CHECKING:
    from galstep.core.field.records import FieldBand
    from galstep.core.field.state import FieldState
    from galstep.core.scene.box import Box

__all__ = ["LARGE", "CoarseImage", "CoarseTask", "coarse_tile", "fit_large", "may_be_large"]

# Side of a cell (pixels), and the least r_eff (pixels) of what counts as large: the window in
# which shapes are measured otherwise ends at 25 pixels, and shows sizes up to about 16.
CELL, LARGE = 8, 20.0
# Cells with a smaller share of good pixels are not used.
_LEAST_GOOD = 0.5
# Edges of the rings (cells) in which the light about a place is looked at.
_RINGS = np.array([0.0, 1.5, 2.5, 3.5, 5, 7, 10, 14, 20, 28, 40])
# Light of a ring's median below so many of its errors is the end of an object; one whose brightest
# ring outside the first has less than the second is none.
_END, _SEEN = 3.0, 10.0
# What cells within r_eff scatter about the model at most, a share of it: a galaxy is smooth, what
# is unresolved in a crowd is not (measured: true giants 0.03 to 0.1, false ones 1.7 and more).
_ROUGHEST = 0.4
# Half the side of what a fit sees (cells), how often it masks what stands out, by how much (sigma).
_HALF, _PASSES, _CLIP = 96, 3, 4.0
# Fits that lead to nothing until the search ends.
_PATIENCE = 5


@dataclass(frozen=True, eq=False)
class CoarseTask:
    """A tile to be averaged: ``box`` in reference pixels."""

    bands: tuple
    box: Box
    cell: int = CELL

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative: which tasks to begin with."""
        return float(len(self.bands))


def coarse_tile(task: CoarseTask) -> np.ndarray:
    """Means over cells of the reference grid, whatever the grid of a band.

    Returns
    -------
    (n_bands, ny, nx) array
        Image unit per reference pixel; NaN where less than half is good.
    """
    ny, nx = (-(-side // task.cell) for side in task.box.shape)
    means = np.full((len(task.bands), ny, nx), np.nan)
    for own, band in zip(means, task.bands, strict=True):
        box = band_box(band, task.box)
        pixels = band.pixels.read(box)
        y, x = np.indices(box.shape)
        x, y = band.pixel_map.inverse().points(x + box.x0, y + box.y0)
        i = np.floor((np.asarray(x) + 0.5 - task.box.x0) / task.cell).astype(int)
        j = np.floor((np.asarray(y) + 0.5 - task.box.y0) / task.cell).astype(int)
        inside = (i >= 0) & (i < nx) & (j >= 0) & (j < ny)
        good = inside & ~np.asarray(pixels.mask, dtype=bool) & np.isfinite(pixels.data)
        place = (j * nx + i)[good]
        count = np.bincount(place, minlength=ny * nx).reshape(ny, nx)
        total = np.bincount(place, pixels.data[good], ny * nx).reshape(ny, nx)
        area = band.pixel_map.scale**2  # of a reference pixel, in the band's
        used = count > _LEAST_GOOD * task.cell**2 * area
        own[used] = total[used] / count[used] * area
    return means


def may_be_large(state: FieldState, rows: np.ndarray) -> np.ndarray:
    """Rows that the catalogue gives no shape, or a large one."""
    rows = np.asarray(rows)
    given = (state.sources.r_eff[rows] > LARGE) & (state.kind[rows] != SourceType.STAR)
    return rows[state.measured[rows] | given]


class CoarseImage:
    """The coarse field, from which the light of large objects is taken off one by one.

    Parameters
    ----------
    bands : sequence of FieldBand
    area : Box
        Of the field; the tiles begin at its corner.
    tiles, means
        Boxes whose sides are multiples of the cell, except at the end; from `coarse_tile`, or an
        exception for a tile that could not be read.
    """

    def __init__(self, bands: list[FieldBand], area: Box, tiles: list, means: list) -> None:
        self.bands, self.area = bands, area
        ny, nx = (-(-side // CELL) for side in area.shape)
        self.data = np.full((len(bands), ny, nx), np.nan)
        for tile, own in zip(tiles, means, strict=True):
            if isinstance(own, Exception):
                continue
            y, x = (tile.y0 - area.y0) // CELL, (tile.x0 - area.x0) // CELL
            self.data[:, y : y + own.shape[1], x : x + own.shape[2]] = own
        areas = np.array([band.pixel_map.scale**2 for band in bands])
        # noise of a reference pixel
        self.sigma = np.array([band.sigma for band in bands]) * np.sqrt(areas)
        for image, sigma in zip(self.data, self.sigma, strict=True):
            values = image[np.isfinite(image)]
            if values.size:
                image -= median(values[values <= median(values) + sigma / CELL])

    @property
    def white(self) -> np.ndarray:
        """(ny, nx) mean of the bands by inverse variance, in sigma of a reference pixel."""
        weight = np.isfinite(self.data) / self.sigma[:, None, None] ** 2
        number = (np.nan_to_num(self.data) * weight).sum(axis=0)
        total = np.sqrt(weight.sum(axis=0))
        return np.divide(number, total, out=np.full(total.shape, np.nan), where=total > 0)

    def cells(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places of the reference grid in cells."""
        first = 0.5 * (CELL - 1)
        return (x - self.area.x0 - first) / CELL, (y - self.area.y0 - first) / CELL

    def scene_frames(self, x: int, y: int, others: np.ndarray) -> list[SceneFrame]:
        """The part about a cell, sums over cells, the cells of other sources masked."""
        y0, x0 = max(y - _HALF, 0), max(x - _HALF, 0)
        part = np.s_[y0 : y + _HALF + 1, x0 : x + _HALF + 1]
        frames = []
        for band, image, sigma in zip(self.bands, self.data, self.sigma, strict=True):
            own = image[part] * CELL**2
            sky = SkyTerms.free(np.ones((1, *own.shape)))
            mask = ~np.isfinite(own) | others[part]
            frames.append(
                SceneFrame(
                    band.name, own, mask, (sigma * CELL) ** 2, band.variance_per_unit,
                    _cell_psf(band), sky, (x0, y0),
                )
            )  # fmt: skip
        return frames

    def take_off(self, source: SceneSource, z: np.ndarray, flux: np.ndarray) -> None:
        """Subtract a source that was fitted."""
        x, y = int(np.rint(z[0])), int(np.rint(z[1]))
        frames = self.scene_frames(x, y, np.zeros(self.data.shape[1:], dtype=bool))
        scene = Scene(frames, [source])
        state = scene.start(z[None], flux[None])
        x0, y0 = frames[0].origin
        for image, light in zip(self.data, scene.light(state, scene.render(state)), strict=True):
            image[y0 : y0 + light.shape[0], x0 : x0 + light.shape[1]] -= light / CELL**2


def _cell_psf(band):
    """The PSF of cells: wide beside the band's own, of which the width is enough."""
    middle = [0.5 * (side - 1) for side in band.pixels.shape[::-1]]
    fwhm = band.psf.at(*middle).fwhm / band.pixel_map.scale
    variance = (fwhm / 2.3548 / CELL) ** 2 + 1 / 12
    offsets = np.arange(-16, 17) / 2
    array = np.exp(-0.5 * (offsets[:, None] ** 2 + offsets**2) / variance)
    return PsfMap.single(array / array.sum(), 2)


def fit_large(
    image: CoarseImage, x: np.ndarray, y: np.ndarray, rows: np.ndarray, shift: float
) -> tuple[np.ndarray, LightRows]:
    """Fit large objects one by one, the brightest first.

    Parameters
    ----------
    image : CoarseImage
        Their light is taken off it.
    x, y : (N,) arrays
        Places of all sources, reference pixels.
    rows : int array
        Which may be large.
    shift : float
        By how much a place may move (pixels).

    Returns
    -------
    rows : int array
        Those that are.
    LightRows
        What they are, in the reference grid.
    """
    at = np.column_stack(image.cells(x, y))
    left, found, light = list(rows), [], []
    failures = 0
    while left and failures < _PATIENCE:
        white = image.white
        if not np.isfinite(white).any():
            break
        # of the sky; what large objects and crowds add to it may make it a little larger
        noise = float(np.clip(mad_std(white[np.isfinite(white)]), 1 / CELL, 2 / CELL))
        bright = np.array([_extended(white, at[row, 0], at[row, 1], noise) for row in left])
        left = [row for row, own in zip(left, bright, strict=True) if own > 0]
        if not left:
            break
        row = left.pop(int(np.argmax(bright[bright > 0])))
        fitted = _fit_one(image, at, row, shift / CELL)
        if fitted is None:
            failures += 1
            continue
        failures = 0
        source, z, flux = fitted
        image.take_off(source, z, flux)
        found.append(row)
        z = z.copy()
        z[:2] = z[:2] * CELL + 0.5 * (CELL - 1) + [image.area.x0, image.area.y0]
        z[2] += np.log(CELL)
        light.append((z, flux))
    n_bands = len(image.bands)
    z = np.array([own[0] for own in light]).reshape(-1, 6)
    flux = np.array([own[1] for own in light]).reshape(-1, n_bands)
    return np.array(found, dtype=int), LightRows(z, flux, np.zeros(len(z), dtype=bool))


def _extended(white, x, y, noise):
    """Light per pixel (sigma) next to a place that has an extended object; else 0."""
    iy, ix, half = int(np.rint(y)), int(np.rint(x)), int(_RINGS[-1])
    y0, x0 = max(iy - half, 0), max(ix - half, 0)
    part = white[y0 : iy + half + 1, x0 : ix + half + 1]
    if not part.size:
        return 0.0
    yy, xx = np.indices(part.shape)
    radius = np.hypot(xx + x0 - x, yy + y0 - y)
    ring = np.digitize(radius, _RINGS) - 1
    flux, levels = [], []
    for k in range(len(_RINGS) - 1):
        own = part[(ring == k) & np.isfinite(part)]
        level = median(own) if own.size > 2 else 0.0
        error = 1.25 * noise / np.sqrt(max(own.size, 1))
        if level < _END * error:
            break
        if k == 1 and level < _SEEN * error:
            return 0.0
        levels.append(level)
        flux.append(level * np.pi * (_RINGS[k + 1] ** 2 - _RINGS[k] ** 2))
    if len(flux) < 3:
        return 0.0
    # the median of the first ring lies far below a point in it: half the light is a lower limit
    half_light = _RINGS[1 + int(np.searchsorted(np.cumsum(flux), 0.5 * np.sum(flux)))]
    return float(levels[1]) if half_light * CELL > LARGE else 0.0


def _fit_one(image, at, row, shift):
    """Source, vector (cells) and fluxes of a large object; None if it is none."""
    x, y = at[row]
    others = np.zeros(image.data.shape[1:], dtype=bool)
    i, j = np.rint(np.delete(at, row, axis=0)).astype(int).T
    inside = (i >= 0) & (j >= 0) & (i < others.shape[1]) & (j < others.shape[0])
    inside &= np.hypot(i - x, j - y) > 1.5
    others[j[inside], i[inside]] = True
    whole = frames = image.scene_frames(int(np.rint(x)), int(np.rint(y)), others)
    shift = max(shift, 0.25)
    bounds = SourceBounds((x - shift, x + shift), (y - shift, y + shift), (0.3, _HALF))
    source = SceneSource(False, np.ones(6, dtype=bool), bounds)
    z = np.array([x, y, np.log(4.0), 0.0, 0.0, np.log(1.5)])
    flux = 100 * np.array([frame.sigma for frame in frames])
    for _ in range(_PASSES):
        scene = Scene(frames, [source])
        try:
            start = linear_fit(scene, scene.start(z[None], flux[None]))
            fit = fit_scene(start.reweighted(), FitOptions(tolerance=1.0))
        except LinAlgError:
            return None
        z, flux = fit.state.z[0], fit.state.flux[0]
        frames = [_clipped(f, fit.evaluation, b) for b, f in enumerate(frames)]
    large = np.exp(z[2]) * CELL > LARGE and "r_eff@upper" not in bounds.at_bound(z, source.free)
    large = large and np.all(flux > 0) and _roughness(fit.evaluation, whole) < _ROUGHEST
    return (source, z, flux) if large else None


def _roughness(evaluation, frames):
    """Scatter of cells within r_eff about the model, a share of it; in the smoothest band."""
    z, shares = evaluation.state.z[0], []
    light = evaluation.scene.light(evaluation.state, evaluation.stamps)
    for frame, model, sky in zip(frames, light, evaluation.state.sky, strict=True):
        x, y = frame.place(z[0], z[1])
        yy, xx = np.indices(frame.shape)
        own = frame.good & (np.hypot(xx - x, yy - y) < max(np.exp(z[2]), 3.0))
        residual = frame.data - model - frame.sky.image(sky)
        if own.sum() > 5:
            shares.append(mad_std(residual[own]) / max(median(model[own]), 1e-12))
    return min(shares, default=np.inf)


def _clipped(frame, evaluation, band):
    """A frame, what stands out of the model masked with its neighbours."""
    snr = evaluation.residuals[band] * np.sqrt(evaluation.weights[band])
    spread = max(mad_std(snr[frame.good]), 1.0) if frame.good.any() else 1.0
    bad = ndimage.binary_dilation(snr > _CLIP * spread, np.ones((3, 3), dtype=bool))
    if np.count_nonzero(frame.good & ~bad) < 0.3 * frame.good.size:
        return frame
    return SceneFrame(
        frame.name, frame.data, frame.mask | bad, frame.variance, frame.variance_per_unit,
        frame.psf_map, frame.sky, frame.origin,
    )  # fmt: skip
