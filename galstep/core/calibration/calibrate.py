"""The PSF of one filter, calibrated on the stars in its frame.

The library PSF is convolved with a kernel of few parameters until the bright
isolated stars fit. Detection and kernel depend on each other, so a few loops
run: stars are found with the current PSF, anchors chosen, kernel, stars and
disc constants fitted together (`galstep.core.calibration.kernel_fit`). The start is broad:
a PSF that is too sharp splits every star into several that fit it without any
blur, and the loop would stay there; one that is too broad only merges pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import binary_dilation

from galstep.core.calibration.anchors import choose_anchors
from galstep.core.calibration.disc_fit import DiscFit, Frame, WorkingPsf, fit_discs
from galstep.core.calibration.field_stars import POSITION_PRIOR, FieldStars
from galstep.core.calibration.kernel_bootstrap import bootstrap_kernel
from galstep.core.calibration.kernel_stars import StarSearch
from galstep.core.calibration.kernel_verdict import (
    guessed_kernel,
    judge_kernel,
    unmeasured_kernel,
    variance_error,
)
from galstep.core.calibration.library_width import library_width
from galstep.core.calibration.options import CalibrationOptions
from galstep.core.calibration.psf_correction import corrected_kernel
from galstep.core.imaging.background import pixel_noise
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import (
    FWHM_OF_SIGMA,
    kernel_of_variance,
    scaled_kernel,
    variance,
)
from galstep.exceptions import InputError
from galstep.flags import BandFlag
from galstep.records import PsfKernel

if TYPE_CHECKING:
    from galstep.records import SersicParams

__all__ = ["CalibrationResult", "calibrate_psf", "galaxy_core"]

# Positions taken from another filter are better known than a blend's own.
FORCED_POSITION_PRIOR = 0.02
# The quantile of galaxy and sky that is sky; and the share of the frame that must lie beside
# the galaxy for its stars to decide alone.
GROUND, MIN_BESIDE = 0.1, 0.25
# Gauss-Newton steps of the first loop.
FIRST_STEPS = 4
# A start of less variance (px^2) is no start: too sharp a PSF shreds stars.
LEAST_START = 0.05


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """A filter's kernel and what it was measured from.

    ``stars`` are all stars of the last loop (total fluxes), ``anchors`` indices
    into them. ``growth`` is the confusion test: relative change of the PSF's
    FWHM from discs of 1 to discs of 2 FWHM (NaN if not made). ``frame`` is the
    image the stars stand in, ``discs`` the last fit on it, with the pixels and
    weights of the anchors' discs; None where there was none. ``filter_width``
    is the width of the detection filter over that of the PSF.
    """

    library: EffectivePSF
    kernel: PsfKernel
    stars: FieldStars
    anchors: np.ndarray
    growth: float = nan
    n_loops: int = 0
    frame: Frame | None = None
    discs: DiscFit | None = None
    filter_width: float = 1.0

    @cached_property
    def psf(self) -> EffectivePSF:
        """The effective PSF: library convolved with the kernel."""
        return self.library.convolved(self.kernel)


def calibrate_psf(
    data: np.ndarray,
    mask: np.ndarray,
    sigma: float | np.ndarray | None,
    psf: EffectivePSF,
    galaxy: np.ndarray,
    exclude: np.ndarray,
    start: PsfKernel | None = None,
    options: CalibrationOptions = CalibrationOptions(),
    neighbours: tuple[np.ndarray, np.ndarray] | None = None,
    initial: PsfKernel | None = None,
) -> CalibrationResult:
    """Measure the kernel that turns a library PSF into that of the image.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Image; NaN allowed.
    mask : ndarray of bool, shape (ny, nx)
        True = bad; pixels that are not finite are bad in any case.
    sigma : float, ndarray or None
        1 sigma noise of the pixels. None: measured as the larger of the noise
        of single pixels and half the scatter of the field.
    psf : galstep.core.psf.effective.EffectivePSF
        The library PSF.
    galaxy : ndarray, shape (ny, nx)
        Model of galaxy and sky.
    exclude : ndarray of bool, shape (ny, nx)
        True where no star is trusted: the galaxy's core.
    start : PsfKernel, optional
        A kernel of the same family to start from. It also serves as prior
        where the stars do not suffice.
    options : CalibrationOptions, optional
    neighbours : (x, y), optional
        Star positions known from a sharper filter, in this frame up to a small
        offset. They then stand for the detection.
    initial : PsfKernel, optional
        Where the first loop starts, if not at ``start`` nor broadly: a kernel
        that an earlier calibration gave. It is no prior.

    Returns
    -------
    CalibrationResult

    Raises
    ------
    InputError
        If the images differ in shape.
    numpy.linalg.LinAlgError
        If the normal equations of a fit are singular.
    """
    frame = _prepare(data, mask, sigma, psf, galaxy, exclude)
    if not frame.good.any():
        kernel = unmeasured_kernel(start, 0, "no usable pixels", options.prior_error)
        return _result(psf, kernel)
    search = StarSearch(
        frame, options.thresholds, neighbours, options.filter_width, options.scan, options.max_move
    )
    how = _fit_keywords(options, neighbours)
    first = _first_kernel(psf, initial or start, options)
    run = _run_loops(search, first, options, how)
    bootstrap = None
    if run.discs is None and run.n_bright >= options.min_anchors:
        bootstrap = bootstrap_kernel(
            _beside_the_galaxy(frame, galaxy),
            options.family,
            options.drizzle_width,
            options.min_anchors,
            options.min_delta_chi2,
        )
        if bootstrap is not None:
            run = _run_loops(search, bootstrap.kernel, options, how)
    if run.discs is None:
        kernel, growth = _stand_in(run, start, bootstrap, options), nan
    else:
        kernel, growth = judge_kernel(frame, run.discs, run.kernel, start, options, how)
        kernel = _told_if_too_broad(frame, run.discs, kernel)
        kernel = corrected_kernel(
            frame, kernel, run.stars, run.anchors, options.empirical_correction
        )
    return _result(psf, kernel, run, frame, growth, search.width)


@dataclass(frozen=True, eq=False)
class _Run:
    """Where the loops ended; without ``discs`` if there were too few anchors."""

    stars: FieldStars
    anchors: np.ndarray
    n_loops: int
    n_bright: int
    kernel: PsfKernel
    discs: DiscFit | None = None


def _run_loops(search, kernel, options, how):
    """Find stars, choose anchors, fit the kernel, until it stands still."""
    frame, last = search.frame, nan
    for loop in range(options.max_loops):
        working = WorkingPsf(frame.library, kernel)
        search.find(working, loop)
        snr = search.snr(working)
        real = search.is_real(snr)
        stars = search.stars.select(real)
        anchors = choose_anchors(
            stars.x, stars.y, stars.flux, snr[real], frame.good, working.fwhm, options.anchors
        )
        n_bright = int(np.count_nonzero(snr > options.anchors.min_snr))
        if len(anchors) < options.min_anchors:
            return _Run(stars, anchors, loop + 1, n_bright, kernel)
        # the first kernel is only there to find stars with
        quick = {"max_steps": FIRST_STEPS, "errors": False} if loop == 0 else {}
        quick = quick if options.max_loops > 1 else {}
        discs = fit_discs(frame, working, stars, anchors, **how, **quick)
        search.stars = search.stars.replaced(real, discs.stars)
        kernel = _bounded_growth(kernel, discs.result.kernel, loop, options)
        change, last = abs(variance(kernel) - last), variance(kernel)
        if loop and change < max(options.tolerance * last, 0.5 * variance_error(discs.result)):
            break
    return _Run(discs.stars, anchors, loop + 1, n_bright, kernel, discs)


def _told_if_too_broad(frame, discs, kernel):
    """The kernel, flagged where the stars are narrower than the library PSF."""
    if kernel.family != "none" or not (width := library_width(frame, discs)).too_broad:
        return kernel
    reason = "; ".join(filter(None, [kernel.reason, width.reason]))
    return replace(kernel, flags=int(kernel.flags | BandFlag.PSF_TOO_BROAD), reason=reason)


def _stand_in(run, start, bootstrap, options):
    """The kernel where there are too few anchors to measure one."""
    n_anchors = len(run.anchors)
    reason = f"{n_anchors} isolated bright stars, {options.min_anchors} are needed"
    if start is None and bootstrap is not None:
        return guessed_kernel(bootstrap, n_anchors, reason)
    return unmeasured_kernel(start, n_anchors, reason, options.prior_error)


def galaxy_core(
    shape: tuple[int, int], params: SersicParams, in_r_eff: float = 1.5, least_radius: float = 0.0
) -> np.ndarray:
    """Pixels too close to a galaxy's centre for stars to be trusted.

    Parameters
    ----------
    shape : tuple
        (ny, nx).
    params : galstep.records.SersicParams
        The galaxy, in these pixels.
    in_r_eff : float, optional
        Semi-major axis of the ellipse in r_eff; at most 0.45 of the shorter
        side, and its axis ratio at least 0.2.
    least_radius : float, optional
        A circle of this radius (pixels) belongs to it in any case.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
    """
    yy, xx = np.indices(shape)
    dx, dy = xx - params.x_0, yy - params.y_0
    cos, sin = np.cos(params.theta), np.sin(params.theta)
    semi_major = min(in_r_eff * params.r_eff, 0.45 * min(shape))
    along = (dx * cos + dy * sin) / semi_major
    across = (dy * cos - dx * sin) / (semi_major * max(1.0 - params.ellip, 0.2))
    return (np.hypot(along, across) < 1.0) | (np.hypot(dx, dy) < least_radius)


def _fit_keywords(options, neighbours):
    """How the discs are fitted, for `fit_discs`."""
    return {
        "radius_in_fwhm": options.disc_in_sigma / FWHM_OF_SIGMA,
        "least_half_size": options.least_half_size,
        "neighbour_pad": options.neighbour_pad,
        "max_neighbours": options.max_neighbours,
        "neighbour_prior": POSITION_PRIOR if neighbours is None else FORCED_POSITION_PRIOR,
    }


def _prepare(data, mask, sigma, psf, galaxy, exclude):
    """Image without galaxy and sky, free of NaN, with variance and good pixels."""
    shape = np.shape(data)
    for name, array in (("mask", mask), ("galaxy", galaxy), ("exclude", exclude)):
        if np.shape(array) != shape:
            raise InputError(f"{name} must have the shape of data, {shape}, not {np.shape(array)}")
    image = np.asarray(data, float) - galaxy
    bad = np.asarray(mask, bool) | ~np.isfinite(image)
    exclude = np.asarray(exclude, bool)
    if sigma is None:
        sigma = _field_noise(image, bad, exclude)
    sigma = np.broadcast_to(np.asarray(sigma, float), shape)
    bad |= ~np.isfinite(sigma) | ~(sigma > 0)
    # the neighbours of bad pixels are often not quite right either
    good = ~(binary_dilation(bad) | exclude)
    variance_image = np.where(bad, 1.0, sigma) ** 2
    return Frame(np.where(bad, 0.0, image), variance_image, good, psf)


def _beside_the_galaxy(frame, galaxy):
    """The frame without what the galaxy outshines the noise on, if enough is left.

    What one profile leaves of a bulge and a disk is as bright as stars and wider; where no
    star is alone it would decide on the kernel.
    """
    light = galaxy - np.quantile(galaxy[frame.good], GROUND)
    beside = frame.good & (light < np.sqrt(frame.variance))
    enough = np.count_nonzero(beside) > MIN_BESIDE * np.count_nonzero(frame.good)
    return replace(frame, good=beside) if enough else frame


def _field_noise(image, bad, exclude):
    """Noise of single pixels, or half the scatter of the field if that is more.

    In a crowd the errors of the model, not of the pixels, limit the fit.
    """
    values = image[~(bad | exclude)]
    if not values.size:
        return nan
    scatter = mad_std(values)
    return np.fmax(pixel_noise(image, bad), 0.5 * scatter)


def _first_kernel(psf, given, options):
    """Where the first loop starts: broad, unless something better is given.

    Broad is twice the variance of the library's own core, between 1 and 4 px^2.
    """
    if given is not None and given.family == options.family and variance(given) >= LEAST_START:
        return PsfKernel(given.family, given.parameters)
    core = (psf.fwhm / FWHM_OF_SIGMA) ** 2
    return kernel_of_variance(
        options.family, float(np.clip(2 * core, 1.0, 4.0)), options.drizzle_width
    )


def _bounded_growth(old, new, loop, options):
    """From the third loop on the variance may grow by ``max_growth`` only."""
    most = (1.0 + options.max_growth) * variance(old)
    if loop < 2 or variance(new) <= most or variance(old) == 0.0:
        return new
    return scaled_kernel(new, most / variance(new))


def _result(library, kernel, run=None, frame=None, growth=nan, width=1.0):
    kernel = replace(kernel, fwhm=WorkingPsf(library, kernel).fwhm)
    if run is None:
        run = _Run(FieldStars(), np.zeros(0, int), 0, 0, kernel)
    return CalibrationResult(
        library, kernel, run.stars, np.array(run.anchors, int), growth, run.n_loops,
        frame, run.discs, width,
    )  # fmt: skip
