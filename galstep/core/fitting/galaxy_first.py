"""The first galaxy fit: one band, raw image, before any star is detected.

Stars found beside a poor galaxy model take the galaxy's cusp, and the
alternation between the two cannot give it back (flux low by 4 to 15 %). So the
galaxy comes first, with the stars' pixels masked and not modelled: whatever
stands above a smooth galaxy and sky is left out, round by round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, median_filter

from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.core.imaging.background import sky_image
from galstep.core.imaging.medians import mad_std, median
from galstep.records import SersicParams, SkyModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.psf.effective import EffectivePSF

__all__ = ["GalaxyFirst", "guess_galaxy", "robust_galaxy_fit", "scale_galaxy"]

# Pixels this many robust sigmas above the model are taken for stars, per round.
FIXED_SHAPE_CLIPS = (2.5, 2.5, 2.5)
FREE_SHAPE_CLIPS = (4.0, 3.0, 3.0)
# A galaxy smaller than this is as sharp as a star: masked to this radius (FWHM), as bright a
# one as this share of it must appear beside it to be the one that was looked for.
STAR_IN_FWHM, STAR_DISC_IN_FWHM, STAR_LIGHT = 1.0, 3.0, 0.3
# A galaxy's cusp looks like a star: nothing is masked so close to the centre.
CORE_IN_FWHM = 1.5
FIRST_CORE_IN_R_EFF = 0.6


@dataclass(frozen=True, eq=False)
class GalaxyFirst:
    """The robust galaxy + plane fit.

    ``galaxy`` and ``sky`` are (ny, nx) model images, ``star_mask`` is True on
    the pixels that were left out as stars, ``flux`` is the galaxy's total, and
    ``sought`` is (x, y) where the galaxy was looked for: the fit may end elsewhere.
    """

    params: SersicParams
    flux: float
    sky_coefficients: np.ndarray
    galaxy: np.ndarray
    sky: np.ndarray
    star_mask: np.ndarray
    sought: tuple[float, float]


def _half_light_radius(image, x, y, reach):
    """Half-light radius of the curve of growth out to ``reach`` pixels."""
    yy, xx = np.indices(image.shape)
    radius = np.hypot(xx - x, yy - y)
    inside = radius < reach
    order = np.argsort(radius[inside])
    growth = np.maximum.accumulate(np.cumsum(image[inside][order]))
    if growth.size == 0 or growth[-1] <= 0:
        return reach / 4
    return float(radius[inside][order][np.searchsorted(growth, 0.5 * growth[-1])])


def guess_galaxy(
    data: np.ndarray,
    mask: np.ndarray,
    centre: Sequence[float] | None = None,
    search: float | None = None,
) -> SersicParams:
    """Start values from a median-filtered image.

    Parameters
    ----------
    data : (ny, nx) array
        The image, NaN allowed where masked.
    mask : (ny, nx) bool array
        True = bad.
    centre : (x, y), optional
        Where the galaxy is known to be; by default the brightest smooth peak
        near the middle of the frame.
    search : float, optional
        How far from ``centre`` (or the middle) the peak may lie, pixels; by
        default 8 % of the shorter side.

    Returns
    -------
    SersicParams
        Round, n = 1.5, with the centre and the half-light radius measured.
    """
    ny, nx = data.shape
    sky = median(data[~mask])
    # a 5 x 5 median removes stars whose FWHM is 2 to 3 px and keeps a galaxy
    smooth = median_filter(np.where(mask, 0.0, data - sky), 5)
    yy, xx = np.indices(data.shape)
    x, y = centre if centre is not None else ((nx - 1) / 2, (ny - 1) / 2)
    search = 0.08 * min(ny, nx) if search is None else search
    near = np.hypot(xx - x, yy - y) <= search
    peak = np.where(near, gaussian_filter(smooth, 4), -np.inf)
    y, x = (float(v) for v in np.unravel_index(np.argmax(peak), peak.shape))
    light = np.clip(smooth, 0, None)
    for _ in range(5):
        window = light * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 10.0**2))
        total = window.sum()
        if total <= 0:
            break
        x, y = float((window * xx).sum() / total), float((window * yy).sum() / total)
    reach = min(40.0, 0.3 * min(ny, nx))
    r_eff = float(np.clip(_half_light_radius(smooth, x, y, reach), 2.0, 30.0))
    return SersicParams(x, y, r_eff, 1.5, 0.0, 0.0)


def _star_mask(residual, mask, clip, shape, core):
    """Pixels standing out above the model, one pixel dilated, core spared."""
    scatter = mad_std(residual[~mask])
    stars = binary_dilation(residual > clip * scatter)
    yy, xx = np.indices(mask.shape)
    stars[np.hypot(xx - shape[0], yy - shape[1]) < core] = False
    return stars & ~mask


def _with_stars_masked(band, stars):
    return replace(band, mask=band.mask | stars, weight=np.where(stars, 0.0, band.weight))


def _residual(band, state, solution):
    """Data minus galaxy and sky on all pixels with data, stars included."""
    galaxy = state.galaxy_flux[0, 0] * solution.evaluation.images(0)[0]
    return band.data - galaxy - np.tensordot(state.sky[0], band.basis, axes=1)


def _finish(band, params, flux, sky, galaxy, stars, sought):
    """The result; ``galaxy`` is the image of unit flux."""
    model = SkyModel(tuple(sky), 1, *_sky_frame(band))
    return GalaxyFirst(
        params=params,
        flux=float(flux),
        sky_coefficients=np.asarray(sky),
        galaxy=flux * galaxy,
        sky=sky_image(model, band.shape),
        star_mask=stars,
        sought=sought,
    )


def _sky_frame(band):
    ny, nx = band.shape
    return (nx - 1) / 2, (ny - 1) / 2, max(band.shape) / 2


def _scale_rounds(band, shape, core):
    """Flux of a galaxy of known shape, and the plane: linear, with what stands out masked.

    One round per clip level; in each the sums over all pixels, less those masked.
    """
    galaxy = band.galaxy_renderer.image(shape)
    columns = np.concatenate([galaxy[None], band.basis])
    stars = np.zeros(band.mask.shape, dtype=bool)
    for clip in FIXED_SHAPE_CLIPS:
        weight = np.where(stars, 0.0, band.weight)
        weighted = (columns * weight).reshape(len(columns), -1)
        matrix = weighted @ columns.reshape(len(columns), -1).T
        right = weighted @ band.data.ravel()
        # columns differ by orders of magnitude; one without a pixel left has no say
        scale = np.sqrt(np.fmax(np.diag(matrix), np.finfo(float).tiny))
        scaled = matrix / np.outer(scale, scale)
        coefficients = np.linalg.lstsq(scaled, right / scale, rcond=None)[0] / scale
        residual = band.data - np.tensordot(coefficients, columns, axes=1)
        stars = _star_mask(residual, band.mask, clip, shape, core)
    return coefficients[0], coefficients[1:], galaxy, stars


def _fit_rounds(band, state, core, bounds, stars):
    """Fit everything but stars, mask what stands out, fit again."""
    reuse = None
    for clip in FREE_SHAPE_CLIPS:
        solution = fit_scene(
            [_with_stars_masked(band, stars)],
            state,
            Freedom(positions=False),
            bounds=bounds,
            max_iterations=12,
            tolerance=1.0,
            reuse=reuse,
        )
        state = solution.state
        reuse = state, solution.evaluation
        residual = _residual(band, state, solution)
        stars = _star_mask(residual, band.mask, clip, state.shapes[0], core)
    return state, solution, stars


def robust_galaxy_fit(
    data: np.ndarray,
    mask: np.ndarray,
    sigma: float | np.ndarray,
    psf: EffectivePSF,
    start: SersicParams | None = None,
    centre: Sequence[float] | None = None,
) -> GalaxyFirst:
    """Fit a Sersic galaxy and a plane to a raw image, stars masked.

    Parameters
    ----------
    data : (ny, nx) array
        The image, NaN allowed where masked.
    mask : (ny, nx) bool array
        True = bad.
    sigma : float or (ny, nx) array
        1-sigma noise of the pixels; only relative values matter.
    psf : `galstep.core.psf.effective.EffectivePSF`
        A good guess is enough: the core counts little here.
    start : SersicParams, optional
        By default `guess_galaxy`.
    centre : (x, y), optional
        Where that guess looks for the galaxy; by default near the middle.

    Returns
    -------
    GalaxyFirst
    """
    given = start is not None
    start = guess_galaxy(data, mask, centre) if start is None else start
    first = _fitted_from(data, mask, sigma, psf, start, centre)
    if given or first.params.r_eff > STAR_IN_FWHM * psf.fwhm:
        return first
    return _beside_a_star(first, data, mask, sigma, psf, centre)


def _fitted_from(data, mask, sigma, psf, start, centre):
    band = make_band("first", data, mask, psf, sigma)
    bounds = ShapeBounds(r_eff=(0.5, 0.5 * max(data.shape)))
    shape = bounds.clip(start.to_vector())
    flux, sky, _, stars = _scale_rounds(band, shape, FIRST_CORE_IN_R_EFF * np.exp(shape[2]))
    state = SceneState.start([band], [shape], [[flux]], [sky])
    state, solution, stars = _fit_rounds(band, state, CORE_IN_FWHM * psf.fwhm, bounds, stars)
    galaxy = solution.evaluation.images(0)[0]
    params = SersicParams.from_vector(state.shapes[0])
    sought = (start.x_0, start.y_0) if centre is None else tuple(centre)
    return _finish(band, params, state.galaxy_flux[0, 0], state.sky[0], galaxy, stars, sought)


def _beside_a_star(first, data, mask, sigma, psf, centre):
    """The galaxy from which a bright star near its middle has drawn the fit, if there is one.

    What was fitted is masked as a star, and the fit made again. In the same place it was a
    small galaxy after all, and what is left are its wings.
    """
    yy, xx = np.indices(mask.shape)
    away = np.hypot(xx - first.params.x_0, yy - first.params.y_0)
    masked = np.asarray(mask, dtype=bool) | (away < STAR_DISC_IN_FWHM * psf.fwhm)
    if masked.all():
        return first
    start = guess_galaxy(np.where(masked, np.nan, data), masked, centre)
    other = _fitted_from(data, masked, sigma, psf, start, centre)
    moved = np.hypot(other.params.x_0 - first.params.x_0, other.params.y_0 - first.params.y_0)
    elsewhere = moved > psf.fwhm and other.params.r_eff > psf.fwhm
    if not (elsewhere and other.flux > STAR_LIGHT * first.flux):
        return first
    return replace(other, star_mask=other.star_mask | (masked & ~mask), sought=first.sought)


def scale_galaxy(
    data: np.ndarray,
    mask: np.ndarray,
    sigma: float | np.ndarray,
    psf: EffectivePSF,
    params: SersicParams,
) -> GalaxyFirst:
    """Flux and plane of a galaxy whose shape and centre are known.

    Parameters and returns as `robust_galaxy_fit`, with ``params`` held.
    """
    band = make_band("scaled", data, mask, psf, sigma)
    flux, sky, galaxy, stars = _scale_rounds(band, params.to_vector(), CORE_IN_FWHM * psf.fwhm)
    sought = params.x_0, params.y_0
    return _finish(band, params, flux, sky, galaxy, stars, sought)
