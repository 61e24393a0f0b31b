"""From a frame of stars to the discs that the kernel is fitted on.

The bridge between `galstep.core.calibration.calibrate`, which thinks in frames and loops,
and `galstep.core.calibration.kernel_fit`, which thinks in discs. The library PSF is worked
with as its core only: wings beyond it are smooth on the scale of a disc, whose
constant takes them. Fluxes are totals outside, core fluxes inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from galstep.core.calibration.anchors import disc_labels, stars_near_discs
from galstep.core.calibration.field_stars import (
    NEGLIGIBLE,
    POSITION_PRIOR,
    FieldStars,
    rendering_half_sizes,
)
from galstep.core.calibration.kernel_fit import DiscData, KernelFit, fit_kernel
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel

__all__ = [
    "DiscFit",
    "Frame",
    "WorkingPsf",
    "fit_discs",
    "gain_of_kernel",
    "library_core",
]

# Half-size (pixels) of the PSF that the discs are drawn with: far beyond a disc and its
# neighbours.
WORKING_HALF_SIZE = 30
# room round the stamps, so that the kernel finds the library's light there
CORE_MARGIN = 6
# Pixels. With 3 sigma the discs of the sharpest filters (FWHM 2.6 px) would have 3.3, and fits
# in discs of 0.7 to 1.2 FWHM are without bias but noisy.
MIN_DISC_RADIUS = 3.5
STAMP_IN_FWHM = 1.3
# Without a kernel only fluxes, constants and places are fitted, which start where they end.
NULL_STEPS = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """An image of stars on flat ground, and the library PSF for it.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Data minus galaxy and sky, finite.
    variance : ndarray, shape (ny, nx)
        Noise variance.
    good : ndarray of bool, shape (ny, nx)
        Pixels that count, at least one.
    library : EffectivePSF
        The PSF without kernel.
    """

    image: np.ndarray
    variance: np.ndarray
    good: np.ndarray
    library: EffectivePSF

    @cached_property
    def noise(self) -> float:
        """Typical 1 sigma of a pixel."""
        return float(np.sqrt(np.median(self.variance[self.good])))


@dataclass(frozen=True, eq=False)
class DiscFit:
    """A fit of the discs and what it was made from.

    Parameters
    ----------
    working : WorkingPsf
        What the stars that are held were drawn with.
    anchors : ndarray of int
        Indices into ``stars``.
    stars : FieldStars
        All stars, total fluxes; those fitted where the fit left them.
    disc_data : DiscData
    result : galstep.core.calibration.kernel_fit.KernelFit
        Its stars carry core fluxes.
    """

    working: WorkingPsf
    anchors: np.ndarray
    stars: FieldStars
    disc_data: DiscData
    result: KernelFit


class WorkingPsf:
    """The core of the library with one kernel: what a loop draws stars with.

    Attributes
    ----------
    kernel : PsfKernel
    renderer : StarRenderer
        Draws the core, to which fluxes times ``share`` belong.
    share : float
        Part of a star's light inside the core.
    fwhm : float
        Pixels.
    """

    def __init__(
        self, library: EffectivePSF, kernel: PsfKernel, half_size: int = WORKING_HALF_SIZE
    ) -> None:
        core, self.share = library_core(library, half_size)
        self.kernel = kernel
        self.renderer = StarRenderer(core.convolved(kernel))

    @cached_property
    def fwhm(self) -> float:
        """FWHM, pixels."""
        return self.renderer.psf.fwhm

    def flux_error(self, noise: float) -> float:
        """1 sigma of an isolated star's core flux in white noise."""
        return noise * np.sqrt(self.renderer.psf.noise_area)


