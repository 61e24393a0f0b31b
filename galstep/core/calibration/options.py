"""How a kernel is measured: `CalibrationOptions`."""

from __future__ import annotations

from galstep.core.calibration.anchors import AnchorLimits
from galstep.core.calibration.filter_width import ScanOptions
from galstep.options import detail, option, options

__all__ = ["CalibrationOptions"]


@options
class CalibrationOptions:
    """How a kernel is measured."""

    family: str = option(
        default="gaussian",
        help="Form of the kernel; drizzle is a Gaussian and a square of drizzle_width",
        name="kernel_family",
        choices=("gaussian", "elliptical", "moffat", "drizzle"),
    )
    drizzle_width: float = option(
        default=1.0,
        help="Side of the square of the family drizzle (pixels)",
        least=0,
    )
    anchors: AnchorLimits = detail(
        default=AnchorLimits(),
        help="Number, brightness and isolation of the anchors.",
    )
    min_anchors: int = option(
        default=3,
        help="With fewer of them there is no measurement",
        least=3,
    )
    least_half_size: int = option(
        default=8,
        help="Least half-size of the stamps in which stars are fitted (pixels)",
        name="kernel_fit_stamp_half_min",
        least=4,
    )
    disc_in_sigma: float = option(
        default=3.0,
        help="Radius of the disc of pixels fitted round each such star, in sigma (FWHM / 2.3548) "
        "of the current PSF; at least 3.5 pixels",
        name="kernel_fit_stamp_half_in_sigmaeff",
        least=1,
        most=10,
    )
    max_neighbours: int = option(
        default=15,
        help="Largest number of neighbours fitted along with one star",
        name="kernel_fit_max_neighbors",
        least=0,
    )
    neighbour_pad: float = option(
        default=4.0,
        help="Neighbours are stars up to so far outside a disc (pixels)",
        name="kernel_fit_neighbor_pad_pix",
        least=0,
    )
    max_move: float = option(
        default=3.0,
        help="Largest move of a star in a step of the search for stars; a step is 0.4 pixels at "
        "most in any case (pixels; 0: stars stay where they are detected)",
        name="calib_xy_bounds",
        least=0,
    )
    max_loops: int = option(
        default=4,
        help="Largest number of loops (find stars, fit kernel)",
        least=1,
        most=20,
    )
    thresholds: tuple[float, ...] = detail(
        default=(15.0, 6.0, 4.0, 3.5),
        help="Falling detection thresholds, in MAD of the filtered image; beside known positions "
        "the second and the third only.",
    )
    tolerance: float = detail(
        default=0.02,
        help="The loop ends when the kernel's variance changes by less (relative).",
    )
    max_growth: float = detail(
        default=0.15,
        help="From the third loop on the kernel's variance may grow by no more than this fraction: "
        "crowding feeds on itself.",
    )
    min_delta_chi2: float = detail(
        default=10.0,
        help="A kernel must lower chi2 by so much, or there is none.",
    )
    confusion: float = detail(
        default=0.03,
        help="Relative growth of the PSF's FWHM from discs of 1 to discs of 2 FWHM that is a "
        "warning.",
    )
    empirical_correction: str = option(
        default="auto",
        help="Add to library and kernel what the stars leave, in a few smooth modes: auto, if it "
        "clearly lowers the residual of stars that it was not fitted to",
        choices=("none", "auto", "always"),
    )
    filter_width: float = option(
        default=0.7,
        help="Width of the filter that stars are detected with (FWHM of the current PSF): in a "
        "crowd a sharper filter than the PSF tells blends apart",
        least=0.5,
        most=2,
    )
    scan: ScanOptions | None = detail(
        default=None,
        help="How a better width of the filter is looked for, from that one; None: not at all.",
    )
    prior_error: float = option(
        default=0.05,
        help="Relative error of the values in blur_psf",
        name="blur_psf_error",
        least=0.001,
        most=10,
    )
