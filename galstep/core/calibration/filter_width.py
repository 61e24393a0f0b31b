"""How wide the filter should be that stars are detected with.

The matched filter theorem says: as wide as the PSF. In a crowd or in noise that
is correlated it need not hold, and a PSF that is still wrong is no guide. A
bracket of widths is tried on the frame itself: stars are detected with each,
measured, and the width that scores best is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.stats import mad_std

from galstep.core.calibration.field_stars import refine_stars
from galstep.core.calibration.star_peaks import find_star_peaks
from galstep.exceptions import ParameterError
from galstep.options import option, options

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import Frame, WorkingPsf

__all__ = ["METHODS", "METRICS", "ScanOptions", "best_width"]

METHODS = ("lm", "nnls")
METRICS = ("sum_snr", "resid_mad", "count")
# Widths beside the one at hand, and how far all of them may go from the PSF's.
BRACKET = (1.0, 0.7, 1.4)
# Widths of the filter over the PSF: the bounds of the parameter filter_width.
WIDTH_RANGE = (0.5, 2.0)
# Gauss-Newton steps in flux and position; fluxes alone are linear, but clipped at zero.
STEPS = {"lm": 3, "nnls": 2}
# What the metric count counts.
COUNTED_SNR = 5.0


@options
class ScanOptions:
    """How detections with one width are measured and scored; fluxes are never below zero.

    Raises
    ------
    ParameterError
        If the method or the metric is not known.
    """

    method: str = option(
        default="lm",
        help="How scan measures what it has detected: lm, fluxes and positions; nnls, fluxes at "
        "the detected positions",
        name="scan_method",
        choices=METHODS,
    )
    metric: str = option(
        default="sum_snr",
        help="What scan prefers: the largest sum of signal-to-noise, the least scatter of what is "
        "left, or the most stars above 5 sigma",
        name="scan_metric",
        choices=METRICS,
    )
    top_k: int = option(
        default=100,
        help="scan measures this many of the brightest detections; 0: all",
        name="scan_top_k",
        least=0,
    )

    def __post_init__(self) -> None:
        for name, known in (("method", METHODS), ("metric", METRICS)):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name} of the scan must be one of {known}, got {getattr(self, name)!r}"
                )


def best_width(
    frame: Frame, working: WorkingPsf, threshold: float, centre: float, options: ScanOptions
) -> float:
    """The best of three widths of the detection filter.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    working : galstep.core.calibration.disc_fit.WorkingPsf
        The current PSF: it draws the stars, and stretched it is the filter.
    threshold : float
        Of the detection, in MAD of the filtered image.
    centre : float
        Width in the middle of the bracket, over that of the PSF: 0.7, 1 and 1.4
        times it are tried, held between 0.5 and 2.
    options : ScanOptions

    Returns
    -------
    float
        ``centre`` unless another one is better.
    """
    widths: Any = np.unique(np.clip(np.multiply(centre, BRACKET), *WIDTH_RANGE))
    # the middle first: of equal scores the first one counts
    widths = sorted(widths, key=lambda width: abs(np.log(width / centre)))
    scores = [_score(frame, working, threshold, width, options) for width in widths]
    return float(widths[int(np.argmax(scores))])


def _score(frame, working, threshold, width, options):
    """What a width is worth; more is better."""
    found = find_star_peaks(
        frame.image, frame.good, working.renderer, working.fwhm, threshold, width
    )
    if options.top_k:
        found = found.select(slice(options.top_k))
    stars, rest = refine_stars(
        frame.image,
        frame.variance,
        frame.good,
        working.renderer,
        found,
        steps=STEPS[options.method],
        move=options.method == "lm",
    )
    if options.metric == "resid_mad":
        return -mad_std(rest[frame.good])
    snr = stars.flux / working.flux_error(frame.noise)
    return snr.sum() if options.metric == "sum_snr" else np.count_nonzero(snr > COUNTED_SNR)
