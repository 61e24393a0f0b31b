"""The light of stars beyond the squares in which they are drawn.

A faint star is drawn some PSF widths wide (`galstep.core.engine.normal.wing_half_sizes`), for a
pixel farther out holds far less than the noise. All of them together hold some percent of
the stars' light, which would go to the galaxy and the sky. It is smooth, and one convolution
per band: a map of the fluxes with the PSF outside of the square. It changes so little from
step to step that a fit takes it once, at its start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["far_wings", "with_far_wings", "without_far_wings"]


def far_wings(band: SceneBand, index: int, state: SceneState, half_sizes: np.ndarray) -> np.ndarray:
    """The light of a band's stars outside of their squares, (ny, nx).

    Parameters
    ----------
    band, index : `galstep.core.engine.scene.SceneBand`, int
    state : `galstep.core.engine.scene.SceneState`
    half_sizes : (n_stars,) int array
        Of the squares, which lie about each star's nearest pixel.
    """
    reach = band.star_renderer.half_size
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    flux = state.star_flux[index]
    ny, nx = band.shape
    ix, iy = np.rint(x).astype(int) + reach, np.rint(y).astype(int) + reach
    cut = (half_sizes < reach) & (ix >= 0) & (iy >= 0)
    cut &= (ix < nx + 2 * reach) & (iy < ny + 2 * reach)
    if not cut.any():
        return np.zeros(band.shape)
    padded = tuple(next_fast_len(n + 2 * reach, real=True) for n in band.shape)
    total = 0.0
    for size in np.unique(half_sizes[cut]):
        own = cut & (half_sizes == size)
        fluxes = np.zeros((ny + 2 * reach, nx + 2 * reach))
        np.add.at(fluxes, (iy[own], ix[own]), flux[own])
        total = total + rfft2(fluxes, padded) * _outside(band, int(size), padded)
    image = irfft2(total, padded)
    return image[reach : reach + ny, reach : reach + nx]


def _outside(band, size, padded):
    """Transform of the PSF, on native pixels, outside of a square; kept with the PSF."""
    renderer = band.star_renderer
    reach = renderer.half_size

    def make():
        side, middle = 2 * reach + 1, np.array([float(reach)])
        kernel = renderer.render((side, side), middle, middle, np.ones(1), half_sizes=reach)
        inner = slice(reach - size, reach + size + 1)
        kernel[inner, inner] = 0.0
        frame = np.zeros(padded)
        frame[:side, :side] = kernel
        return rfft2(np.roll(frame, (-reach, -reach), axis=(0, 1)))

    return renderer.psf.derived(("far wings", size, padded), make)


def without_far_wings(
    bands: Sequence[SceneBand], state: SceneState, half_sizes: Sequence[np.ndarray]
) -> tuple[list[SceneBand], list[np.ndarray]]:
    """The bands with the far wings of a state's stars taken off, and these wings."""
    if not state.n_stars:
        return list(bands), [np.zeros(band.shape) for band in bands]
    wings = [far_wings(band, i, state, half_sizes[i]) for i, band in enumerate(bands)]
    cleaned = [
        band.with_data(np.where(band.mask, 0.0, band.data - own))
        for band, own in zip(bands, wings, strict=True)
    ]
    return cleaned, wings


def with_far_wings(evaluation: Evaluation, wings: Sequence[np.ndarray]) -> Evaluation:
    """An evaluation of bands without the far wings, its stars' images with them."""
    stars = tuple(own + far for own, far in zip(evaluation.stars, wings, strict=True))
    return replace(evaluation, stars=stars)
