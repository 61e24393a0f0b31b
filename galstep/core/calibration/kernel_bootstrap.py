"""A first guess of the kernel where no star is alone: a grid of widths.

Without anchors there is nothing to fit a kernel to, and without a kernel of
about the right width the stars are not told apart: too broad a PSF merges them.
So widths are tried one after the other on the whole frame, each with the
brightest stars that it finds, and the one that leaves the least chi2 is taken.
Not that with the largest sum of signal-to-noise: too sharp a PSF splits
stars into several, which then count several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.disc_fit import WorkingPsf
from galstep.core.calibration.field_stars import FieldStars, box_medians, refine_stars
from galstep.core.calibration.star_peaks import find_star_peaks
from galstep.core.psf.kernel_families import kernel_of_variance, with_scale_error
from galstep.records import PsfKernel

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import Frame

__all__ = ["Bootstrap", "bootstrap_kernel"]

# Variances that are tried, px^2: sigma in steps of a quarter of a pixel, then wider.
GRID = (0.0, 0.0625, 0.25, 0.5625, 1.0, 1.5625, 2.25, 4.0, 6.25)
# Trial kernels are compared on so many of the highest peaks.
BRIGHTEST = 60
THRESHOLDS = (15.0, 6.0)
# Fluxes and places together; a trial need not converge.
STEPS = 3
MIN_SNR = 15.0


@dataclass(frozen=True)
class Bootstrap:
    """The kernel of least chi2, with an error, and how many bright stars there were."""

    kernel: PsfKernel
    n_stars: int


def bootstrap_kernel(
    frame: Frame,
    family: str,
    drizzle_width: float = 1.0,
    least_stars: int = 3,
    least_gain: float = 10.0,
) -> Bootstrap | None:
    """Choose the kernel's width from a grid, by the chi2 of the brightest stars.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    family : str
        The kernel's.
    drizzle_width : float, optional
        Of the family ``drizzle``, pixels.
    least_stars : int, optional
        With fewer stars of a signal-to-noise above 15 nothing can be said.
    least_gain : float, optional
        chi2 must fall by so much from the worst width to the best one.

    Returns
    -------
    Bootstrap or None
        None if the stars do not decide. The error of the width is half the
        spacing of the grid there: blends that were not told apart count more
        than noise.
    """
    trials = [_try(frame, value) for value in GRID]
    chi2 = np.array([trial[0] for trial in trials])
    best = int(np.argmin(chi2))
    # in units of the chi2 per pixel that the best one leaves: it is not 1 in a crowd
    excess = max(1.0, chi2[best] / np.count_nonzero(frame.good))
    n_stars = trials[best][1]
    undecided = (chi2.max() - chi2[best]) / excess < least_gain
    # still better at the broadest: what was found is no star
    if n_stars < least_stars or undecided or best == len(GRID) - 1:
        return None
    value, spacing = _vertex(chi2, best)
    kernel = kernel_of_variance(family, value, drizzle_width)
    relative = 0.5 * spacing / max(value, 1e-3)
    return Bootstrap(with_scale_error(kernel, relative), n_stars)


def _try(frame, value):
    """chi2 of the frame with a kernel of this variance, and the number of bright stars."""
    working = WorkingPsf(frame.library, kernel_of_variance("gaussian", value))
    scene = (frame.image, frame.variance, frame.good, working.renderer)
    stars, rest = FieldStars(), frame.image
    for threshold in THRESHOLDS:
        found = find_star_peaks(rest, frame.good, working.renderer, working.fwhm, threshold)
        stars = stars.joined(found.away_from(stars, 0.5 * working.fwhm)).select(slice(BRIGHTEST))
        stars, rest = refine_stars(*scene, stars, steps=STEPS)
    rest = rest - box_medians(rest, frame.good)
    chi2 = float((rest[frame.good] ** 2 / frame.variance[frame.good]).sum())
    bright = stars.flux > MIN_SNR * working.flux_error(frame.noise)
    return chi2, int(np.count_nonzero(bright))


def _vertex(chi2, best):
    """The parabola's minimum through the best value and its neighbours; their spacing.

    In sigma, in which the grid is nearly even.
    """
    sigma = np.sqrt(GRID)
    middle = int(np.clip(best, 1, len(GRID) - 2))
    around = slice(middle - 1, middle + 2)
    curvature, slope, _ = np.polyfit(sigma[around] - sigma[middle], chi2[around], 2)
    place = sigma[best]
    if curvature > 0:
        place = np.clip(sigma[middle] - slope / (2 * curvature), *sigma[around][[0, 2]])
    spacing = (sigma[middle + 1] - sigma[middle - 1]) / 2
    return float(place**2), float(2 * max(place, spacing / 2) * spacing)
