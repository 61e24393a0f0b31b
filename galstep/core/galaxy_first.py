"""The first galaxy fit: one band, raw image, before any star is detected.

Stars found beside a poor galaxy model take the galaxy's cusp, and the
alternation between the two cannot give it back (flux low by 4 to 15 %). So the
galaxy comes first, with the stars' pixels masked and not modelled: whatever
stands above a smooth galaxy and sky is left out, round by round.
"""

from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import binary_dilation, gaussian_filter, median_filter

from galstep.core.background import sky_image
from galstep.core.scene import Freedom, SceneState, make_band
from galstep.core.solve import ShapeBounds, fit_scene
from galstep.records import SersicParams, SkyModel

__all__ = ["GalaxyFirst", "guess_galaxy", "robust_galaxy_fit", "scale_galaxy"]

# Pixels this many robust sigmas above the model are taken for stars, per round.
FIXED_SHAPE_CLIPS = (2.5, 2.5, 2.5)
FREE_SHAPE_CLIPS = (4.0, 3.0, 3.0)
# A galaxy's cusp looks like a star: nothing is masked so close to the centre.
CORE_IN_FWHM = 1.5
FIRST_CORE_IN_R_EFF = 0.6


@dataclass(frozen=True, eq=False)
class GalaxyFirst:
    """The robust galaxy + plane fit.

    ``galaxy`` and ``sky`` are (ny, nx) model images, ``star_mask`` is True on
    the pixels that were left out as stars, ``flux`` is the galaxy's total.
    """

    params: SersicParams
    flux: float
    sky_coefficients: np.ndarray
    galaxy: np.ndarray
    sky: np.ndarray
    star_mask: np.ndarray


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


def guess_galaxy(data, mask, centre=None, search=None):
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
    sky = np.median(data[~mask])
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
    galaxy = state.galaxy_flux[0, 0] * solution.evaluation.galaxies[0][0, 0]
    return band.data - galaxy - np.tensordot(state.sky[0], band.basis, axes=1)


def _finish(band, state, solution, stars, order):
    sky = SkyModel(tuple(state.sky[0]), order, *_sky_frame(band))
    return GalaxyFirst(
        params=SersicParams.from_vector(state.shapes[0]),
        flux=float(state.galaxy_flux[0, 0]),
        sky_coefficients=state.sky[0],
        galaxy=state.galaxy_flux[0, 0] * solution.evaluation.galaxies[0][0, 0],
        sky=sky_image(sky, band.shape),
        star_mask=stars,
    )


def _sky_frame(band):
    ny, nx = band.shape
    return (nx - 1) / 2, (ny - 1) / 2, max(band.shape) / 2


def _fit_rounds(band, state, freedom, clips, stars, core, bounds):
    """Fit, mask what stands out, fit again; one round per clip level."""
    reuse = None
    for clip in clips:
        solution = fit_scene(
            [_with_stars_masked(band, stars)],
            state,
            freedom,
            bounds=bounds,
            max_iterations=12,
            tolerance=1.0,
            reuse=reuse,
        )
        state = solution.state
        reuse = state, solution.evaluation
        shape = state.shapes[0]
        residual = _residual(band, state, solution)
        stars = _star_mask(residual, band.mask, clip, shape, core(shape))
    return state, solution, stars


def robust_galaxy_fit(data, mask, sigma, psf, start=None):
    """Fit a Sersic galaxy and a plane to a raw image, stars masked.

    Parameters
    ----------
    data : (ny, nx) array
        The image, NaN allowed where masked.
    mask : (ny, nx) bool array
        True = bad.
    sigma : float or (ny, nx) array
        1-sigma noise of the pixels; only relative values matter.
    psf : `galstep.core.psf.EffectivePSF`
        A good guess is enough: the core counts little here.
    start : SersicParams, optional
        By default `guess_galaxy`.

    Returns
    -------
    GalaxyFirst
    """
    start = guess_galaxy(data, mask) if start is None else start
    band = make_band("first", data, mask, psf, sigma)
    bounds = ShapeBounds(r_eff=(0.5, 0.5 * max(data.shape)))
    state = SceneState.start([band], [bounds.clip(start.to_vector())])
    pinned = Freedom(shape=(False,) * 6, positions=False)
    state, _, stars = _fit_rounds(
        band,
        state,
        pinned,
        FIXED_SHAPE_CLIPS,
        np.zeros(mask.shape, dtype=bool),
        lambda shape: FIRST_CORE_IN_R_EFF * np.exp(shape[2]),
        bounds,
    )
    state, solution, stars = _fit_rounds(
        band,
        state,
        Freedom(positions=False),
        FREE_SHAPE_CLIPS,
        stars,
        lambda shape: CORE_IN_FWHM * psf.fwhm,
        bounds,
    )
    return _finish(band, state, solution, stars, 1)


def scale_galaxy(data, mask, sigma, psf, params):
    """Flux and plane of a galaxy whose shape and centre are known.

    Parameters and returns as `robust_galaxy_fit`, with ``params`` held.
    """
    band = make_band("scaled", data, mask, psf, sigma)
    state = SceneState.start([band], [params.to_vector()])
    pinned = Freedom(shape=(False,) * 6, positions=False)
    state, solution, stars = _fit_rounds(
        band,
        state,
        pinned,
        FIXED_SHAPE_CLIPS,
        np.zeros(mask.shape, dtype=bool),
        lambda shape: CORE_IN_FWHM * psf.fwhm,
        ShapeBounds(),
    )
    return _finish(band, state, solution, stars, 1)
