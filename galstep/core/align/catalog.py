"""Star catalogues for alignment: places of point sources, and how well they are known.

The finders are those of photutils. The background is taken off first, and its
scatter sets the threshold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.convolution import Gaussian2DKernel, convolve_fft
from astropy.stats import SigmaClip, gaussian_fwhm_to_sigma

from galstep.core.align.options import FinderOptions
from galstep.core.imaging.stars import StarRenderer

__all__ = ["Positions", "find_positions", "image_background", "psf_offset"]

# Pixels: centroids of undersampled stars scatter by this much however bright they are.
CENTROID_FLOOR = 0.03
# Places within a pixel, and noise over peak, for the finder's view of a PSF.
PHASES, PSF_NOISE = (-0.375, -0.125, 0.125, 0.375), 1e-2
# Largest share of a background box that may be without data.
MASKED_SHARE = 90.0
# What is noise in a frame without any: rounding, of single precision on the background (2^-23
# of its level) and of the transforms on what is smoothed (double precision, some 1e-16 of the
# brightest pixel).
ROUNDING_OF_LEVEL, ROUNDING_OF_PEAK = 1.2e-7, 1e-12


@dataclass(frozen=True, eq=False)
class Positions:
    """Stars of one image: 0-based pixels.

    Parameters
    ----------
    x, y : (N,) array
    flux : (N,) array
        As the finder has it; only its order counts.
    error : (N,) array
        1-sigma error of x and of y, pixels.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def empty(cls) -> Positions:
        """No stars."""
        return cls(*(np.zeros(0) for _ in range(4)))

    def select(self, keep: np.ndarray) -> Positions:
        """The stars where ``keep`` (boolean or index array) says so."""
        return Positions(self.x[keep], self.y[keep], self.flux[keep], self.error[keep])


