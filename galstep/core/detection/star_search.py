"""Where the ladder looks for new stars, and which peaks it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.candidates import (
    leftover_peaks,
    near_centres,
    near_places,
    standing_out,
)
from galstep.core.detection.finder import aperture_fluxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.detect import Candidates
    from galstep.core.detection.finder import Look
    from galstep.core.detection.ladder_options import LadderOptions
    from galstep.core.engine.scene import SceneBand

__all__ = ["StarSearch", "covered_pixels"]


class StarSearch:
    """The rules of a ladder for new stars.

    Parameters
    ----------
    options : `galstep.core.detection.ladder_options.LadderOptions`
    fwhm : float
        Of the sharpest band, pixels of the scene.
    max_stars : int
        Largest number of stars in the scene.

    Attributes
    ----------
    limited : bool
        Whether stars were left because there was no room.
    """

    def __init__(self, options: LadderOptions, fwhm: float, max_stars: int) -> None:
        self.options, self.fwhm, self.max_stars = options, fwhm, max_stars
        self.limited = False
        self._rejected = np.zeros((0, 2))

    def reject(self, x: np.ndarray, y: np.ndarray) -> None:
        """Remember places that are not to be tried again."""
        self._rejected = np.concatenate([self._rejected, np.column_stack([x, y])])

    def detect(
        self, look: Look, shapes: np.ndarray, bright: np.ndarray, threshold: float, near: bool
    ) -> Candidates:
        """Peaks above the threshold; lower ones near bright stars.

        Parameters
        ----------
        look : `galstep.core.detection.finder.Look`
        shapes : (ng, 6) array
            The galaxies.
        bright : (n_stars,) bool array
            Which of the known stars are bright.
        threshold : float
            In units of the map's scatter.
        near : bool
            Whether lower peaks are looked for at all.

        Returns
        -------
        `galstep.core.detection.detect.Candidates`
        """
        options = self.options
        near = near and options.near_threshold < threshold
        lowest = options.near_threshold if near else threshold
        found = options.finder.find(look, lowest, options.separation * self.fwhm)
        found = self._standing_out(look, found)
        keep = found.significance > threshold
        if near and len(found.x):
            reach = options.near_radius * self.fwhm
            close = near_places(found.x, found.y, look.x[bright], look.y[bright], reach)
            keep |= close & (found.significance > lowest)
        return self._allowed(look, shapes, found.select(np.flatnonzero(keep)))

    def leftovers(
        self,
        look: Look,
        shapes: np.ndarray,
        threshold: float,
        separation: float,
        box_size: int | None = None,
    ) -> Candidates:
        """Peaks that a fit has left.

        Parameters
        ----------
        look, shapes
            As for `detect`.
        threshold : float
            In units of the map's scatter.
        separation : float
            From known stars and each other, in FWHM.
        box_size : int, optional
            Look with `leftover_peaks` and this box; by default with the finder
            of the options.

        Returns
        -------
        `galstep.core.detection.detect.Candidates`
        """
        distance = separation * self.fwhm
        if box_size is None:
            found = self.options.finder.find(look, threshold, distance)
        else:
            found = leftover_peaks(look, threshold, distance, box_size)
        found = self._standing_out(look, found)
        keep = np.flatnonzero(found.significance > threshold)
        # what would not be kept anyway may be left without being missed
        return self._allowed(look, shapes, found.select(keep), self.options.keep)

    def _standing_out(self, look, found):
        if not self.options.background.has_annulus or not len(found.x):
            return found
        return standing_out(look, found, self.options.background)

    def _allowed(self, look, shapes, found, missed=-np.inf):
        """Those not rejected before and outside the mask, as many as there is room for.

        The list is limited if one that is left is more significant than ``missed``.
        """
        options = self.options
        reach = options.separation * self.fwhm
        gone = near_places(found.x, found.y, *self._rejected.T, reach)
        gone |= near_centres(shapes, found.x, found.y, np.inf, options.centre_mask * self.fwhm)
        found = found.select(np.flatnonzero(~gone))
        room = max(0, self.max_stars - len(look.x))
        if len(found.x) > room:
            self.limited |= bool(found.significance[room] > missed)
            found = found.select(np.arange(room))
        if options.first_flux > 0:
            found = replace(found, flux=aperture_fluxes(look, found.x, found.y, options.first_flux))
        return found


def covered_pixels(bands: Sequence[SceneBand]) -> float:
    """Number of the scene's pixels with data in a band at least."""
    if all(band.in_scene_frame for band in bands):
        return float(np.count_nonzero(~np.all([band.mask for band in bands], axis=0)))
    return max(np.count_nonzero(~band.mask) / band.scale**2 for band in bands)
