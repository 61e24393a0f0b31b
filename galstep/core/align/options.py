"""How stars are found and matched for an alignment; names as the parameters of ``TweakReg``."""

from __future__ import annotations

from galstep.exceptions import ParameterError
from galstep.options import option, options

__all__ = ["FinderOptions", "MatchOptions"]

FINDERS = ("dao", "iraf", "segmentation")


@options
class FinderOptions:
    """How stars are found.

    Raises
    ------
    ParameterError
        If the finder is unknown, the kernel has no width, or a lower bound is not below
        the upper one.
    """

    starfinder: str = option(
        default="dao",
        help="Star finder to use",
        choices=FINDERS,
    )
    snr_threshold: float = option(
        default=10.0,
        help="Threshold of the star finder above the background (sigma of its scatter)",
        least=0,
    )
    kernel_fwhm: float = option(
        default=2.5,
        help="FWHM of the Gaussian kernel (pixels); dao, iraf and the smoothing of segmentation",
    )
    minsep_fwhm: float = option(
        default=0.0,
        help="Minimum separation between detected objects (FWHM); dao and iraf",
        least=0,
    )
    sigma_radius: float = option(
        default=1.5,
        help="Truncation radius of the Gaussian kernel (sigma); dao and iraf",
        least=0.1,
    )
    sharplo: float = option(
        default=0.2,
        help="Lower bound on sharpness (-inf: none); dao and iraf",
    )
    sharphi: float = option(
        default=1.0,
        help="Upper bound on sharpness (inf: none); dao and iraf",
    )
    roundlo: float = option(
        default=-1.0,
        help="Lower bound on roundness (-inf: none); dao and iraf",
    )
    roundhi: float = option(
        default=1.0,
        help="Upper bound on roundness (inf: none); dao and iraf",
    )
    brightest: int | None = option(
        default=200,
        help="Number of the brightest objects that are kept; dao and iraf",
        least=1,
    )
    peakmax: float | None = option(
        default=None,
        help="Objects with pixel values above this are left out (image units; inf: none); dao and "
        "iraf",
        kind="float",
    )
    npixels: int = option(
        default=10,
        help="Minimum number of connected pixels; segmentation",
        least=1,
    )
    connectivity: int = option(
        default=8,
        help="Neighbours of a pixel: 4 (by edges) or 8 (by corners as well); segmentation",
        least=4,
        most=8,
    )
    nlevels: int = option(
        default=32,
        help="Number of thresholds for deblending; segmentation",
        least=1,
    )
    contrast: float = option(
        default=0.001,
        help="Fraction of a source's flux that a part must have to be deblended; segmentation",
        least=0,
        most=1,
    )
    multithresh_mode: str = option(
        default="exponential",
        help="Spacing of these thresholds; segmentation",
        choices=("exponential", "linear", "sinh"),
    )
    localbkg_width: int = option(
        default=0,
        help="Width of the rectangular annulus for a local background (pixels; 0: none); "
        "segmentation",
        least=0,
    )
    apermask_method: str = option(
        default="correct",
        help="What is done with neighbours in an aperture: replaced, left out, nothing; "
        "segmentation",
        choices=("correct", "mask", "none"),
    )
    kron_params: tuple[float, ...] | None = option(
        default=None,
        help="Kron aperture: scale, smallest radius, and smallest circle (default: those of "
        "photutils); segmentation",
        kind="float_list",
        least=2,
        most=3,
    )
    bkg_boxsize: int = option(
        default=400,
        help="Side of the boxes in which the background is measured (pixels)",
        least=8,
    )

    def __post_init__(self) -> None:
        if self.starfinder not in ("dao", "iraf", "segmentation"):
            raise ParameterError(
                f"starfinder must be dao, iraf or segmentation, got {self.starfinder!r}"
            )
        if not self.kernel_fwhm > 0:
            raise ParameterError(f"kernel_fwhm must be positive, got {self.kernel_fwhm}")
        for low, high in (("sharplo", "sharphi"), ("roundlo", "roundhi")):
            if not getattr(self, low) < getattr(self, high):
                raise ParameterError(
                    f"{low} must be below {high}, got {getattr(self, low)} and "
                    f"{getattr(self, high)}"
                )


@options
class MatchOptions:
    """How catalogues are matched and fitted; lengths in arcsec."""

    minobj: int = option(
        default=15,
        help="Least number of stars that must match",
        least=1,
    )
    searchrad: float = option(
        default=2.0,
        help="Largest offset that is looked for (arcsec)",
    )
    use2dhist: bool = option(
        default=True,
        help="Find the first offset from the histogram of all differences; else xoffset and "
        "yoffset are used",
    )
    separation: float = option(
        default=1.0,
        help="Objects closer to each other than this are left out of the first match (arcsec)",
    )
    tolerance: float = option(
        default=0.7,
        help="Largest distance of matching stars once the first offset is applied (arcsec)",
    )
    xoffset: float = option(
        default=0.0,
        help="First guess of the offset to the east, image minus reference (arcsec)",
    )
    yoffset: float = option(
        default=0.0,
        help="First guess of the offset to the north, image minus reference (arcsec)",
    )
    fitgeometry: str = option(
        default="rshift",
        help="What is fitted: shift; with rotation; with rotation and scale; any affine map",
        choices=("shift", "rshift", "rscale", "general"),
    )
    nclip: int = option(
        default=3,
        help="Number of clipping iterations in the fit",
        least=0,
    )
    sigma: float = option(
        default=3.0,
        help="Clipping limit (sigma of the fit; 0: no clipping)",
        least=0.0,
    )