def image_background(
    data: np.ndarray, mask: np.ndarray, box_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sky and its scatter, from sigma-clipped boxes.

    Parameters
    ----------
    data : (ny, nx) array
        NaN allowed where ``mask`` is True.
    mask : (ny, nx) bool array
        True = bad.
    box_size : int
        Side of a box (pixels); at most the frame.

    Returns
    -------
    level, scatter : (ny, nx) arrays
        Image units.
    """
    from photutils.background import Background2D, MedianBackground

    clip = SigmaClip(sigma=3.0, maxiters=10)
    box = tuple(min(int(box_size), n) for n in data.shape)
    found = Background2D(
        np.where(mask, 0.0, data),
        box,
        mask=mask,
        sigma_clip=clip,
        bkg_estimator=MedianBackground(),
        exclude_percentile=MASKED_SHARE,
    )
    return found.background, found.background_rms


def find_positions(data: np.ndarray, mask: np.ndarray, options: FinderOptions) -> Positions:
    """Stars of an image.

    Parameters
    ----------
    data : (ny, nx) array
        NaN allowed where ``mask`` is True.
    mask : (ny, nx) bool array
        True = bad.
    options : `FinderOptions`

    Returns
    -------
    Positions
        Brightest first; empty where there is nothing.
    """
    from photutils.utils.exceptions import NoDetectionsWarning

    if mask.all():
        return Positions.empty()
    level, scatter = image_background(data, mask, options.bkg_boxsize)
    image = np.where(mask, 0.0, data - level)
    noise = _noise(image, level, scatter, ~mask)
    if not noise > 0:
        return Positions.empty()
    find = _segments if options.starfinder == "segmentation" else _point_sources
    if options.peakmax is not None:
        options = replace(options, peakmax=options.peakmax / noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        # in units of the noise: the finders hold small numbers for zero
        found = find(image / noise, mask, options, 1.0)
    found = found.select(np.argsort(-found.flux, kind="stable"))
    return replace(found, flux=found.flux * noise)


def _noise(image, level, scatter, good):
    """The scatter of the background; of a noiseless frame what rounding leaves.

    Zero of a frame in which every pixel is the same: there is nothing to find.
    """
    rounding = ROUNDING_OF_LEVEL * float(np.median(np.abs(level[good])))
    rounding = max(rounding, ROUNDING_OF_PEAK * float(np.max(image[good])))
    contrast = float(np.max(image[good]))
    return max(float(np.median(scatter[good])), rounding) if contrast > rounding else 0.0


def psf_offset(psf: Any, options: FinderOptions) -> np.ndarray:
    """Where the finder sees a star of this PSF, minus where the star is.

    Not zero for a PSF whose light is not centred in its array.

    Parameters
    ----------
    psf : `galstep.core.psf.effective.EffectivePSF`
    options : `FinderOptions`

    Returns
    -------
    (2,) array
        x and y, pixels: the mean over places within a pixel; 0 where the
        finder takes the PSF for no star.
    """
    from photutils.utils.exceptions import NoDetectionsWarning

    renderer = StarRenderer(psf)
    half = int(min(renderer.half_size, np.ceil(4 * psf.fwhm)) + 4)
    shape = (2 * half + 1,) * 2
    find = _segments if options.starfinder == "segmentation" else _point_sources
    offsets = []
    for dx in PHASES:
        for dy in PHASES:
            x, y = np.array([half + dx]), np.array([half + dy])
            image = renderer.render(shape, x, y, np.ones(1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoDetectionsWarning)
                noise = PSF_NOISE * image.max()
                found = find(image, np.zeros(shape, dtype=bool), options, noise)
            away = np.column_stack([found.x - x, found.y - y])
            near = np.hypot(*away.T) < max(2.0, options.kernel_fwhm)
            if near.any():
                offsets.append(away[near][np.argmax(found.flux[near])])
    return np.mean(offsets, axis=0) if offsets else np.zeros(2)


def _position_errors(peak, noise):
    """sigma_x = sqrt(2 / pi) noise / peak, and a floor.

    The Fisher information of the position of a well sampled Gaussian of height
    A is pi A^2 / (2 noise^2), whatever its width.
    """
    error = np.sqrt(2 / np.pi) * noise / np.maximum(peak, 1e-3 * noise)
    return np.hypot(error, CENTROID_FLOOR)


def _point_sources(image, mask, options, noise):
    from photutils.detection import DAOStarFinder, IRAFStarFinder

    arguments = dict(
        threshold=options.snr_threshold * noise,
        fwhm=options.kernel_fwhm,
        sigma_radius=options.sigma_radius,
        n_brightest=options.brightest,
        peak_max=options.peakmax,
        min_separation=options.minsep_fwhm * options.kernel_fwhm,
        sharpness_range=(options.sharplo, options.sharphi),
        roundness_range=(options.roundlo, options.roundhi),
    )
    finder = DAOStarFinder if options.starfinder == "dao" else IRAFStarFinder
    table = finder(**arguments)(image, mask=mask)
    if table is None:
        return Positions.empty()
    names = ("x_centroid", "y_centroid", "flux", "peak")
    x, y, flux, peak = (np.asarray(table[name], dtype=float) for name in names)
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    return Positions(x, y, flux, _position_errors(peak, noise)).select(good)


def _segments(image, mask, options, noise):
    from photutils.segmentation import SourceCatalog, SourceFinder

    kernel = Gaussian2DKernel(options.kernel_fwhm * gaussian_fwhm_to_sigma)
    kernel.normalize()
    smooth = convolve_fft(image, kernel, normalize_kernel=False, boundary="fill")
    finder = SourceFinder(
        options.npixels,
        connectivity=options.connectivity,
        n_levels=options.nlevels,
        contrast=options.contrast,
        mode=options.multithresh_mode,
        progress_bar=False,
    )
    # the scatter of the smoothed image is smaller by the norm of the kernel
    threshold = options.snr_threshold * noise * float(np.sqrt((kernel.array**2).sum()))
    segments = finder(smooth, threshold, mask=mask)
    if segments is None:
        return Positions.empty()
    extra = {} if options.kron_params is None else {"kron_params": options.kron_params}
    extra |= {
        "local_bkg_width": options.localbkg_width,
        "aperture_mask_method": options.apermask_method,
    }
    catalogue = SourceCatalog(image, segments, convolved_data=smooth, mask=mask, **extra)
    x, y, flux, peak = (
        np.atleast_1d(np.asarray(getattr(catalogue, name), dtype=float))
        for name in ("x_centroid", "y_centroid", "kron_flux", "max_value")
    )
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    return Positions(x, y, flux, _position_errors(peak, noise)).select(good)