def library_core(psf: EffectivePSF, half_size: int) -> tuple[EffectivePSF, float]:
    """The PSF within ``half_size`` px of its centre, and its share of the light.

    Parameters
    ----------
    psf : EffectivePSF
    half_size : int
        Native pixels. Both ends of an axis lose the same number of samples, so
        the star stays at the geometric centre.

    Returns
    -------
    core : EffectivePSF
        Normalised to sum 1.
    share : float
    """
    ny, nx = psf.array.shape
    cut_y, cut_x = (max(0, (n - 1) // 2 - half_size * psf.oversample) for n in (ny, nx))
    array = psf.array[cut_y : ny - cut_y, cut_x : nx - cut_x]
    return EffectivePSF.from_array(array, psf.oversample), float(array.sum())


def fit_discs(
    frame: Frame,
    working: WorkingPsf,
    stars: FieldStars,
    anchors: np.ndarray,
    *,
    radius_in_fwhm: float = 1.2,
    kernel: PsfKernel | None = None,
    least_half_size: int = 8,
    neighbour_pad: float = 4.0,
    max_neighbours: int = 15,
    neighbour_prior: float = POSITION_PRIOR,
    max_steps: int = 10,
    errors: bool = True,
) -> DiscFit:
    """Fit kernel, anchors, their neighbours and the disc constants.

    Parameters
    ----------
    frame : Frame
    working : WorkingPsf
        PSF with the current kernel, which also draws the stars that are held.
    stars : FieldStars
        All known stars, total fluxes.
    anchors : ndarray of int
        Indices of the anchors.
    radius_in_fwhm : float, optional
        Radius of the discs in FWHM; never below 3.5 px.
    kernel : PsfKernel, optional
        Start of the kernel, by default that of ``working``.
    least_half_size : int, optional
        Least half-size of the stars' stamps, pixels.
    neighbour_pad : float, optional
        Stars up to so far from a disc are fitted with it, pixels.
    max_neighbours : int, optional
        At most so many per anchor.
    neighbour_prior : float, optional
        How well the positions of the neighbours are known, pixels; those of
        the anchors are free within 0.3 px in each step.
    max_steps : int, optional
        Of Gauss-Newton.
    errors : bool, optional
        Whether the covariance of the kernel is wanted.

    Returns
    -------
    DiscFit
    """
    radius = max(MIN_DISC_RADIUS, radius_in_fwhm * working.fwhm)
    near = stars_near_discs(
        stars.x, stars.y, stars.flux, anchors, radius, neighbour_pad, max_neighbours
    )
    # what lies further from a star than this is part of the light that is held
    half_size = int(np.ceil(min(radius, STAMP_IN_FWHM * working.fwhm) + neighbour_pad))
    half_size = max(half_size, least_half_size)
    core, share = library_core(frame.library, half_size + CORE_MARGIN)
    inner = stars.select(near)
    inner = FieldStars(inner.x, inner.y, inner.flux * share)
    drawn = StarRenderer(core.convolved(working.kernel)).render(
        frame.image.shape,
        inner.x,
        inner.y,
        inner.flux,
        half_sizes=np.full(len(inner), half_size),
    )
    held = _all_light(frame, working, stars) - drawn
    labels = disc_labels(frame.image.shape, stars.x[anchors], stars.y[anchors], radius)
    weight = np.where((labels >= 0) & frame.good, 1.0 / frame.variance, 0.0)
    prior = np.full(len(stars), neighbour_prior)
    prior[anchors] = POSITION_PRIOR
    disc_data = DiscData(frame.image - held, weight, labels, half_size, position_prior=prior[near])
    kernel = working.kernel if kernel is None else kernel
    result = fit_kernel(disc_data, core, kernel, inner, max_steps=max_steps, errors=errors)
    outer = FieldStars(result.stars.x, result.stars.y, result.stars.flux / share)
    return DiscFit(working, anchors, stars.replaced(near, outer), disc_data, result)


def _all_light(frame, working, stars):
    """Every star with its wings; from this the fitted parts are taken out."""
    flux = stars.flux * working.share
    sizes = rendering_half_sizes(working.renderer, flux, NEGLIGIBLE * frame.noise)
    return working.renderer.render(frame.image.shape, stars.x, stars.y, flux, half_sizes=sizes)


def gain_of_kernel(frame: Frame, discs: DiscFit) -> float:
    """By how much the kernel lowers chi2, against the same discs without one.

    Parameters
    ----------
    frame : Frame
    discs : DiscFit

    Returns
    -------
    float
        chi2 without minus chi2 with the kernel, same weights, in units of the
        residuals' scatter.
    """
    result, half_size = discs.result, discs.disc_data.half_size
    core, _ = library_core(frame.library, half_size + CORE_MARGIN)
    plain = replace(discs.disc_data, weight=result.weight, model_error=0.0, robust=0.0)
    without = fit_kernel(plain, core, PsfKernel(), result.stars, fixed=True, max_steps=NULL_STEPS)
    return (without.chi2 - result.chi2) / result.scatter**2
