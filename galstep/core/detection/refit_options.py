"""How a ladder ends: `FinalRefit`."""

from __future__ import annotations

from galstep.core.detection.option_values import odd_square_side, of_psf_sigma
from galstep.exceptions import ParameterError
from galstep.options import option, options

__all__ = ["REFIT_METHODS", "FinalRefit"]

REFIT_METHODS = ("iterative", "nnls", "none")


@options
class FinalRefit:
    """How a ladder ends. Distances are in FWHM of the sharpest band.

    Raises
    ------
    ParameterError
        If the method is unknown.
    """

    method: str = option(
        default="iterative",
        help="After the ladder: iterative, look for leftovers and fit everything again until the "
        "residual stops improving; nnls, positions held and fluxes not negative, then leftovers; "
        "none, only the fit to convergence",
        name="final_refit_method",
        choices=REFIT_METHODS,
    )
    together: bool = option(
        default=True,
        help="iterative: all stars at once with galaxy and sky; otherwise group by group, the "
        "others held",
        name="final_joint_refit",
    )
    reach: float | None = option(
        default=None,
        help="iterative: largest distance of a star from where the ladder has it (pixels; 0: "
        "positions are pinned, as sphot has it; default: free, as in the ladder)",
        name="final_refit_xy_bounds",
        kind="float",
        least=0,
    )
    iterations: int = option(
        default=5,
        help="iterative: largest number of rounds",
        name="final_refit_iterations",
        least=0,
    )
    threshold: float = option(
        default=4.0,
        help="iterative: threshold of leftovers (sigma of the matched-filter map); th_min decides "
        "which stay",
        name="final_refit_detect_th",
        least=1,
    )
    separation: float = option(
        default=2.0,
        help="iterative: smallest distance of a leftover from known stars and other leftovers "
        "(sigma of the PSF)",
        name="final_refit_dedup_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    residual_tol: float = option(
        default=0.01,
        help="iterative: the rounds end when one lowers the residual's median absolute "
        "deviation by less than this (share)",
        name="final_refit_residual_tol",
        least=0,
        most=1,
    )
    catastrophic_factor: float = option(
        default=20.0,
        help="iterative: a round in which a star's flux, counted as the noise of a lone star "
        "at least, changes by more than this factor is undone, and ends the refit (0: "
        "never)",
        name="final_refit_catastrophic_flux_factor",
        least=0,
    )
    window: int = option(
        default=(0, 0),
        help="iterative: square in which stars are refitted, two equal odd sides, galaxy and "
        "sky held meanwhile (pixels; 0, 0: all that the PSF reaches, everything at once; "
        "sphot has 11, 11)",
        name="final_refit_fit_shape",
        least=2,
        most=2,
        read=odd_square_side,
    )
    leftover_iterations: int = option(
        default=3,
        help="nnls: largest number of searches for leftovers",
        name="leftover_max_iterations",
        least=0,
    )
    leftover_threshold: float = option(
        default=5.0,
        help="nnls: threshold of leftovers (sigma of the matched-filter map)",
        name="leftover_detect_k_sigma",
        least=1,
    )
    leftover_separation: float = option(
        default=1.5,
        help="nnls: smallest distance of a leftover from known stars and other leftovers "
        "(sigma of the PSF)",
        name="leftover_dedup_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    leftover_box: int = option(
        default=3,
        help="nnls: square in which a leftover is the highest pixel of the matched-filter map "
        "(pixels)",
        name="leftover_box_size",
        least=2,
    )

    def __post_init__(self) -> None:
        if self.method not in REFIT_METHODS:
            raise ParameterError(
                f"final_refit_method must be one of {', '.join(REFIT_METHODS)}, got {self.method!r}"
            )
