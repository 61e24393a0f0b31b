"""Other galaxies that are seen before any star is: wide peaks beside the first fit.

A companion as near and as bright as that of a pair bends the target's profile over both as
soon as all of it is free, and then hides beneath it. Beside the robust fit of the target
alone, from which everything that stands out was left, it is plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from scipy.ndimage import gaussian_filter, maximum_filter, median_filter

from galstep.core.fitting.galaxy_first import guess_galaxy
from galstep.core.imaging.medians import mad_std, median
from galstep.records import SersicParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["wide_peaks"]

# A median over a square of two FWHM leaves little of a star's peak, below a tenth (the bright
# ones' wings), and half of that of a galaxy with an r_eff of 1.5 FWHM and more.
MEDIAN_FWHM, MIN_LEFT = 2.0, 0.35
# What is left is smoothed by a Gaussian of this sigma; a peak stands out by so many of its
# scatters, and above its surroundings of so many FWHM.
SMOOTH_FWHM, PEAK_SIGMA, APART_FWHM = 1.0, 8.0, 4.0
# Not within so many half-light radii of the target, from its curve of growth: on 36 structured
# galaxies arms and rings peak within 2.1 of them (of two beyond, 2.4 and 2.9, the fit made no
# galaxies), companions of pairs from 2.4 on.
OUTSIDE_RADII = 2.3
# Where the fit of one begins.
START_R_EFF_FWHM, START_N = 2.0, 1.0
MAX_PEAKS = 4


def wide_peaks(band: SceneBand, state: SceneState, sought: Sequence[float]) -> list[SersicParams]:
    """Where another galaxy could be, the brightest first.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        In the scene's frame.
    state : `galstep.core.engine.scene.SceneState`
        The robust fit of the target and the sky, no stars.
    sought : (x, y)
        Where the target was looked for.

    Returns
    -------
    list of `galstep.records.SersicParams`
        At most 4, round; starts for a fit, which has to decide.
    """
    profiles = [band.galaxy_renderer.image(shape) for shape in state.shapes]
    light = np.tensordot(state.galaxy_flux[0], profiles, axes=1)
    rest = band.data - light - np.tensordot(state.sky[0], band.basis, axes=1)
    fwhm = band.fwhm_in_scene
    side = 2 * int(np.ceil(0.5 * MEDIAN_FWHM * fwhm)) + 1
    rest = np.where(band.mask, 0.0, rest)
    smooth = gaussian_filter(median_filter(rest, side), SMOOTH_FWHM * fwhm)
    sharp = maximum_filter(gaussian_filter(rest, fwhm * gaussian_fwhm_to_sigma), side)
    ground = smooth[~band.mask]
    smooth = smooth - median(ground)
    around = 2 * int(np.ceil(0.5 * APART_FWHM * fwhm)) + 1
    peak = (smooth == maximum_filter(smooth, around)) & ~band.mask
    # it is no star's, and outshines the target where it stands
    peak &= (smooth > PEAK_SIGMA * mad_std(ground)) & (smooth > light) & (smooth > MIN_LEFT * sharp)
    y, x = np.nonzero(peak)
    guess = guess_galaxy(np.where(band.mask, np.nan, band.data), band.mask, sought)
    far = np.hypot(x - guess.x_0, y - guess.y_0) > OUTSIDE_RADII * guess.r_eff
    order = np.argsort(-smooth[y[far], x[far]], kind="stable")[:MAX_PEAKS]
    places = zip(x[far][order], y[far][order], strict=True)
    r_eff = START_R_EFF_FWHM * fwhm
    return [SersicParams(float(a), float(b), r_eff, START_N, 0.0, 0.0) for a, b in places]
