"""All stars of a frame at a given PSF, moved and scaled together.

What PSF calibration needs of star photometry: many stars, quickly, with a PSF
that is still changing. Fluxes and positions take joint Gauss-Newton steps
(`galstep.core.scene.star_system`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.medians import median
from galstep.core.imaging.neighbours import distances
from galstep.core.scene.star_system import StarSystem

if TYPE_CHECKING:
    from galstep.core.imaging.stars import StarRenderer

__all__ = [
    "MAX_MOVE",
    "NEGLIGIBLE",
    "POSITION_PRIOR",
    "FieldStars",
    "box_medians",
    "refine_stars",
    "rendering_half_sizes",
]

# Pixels: how well a position is taken to be known at each step, and the
# longest step.
POSITION_PRIOR = 0.3
MAX_MOVE = 0.4
# What a star leaves out of its stamp, in sigma of a pixel.
NEGLIGIBLE = 0.2
# What the solution of a step may leave, in errors of all unknowns together: the PSF changes by
# more before the next one.
ACCURACY = 0.01


def _no_stars():
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class FieldStars:
    """Positions (pixels) and fluxes (image unit x pixel) of stars, no more."""

    x: np.ndarray = field(default_factory=_no_stars)
    y: np.ndarray = field(default_factory=_no_stars)
    flux: np.ndarray = field(default_factory=_no_stars)

    def __len__(self) -> int:
        return len(self.x)

    def select(self, keep: np.ndarray | slice) -> FieldStars:
        """The stars where ``keep`` (boolean or index array) says so."""
        return FieldStars(self.x[keep], self.y[keep], self.flux[keep])

    def replaced(self, which: np.ndarray, others: FieldStars) -> FieldStars:
        """These stars with those at ``which`` replaced by ``others``, in order."""
        arrays = []
        for own, new in ((self.x, others.x), (self.y, others.y), (self.flux, others.flux)):
            own = own.copy()
            own[which] = new
            arrays.append(own)
        return FieldStars(*arrays)

    def joined(self, other: FieldStars) -> FieldStars:
        """These stars followed by ``other``."""
        pairs = ((self.x, other.x), (self.y, other.y), (self.flux, other.flux))
        return FieldStars(*(np.concatenate(pair) for pair in pairs))

    def away_from(self, others: FieldStars, distance: float) -> FieldStars:
        """Those of these stars with none of ``others`` within ``distance``."""
        if not len(self) or not len(others):
            return self
        nearest, _ = distances(self.x, self.y, others.x, others.y)
        return self.select(nearest > distance)


def box_medians(image: np.ndarray, good: np.ndarray, size: int = 32) -> np.ndarray:
    """A smooth level: medians in boxes, joined bilinearly.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Image with all known sources removed.
    good : ndarray of bool, shape (ny, nx)
        Pixels that count.
    size : int, optional
        Side of a box, pixels. Boxes without good pixels take the median of
        the frame.

    Returns
    -------
    ndarray, shape (ny, nx)
        The level, constant beyond the centres of the outermost boxes.
    """
    shape = image.shape
    if not good.any():
        return np.zeros(shape)
    counts = [max(1, round(n / size)) for n in shape]
    edges = [np.linspace(0, n, k + 1).astype(int) for n, k in zip(shape, counts, strict=True)]
    values = np.where(good, image, np.nan)
    level = np.full(counts, np.nan)
    for i in range(counts[0]):
        for j in range(counts[1]):
            box = values[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]]
            box = box[np.isfinite(box)]
            if box.size >= size * size // 10:
                level[i, j] = median(box)
    level[np.isnan(level)] = median(image[good])
    rows, columns = (_hat_weights(n, edge) for n, edge in zip(shape, edges, strict=True))
    return rows @ level @ columns.T


def _hat_weights(n_pixels, edges):
    """Linear interpolation weights (n_pixels, n_boxes) between box centres."""
    centres = (edges[:-1] + edges[1:] - 1) / 2
    identity = np.eye(len(centres))
    pixels = np.arange(n_pixels)
    return np.column_stack([np.interp(pixels, centres, row) for row in identity])


def rendering_half_sizes(renderer: StarRenderer, flux: np.ndarray, level: float) -> np.ndarray:
    """Half-size of the stamp beyond which each star is fainter than ``level``.

    Parameters
    ----------
    renderer : galstep.core.imaging.stars.StarRenderer
        Draws the current PSF.
    flux : ndarray
        Fluxes of the stars.
    level : float
        Surface brightness that does not matter, image units.

    Returns
    -------
    ndarray of int64
        Between 4 px and the edge of the PSF.
    """
    envelope = renderer.psf.derived("peak beyond", lambda: _peak_beyond(renderer))
    reach = len(envelope) - np.searchsorted(envelope[::-1], level / np.maximum(flux, 1e-300))
    return np.clip(reach, min(4, renderer.half_size), renderer.half_size).astype(np.int64)


def _peak_beyond(renderer):
    """Largest brightness of a unit star in and beyond each square ring of pixels."""
    psf = renderer.psf
    row, column = psf.centre
    ny, nx = psf.array.shape
    distance = np.maximum(
        np.abs(np.arange(ny) - row)[:, None], np.abs(np.arange(nx) - column)[None, :]
    )
    ring = np.minimum((distance / psf.oversample).astype(int), renderer.half_size)
    peak = np.zeros(renderer.half_size + 1)
    np.maximum.at(peak, ring.ravel(), psf.array.ravel() * psf.oversample**2)
    return np.maximum.accumulate(peak[::-1])[::-1]


def refine_stars(
    image: np.ndarray,
    variance: np.ndarray,
    good: np.ndarray,
    renderer: StarRenderer,
    stars: FieldStars,
    *,
    steps: int = 1,
    move: bool = True,
    prior: float = POSITION_PRIOR,
    max_move: float = MAX_MOVE,
    model_error: float = 0.02,
) -> tuple[FieldStars, np.ndarray]:
    """Joint Gauss-Newton steps of all stars at a fixed PSF.

    The smooth level under them (`box_medians`) is that at the start. A step
    is damped as if each position were known to ``prior``,
    and gated at 0.4 px; fluxes stay at or above zero.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Stars on a nearly flat ground.
    variance : ndarray, shape (ny, nx)
        Noise variance of the pixels.
    good : ndarray of bool, shape (ny, nx)
        Pixels that count.
    renderer : galstep.core.imaging.stars.StarRenderer
        Draws the PSF.
    stars : FieldStars
        Start values.
    steps : int, optional
        Number of steps.
    move : bool, optional
        Whether positions are free; if not, the problem is linear.
    prior : float, optional
        How well the positions are known at each step, pixels. Bright stars go
        where they want to all the same, faint blends are held.
    max_move : float, optional
        Largest move in a step, pixels; never above `MAX_MOVE`.
    model_error : float, optional
        Error of the PSF model as a fraction of the stars' light, added to
        the noise in quadrature: bright cores must not dominate.

    Returns
    -------
    stars : FieldStars
        The same stars, refined.
    rest : ndarray, shape (ny, nx)
        ``image`` minus stars.
    """
    half_size = renderer.matrix_half_size
    faint = NEGLIGIBLE * np.sqrt(median(variance[good]))
    ny, nx = image.shape
    model = _render(image.shape, renderer, stars, faint)
    level = box_medians(image - model, good)
    for _ in range(steps if len(stars) else 0):
        rest = image - model - level
        weight = np.where(good, 1.0 / (variance + (model_error * model) ** 2), 0.0)
        stamps, ix, iy = renderer.stamps(stars.x, stars.y, half_size)
        stamps[:, 1:] *= stars.flux[:, None, None, None]
        system = StarSystem.of_stamps(weight, rest, stamps, ix, iy)
        step = system.held(np.full(len(stars), not move)).steps(prior, accuracy=ACCURACY)
        reach = min(max_move, MAX_MOVE)
        stars = FieldStars(
            np.clip(stars.x + np.clip(step[:, 1], -reach, reach), -3.0, nx + 2.0),
            np.clip(stars.y + np.clip(step[:, 2], -reach, reach), -3.0, ny + 2.0),
            np.maximum(stars.flux + step[:, 0], 0.0),
        )
        model = _render(image.shape, renderer, stars, faint)
    return stars, image - model


def _render(shape, renderer, stars, faint):
    sizes = rendering_half_sizes(renderer, stars.flux, faint)
    return renderer.render(shape, stars.x, stars.y, stars.flux, half_sizes=sizes)
