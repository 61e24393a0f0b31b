"""What a galaxy's own structure adds to the noise of star detection.

A galaxy is not smooth to the noise: arms, knots, dust and rings depart from any model
by a share of its light, and a peak of that size is no star. Under a matched filter a
smooth light of g per pixel looks like a star of flux g A, with A the PSF's noise area
(1 / sum P^2), so a departure by the share eps has the size eps g A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.detect import PADDING, maps_on_scene

if TYPE_CHECKING:
    from galstep.core.engine.scene import SceneBand

__all__ = ["galaxy_star_flux", "structure_share"]

# Within so many r_eff, where the galaxy's light under a star is so many errors of its flux.
REACH, MIN_RATIO = 2.0, 10.0
# A share from fewer places is one of chance.
MIN_PLACES = 40
LOWER_SIGMA = 0.15865


def galaxy_star_flux(
    band: SceneBand, galaxy: np.ndarray, shift: tuple[float, float] | np.ndarray
) -> np.ndarray:
    """The flux of a star as bright as the galaxies' light under it.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    galaxy : (ny, nx) array
        Light of the galaxies, image units.
    shift : (dx, dy)
        Registration of the band.

    Returns
    -------
    (ny + 2 PADDING, nx + 2 PADDING) array
        g A on the scene's frame as the maps of `galstep.core.detection.detect` are.
    """
    light = np.pad(np.maximum(galaxy, 0.0), PADDING, mode="edge")
    flux = light * band.star_renderer.psf.noise_area
    known = np.ones_like(flux)
    # carried like a map's significance: interpolated where the pixels differ
    return maps_on_scene(band, (flux, flux, known), shift)[0]


def structure_share(
    maps: tuple[np.ndarray, np.ndarray, np.ndarray], light: np.ndarray, shapes: np.ndarray
) -> float:
    """By which share of its light a galaxy departs from its model on the scale of a star.

    Measured on the lower half of the filtered residual, which no star makes.

    Parameters
    ----------
    maps : (snr, flux, information)
        The matched filter of a band's residual, on the scene's frame.
    light : array
        From `galaxy_star_flux`.
    shapes : (ng, 6) array
        The galaxies.

    Returns
    -------
    float
        sqrt(q^2 - noise^2), with q the 16th percentile of flux over light; 0 where that
        is no more than the noise, or too few places show it.
    """
    _, flux, information = maps
    yy, xx = np.indices(flux.shape)
    near = np.zeros(flux.shape, dtype=bool)
    for shape in shapes:
        radius = np.hypot(xx - PADDING - shape[0], yy - PADDING - shape[1])
        near |= radius < REACH * np.exp(shape[2])
    snr = light * np.sqrt(information)
    near &= snr > MIN_RATIO
    if near.sum() < MIN_PLACES:
        return 0.0
    low = np.quantile(flux[near] / light[near], LOWER_SIGMA)
    noise = np.sqrt(np.median(1 / snr[near] ** 2))
    return float(np.sqrt(max(0.0, min(low, 0.0) ** 2 - noise**2)))
