"""The stars of a frame while its PSF is being calibrated, loop after loop.

Every loop has another PSF, and another PSF shows other stars: too sharp a one
splits a star into several, too broad a one merges pairs. So the first two loops
search from scratch, unless another filter has told where the stars are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from galstep.core.calibration.field_stars import MAX_MOVE, POSITION_PRIOR, FieldStars, refine_stars
from galstep.core.calibration.filter_width import best_width
from galstep.core.calibration.star_peaks import find_star_peaks, forced_stars

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from galstep.core.calibration.disc_fit import Frame, WorkingPsf
    from galstep.core.calibration.filter_width import ScanOptions

__all__ = ["StarSearch"]

FORCED_STEP_PRIOR = 0.1
# Loops in which stars are searched for; the later ones refine the list.
N_SEARCHES = 2
# Stars below this signal-to-noise are not drawn.
LEAST_SNR = 2.5
LEAST_FORCED_SNR = 2.0


class StarSearch:
    """Finds the stars of one frame, with a PSF that changes from loop to loop.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    thresholds : sequence of float
        Falling detection thresholds, in MAD of the filtered image; the first
        two are for a PSF that is a guess.
    neighbours : (x, y), optional
        Positions known beforehand, up to a small common offset. They stand for
        the detection, which then only adds what they lack.
    width : float, optional
        Width of the detection filter over that of the PSF.
    scan : galstep.core.calibration.filter_width.ScanOptions, optional
        How a better width is looked for; None: not at all.

    max_move : float, optional
        Largest move of a star in a step, pixels; 0: none.

    Attributes
    ----------
    stars : FieldStars
        All stars of the last loop, total fluxes.
    width : float
        Width of the detection filter of the last loop.
    """

    def __init__(
        self,
        frame: Frame,
        thresholds: Sequence[float],
        neighbours: tuple[np.ndarray, np.ndarray] | None = None,
        width: float = 1.0,
        scan: ScanOptions | None = None,
        max_move: float = MAX_MOVE,
    ) -> None:
        self.frame, self.neighbours, self.scan = frame, neighbours, scan
        self.bright, self.faint = tuple(thresholds[:2]), tuple(thresholds[2:])
        self.stars, self.width, self.max_move = FieldStars(), width, max_move

    def find(self, working: WorkingPsf, loop: int) -> FieldStars:
        """The stars with the PSF of this loop; also kept.

        Parameters
        ----------
        working : galstep.core.calibration.disc_fit.WorkingPsf
        loop : int
            Its number, from 0.

        Returns
        -------
        FieldStars
        """
        if self.scan is not None and loop < N_SEARCHES:
            threshold = self.bright[-1]
            self.width = best_width(self.frame, working, threshold, self.width, self.scan)
        scene = (self.frame.image, self.frame.variance, self.frame.good, working.renderer)
        known = self.stars
        stars = FieldStars(known.x, known.y, known.flux * working.share)
        if self.neighbours is None:
            prior, thresholds = POSITION_PRIOR, self._thresholds(loop)
            stars = stars if loop >= N_SEARCHES else FieldStars()
            stars, rest = self._refined(*scene, stars, steps=int(loop >= N_SEARCHES))
        else:
            prior, thresholds = FORCED_STEP_PRIOR, self._forced_thresholds(loop)
            if loop:
                stars, rest = self._refined(*scene, stars, prior=prior)
            else:
                stars, rest = forced_stars(*scene, working.fwhm, self.neighbours, width=self.width)
        for threshold in thresholds:
            found = find_star_peaks(
                rest, self.frame.good, working.renderer, working.fwhm, threshold, self.width
            )
            stars = stars.joined(found.away_from(stars, 0.5 * working.fwhm))
            stars, rest = self._refined(*scene, stars, prior=prior)
        self.stars = FieldStars(stars.x, stars.y, stars.flux / working.share)
        return self.stars

    def _refined(self, *scene_and_stars, **options):
        options |= {"move": self.max_move > 0, "max_move": self.max_move}
        return refine_stars(*scene_and_stars, **options)

    def _thresholds(self, loop):
        """From scratch: coarsely while the kernel is a guess, then all the way down."""
        return (self.bright, self.bright + self.faint, ())[min(loop, N_SEARCHES)]

    def _forced_thresholds(self, loop):
        return (self.bright[1:], self.faint[:1], ())[min(loop, N_SEARCHES)]

    def snr(self, working: WorkingPsf) -> np.ndarray:
        """Signal-to-noise of each star, were it alone.

        Returns
        -------
        ndarray
        """
        return self.stars.flux * working.share / working.flux_error(self.frame.noise)

    def is_real(self, snr: np.ndarray) -> np.ndarray:
        """Which stars are bright enough to be drawn."""
        return snr > (LEAST_SNR if self.neighbours is None else LEAST_FORCED_SNR)
