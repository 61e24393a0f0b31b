"""Galaxies in the place of some stars, tried on a cutout of one band.

What surrounds the place, the target and all far stars, is taken off as it was fitted. Of
the cutout two models are fitted: all stars, and free Sersic profiles with the stars that
remain. That costs milliseconds where a fit of the frame costs a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.normal import wing_half_sizes
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand

__all__ = ["LocalFit", "galaxies_for_stars"]

# The cutout reaches so many FWHM beyond the stars that are replaced.
MARGIN_FWHM = 5.0
START_R_EFF, START_N = 5.0, 1.0
ITERATIONS, STAR_ITERATIONS, TOLERANCE = 15, 4, 1.0
# After so many steps a galaxy whose chi2 is still so far above that of the stars is none:
# those that are one were below it by then, blends of stars some hundred above.
FIRST_ITERATIONS, HOPELESS = 4, 60.0


@dataclass(frozen=True, eq=False)
class LocalFit:
    """One galaxy or more that were fitted in the place of stars.

    Parameters
    ----------
    shapes : (k, 6) array
        Shape vectors in the scene's frame.
    flux : (k,) array
    snr : (k,) array
        Of each flux by itself.
    brightness : (k,) array
        Light of each one's brightest pixel (image units).
    gain : float
        By how much chi2 is lower than with the stars.
    replaced : (n,) int array
        The stars.
    chance : float
        See `galstep.core.fitting.star_clumps.Clump`.
    """

    shapes: np.ndarray
    flux: np.ndarray
    snr: np.ndarray
    brightness: np.ndarray
    gain: float
    replaced: np.ndarray
    chance: float

    def __len__(self) -> int:
        return len(self.shapes)


def galaxies_for_stars(
    band: SceneBand,
    residual: np.ndarray,
    state: SceneState,
    replaced: np.ndarray,
    places: np.ndarray,
    radius: float,
    bounds: ShapeBounds,
    chance: float = 0.0,
) -> LocalFit:
    """Fit galaxies in the place of some stars.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        In the scene's frame.
    residual : (ny, nx) array
        Data less the model of ``state``.
    state : `galstep.core.engine.scene.SceneState`
    replaced : int array
        Indices of the stars that the galaxies replace.
    places : (k, 2) array
        x and y where each starts.
    radius : float
        How far the stars reach from their places (pixels).
    bounds : `galstep.core.engine.bounds.ShapeBounds`
    chance : float, optional
        Handed on.

    Returns
    -------
    LocalFit
    """
    places = np.reshape(np.asarray(places, dtype=float), (-1, 2))
    middle = places.mean(axis=0)
    apart = np.hypot(*(places - middle).T).max()
    half = int(np.ceil(apart + radius + MARGIN_FWHM * band.fwhm_in_scene))
    cut, stars, near, corner = _cutout(band, residual, state, middle, half)
    gone = np.isin(near, replaced)
    with_stars = fit_scene([cut], stars, max_iterations=STAR_ITERATIONS, tolerance=TOLERANCE)
    start = _start(cut, stars, gone, places - corner, radius, bounds)
    how: dict[str, Any] = dict(bounds=bounds, tolerance=TOLERANCE)
    fit = fit_scene([cut], start, max_iterations=FIRST_ITERATIONS, **how)
    if fit.chi2 < with_stars.chi2 + HOPELESS:
        reuse = fit.state, fit.evaluation
        fit = fit_scene([cut], fit.state, max_iterations=ITERATIONS, reuse=reuse, **how)
    flux = fit.state.galaxy_flux[0]
    images = flux[:, None, None] * fit.evaluation.images(0)
    shapes = fit.state.shapes.copy()
    shapes[:, :2] += corner
    return LocalFit(
        shapes=shapes,
        flux=flux.copy(),
        snr=np.sign(flux) * np.sqrt((cut.weight * images**2).sum(axis=(1, 2))),
        brightness=images.max(axis=(1, 2)),
        gain=float(with_stars.chi2 - fit.chi2),
        replaced=np.asarray(replaced),
        chance=chance,
    )


def _start(cut, stars, gone, places, radius, bounds):
    """Round galaxies at these places of the cutout, which share the light of the stars gone."""
    r_eff = min(START_R_EFF, 0.4 * radius)
    shapes = np.array(
        [bounds.clip(np.array([x, y, np.log(r_eff), 0.0, 0.0, np.log(START_N)])) for x, y in places]
    )
    kept, light = stars.select_stars(~gone), stars.star_flux[0, gone].sum()
    start = SceneState.start([cut], shapes, [np.full(len(shapes), light / len(shapes))])
    return start.with_stars(kept.x, kept.y, kept.star_flux)


def _cutout(band, residual, state, place, half):
    """A band and state of the stars about a place, their indices, and the cutout's corner."""
    ny, nx = band.shape
    x, y = (int(np.rint(v)) for v in place)
    rows = slice(int(np.clip(y - half, 0, ny - 1)), int(np.clip(y + half + 1, 1, ny)))
    columns = slice(int(np.clip(x - half, 0, nx - 1)), int(np.clip(x + half + 1, 1, nx)))
    corner = np.array([columns.start, rows.start], dtype=float)
    dx, dy = state.shift[0]
    px, py = state.x + dx, state.y + dy
    inside = (
        (px > columns.start - 1) & (px < columns.stop) & (py > rows.start - 1) & (py < rows.stop)
    )
    near = np.flatnonzero(inside)
    half_sizes = wing_half_sizes(band, state.star_flux[0])[near]
    flux = state.star_flux[:, near]
    light = band.star_renderer.render(band.shape, px[near], py[near], flux[0], half_sizes)
    weight = band.weight[rows, columns]
    good = weight > 0
    cut = make_band(
        band.name,
        (residual + light)[rows, columns],
        ~good,
        band.star_renderer.psf,
        1 / np.sqrt(np.where(good, weight, 1.0)),
        sky_order=0,
    )
    none = SceneState.start([cut], np.zeros((0, 6)))
    stars = none.with_stars(px[near] - corner[0], py[near] - corner[1], flux)
    return cut, stars, near, corner + np.array([-dx, -dy])
