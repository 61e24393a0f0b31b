"""Whether the stars are narrower than the library PSF, which no kernel can mend.

A kernel only broadens. Where the best one is none, the library may be right or too broad
(another filter's, or given with a wrong oversampling). Broadening a PSF by a small
variance s per axis changes it by s D, D = d PSF / d s; the stars tell s, of either sign,
by a linear fit: of each anchor's disc flux, position, constant and s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.stats import mad_std

from galstep.core.calibration.disc_fit import CORE_MARGIN, library_core
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.kernel_families import FWHM_OF_SIGMA
from galstep.records import PsfKernel

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import DiscFit, Frame

__all__ = ["LibraryWidth", "library_width"]

STEP = 0.05  # square pixels: of the derivative
LEAST_SIGMA = 5.0
# of the PSF's variance per axis: the FWHM is too large by a tenth. Less, a library PSF
# can be wrong by, and a star's noise may decide
LEAST_SHARE = 0.2
MIN_ANCHORS = 3
_PIXELS = 9  # of a disc, for five unknowns
_LEAST_FLUX = 0.1  # of the flux drawn: the derivative takes the rest


@dataclass(frozen=True)
class LibraryWidth:
    """By how much the variance of the stars differs from that of the library PSF.

    Parameters
    ----------
    excess, error : float
        Square pixels per axis; NaN if too few anchors tell. Of a PSF that is far too
        broad the excess ends at minus its own variance: the fit is linear.
    fwhm : float
        Of the library PSF, pixels.
    """

    excess: float
    error: float
    fwhm: float

    @property
    def share(self) -> float:
        """The excess in units of the library's own variance, (FWHM / 2.3548)^2."""
        return self.excess / (self.fwhm / FWHM_OF_SIGMA) ** 2

    @property
    def too_broad(self) -> bool:
        """Whether the PSF is broader than the stars beyond doubt."""
        return bool(self.excess < -LEAST_SIGMA * self.error and self.share < -LEAST_SHARE)

    @property
    def reason(self) -> str:
        """What is to be said where it is."""
        return (
            f"the stars' variance is {-100 * self.share:.0f} % below that of the PSF of FWHM "
            f"{self.fwhm:.2f} px: another filter's PSF, or a wrong oversample?"
        )


def library_width(frame: Frame, discs: DiscFit) -> LibraryWidth:
    """Measure it on the anchors of a calibration that found no blur.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    discs : galstep.core.calibration.disc_fit.DiscFit
        The last fit.

    Returns
    -------
    LibraryWidth
    """
    core, share = library_core(frame.library, discs.disc_data.half_size + CORE_MARGIN)
    plain, blurred = (
        StarRenderer(psf) for psf in (core, core.convolved(PsfKernel("gaussian", (STEP,))))
    )
    stars = discs.stars
    flux = stars.flux * share
    light = plain.render(frame.image.shape, stars.x, stars.y, flux)
    found = []
    for k, star in enumerate(discs.anchors):
        at = (stars.x[star : star + 1], stars.y[star : star + 1])
        inside = (discs.disc_data.labels == k) & frame.good
        if not flux[star] > 0 or np.count_nonzero(inside) < _PIXELS:
            continue
        own, wider = (
            r.render(frame.image.shape, *at, flux[star : star + 1]) for r in (plain, blurred)
        )
        along_y, along_x = np.gradient(own)
        design = np.array([own, along_x, along_y, (wider - own) / STEP, np.ones_like(own)])
        # what the other stars leave
        found.append(_last_but_one(design[:, inside], (frame.image - light + own)[inside]))
    # no star is narrower than a point; far from the truth the linear fit knows no bound
    bound = (frame.library.fwhm / FWHM_OF_SIGMA) ** 2
    found = np.clip(found, -bound, bound)
    if len(found) < MIN_ANCHORS:
        return LibraryWidth(np.nan, np.nan, frame.library.fwhm)
    return LibraryWidth(
        float(np.median(found)),
        # of a median of normal deviates
        float(1.2533 * mad_std(found) / np.sqrt(len(found))),
        frame.library.fwhm,
    )


def _last_but_one(design, values):
    """The coefficient of the derivative by the variance, for the flux that was fitted."""
    solution = np.linalg.lstsq(design.T, values, rcond=None)[0]
    return solution[3] / max(solution[0], _LEAST_FLUX)
