"""The matcher that `tweakwcs` is given: a match that is believed only if chance is ruled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from tweakwcs import XYXYMatch
from tweakwcs.linearfit import iter_linear_fit
from tweakwcs.matchutils import MatchCatalogs, MatchSourceConfusionError

from galstep.core.align.match import (
    LEAST_RADIUS,
    MatchQuality,
    apply_affine,
    guess_transform,
    match_quality,
    refine_pairs,
)

if TYPE_CHECKING:
    from galstep.core.align.options import MatchOptions

__all__ = ["IDS_PER_IMAGE", "StarMatch"]

# Votes for an offset agree when they are as close as this, pixels.
VOTE_STEP = 2.0
# tweakwcs hands the matcher no names: the ids of the stars tell the image.
IDS_PER_IMAGE = 1_000_000


def _plane(table):
    return np.column_stack([table["TPx"], table["TPy"]]).astype(float)


class StarMatch(MatchCatalogs):
    """Matches two catalogues in the tangent plane, or says why it does not.

    Offset and rotation are found by votes, pairs by `tweakwcs.XYXYMatch`; they
    are refined with all stars and compared with chance.

    Parameters
    ----------
    options : `MatchOptions`
    pixel : float
        Side of a pixel, arcsec.

    Attributes
    ----------
    quality : `MatchQuality`
        Of the last match.
    reason : str
        Why the last match gave nothing; empty if it did.
    by_image : dict of int to (MatchQuality, str)
        The same for each image, by its number; the catalogues' ids carry it.
    """

    def __init__(self, options: MatchOptions, pixel: float) -> None:
        self.options, self.pixel = options, float(pixel)
        self.quality, self.reason = MatchQuality(), ""
        self.by_image = {}

    def __call__(self, refcat: Table, imcat: Table, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the pairs in both catalogues; empty if the match is not to be trusted."""
        reference, image = _plane(refcat), _plane(imcat)
        first, second = self._pairs(reference, image)
        self.by_image[int(imcat["id"][0]) // IDS_PER_IMAGE] = self.quality, self.reason
        if self.reason:
            none = np.zeros(0, dtype=int)
            return none, none
        return first, second

    def fit(self, reference: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(matrix, shift) that bring ``image`` to ``reference``, clipped."""
        geometry = self.options.fitgeometry if len(image) > 3 else "shift"
        fitted = iter_linear_fit(
            reference, image, fitgeom=geometry, nclip=self.options.nclip,
            sigma=(self.options.sigma or 1.0, "mad"), center=(0.0, 0.0),
        )  # fmt: skip
        return fitted["matrix"], fitted["shift"]

    def _pairs(self, reference, image):
        options = self.options
        self.reason, self.quality = "", MatchQuality()
        step = min(VOTE_STEP * self.pixel, options.tolerance)
        matrix, shift, n_trials = self._guess(reference, image, step)
        matrix, shift = self._matched(reference, image, matrix, shift, step)
        # the guess is good to a step, and the refinement shrinks from there
        found = refine_pairs(
            reference, image, self.fit, matrix, shift,
            min(2 * step, options.tolerance), min(LEAST_RADIUS * self.pixel, options.tolerance),
        )  # fmt: skip
        first, second, matrix, shift, radius = found
        moved = apply_affine(matrix, shift, image)
        self.quality = match_quality(reference, moved, radius, n_trials)
        if len(first) < options.minobj:
            self.reason = f"only {len(first)} stars match, {options.minobj} are needed"
        elif not self.quality.is_real:
            self.reason = (
                f"the match of {len(first)} stars may be chance: unrelated fields give "
                f"{self.quality.n_chance:.1f}"
            )
        return first, second

    def _guess(self, reference, image, step):
        options = self.options
        start = (0.0, 0.0) if options.use2dhist else (-options.xoffset, -options.yoffset)
        reach = options.searchrad if options.use2dhist else options.tolerance
        rotate = options.fitgeometry != "shift"
        return guess_transform(reference, image, reach, step, rotate, start)

    def _matched(self, reference, image, matrix, shift, step):
        """The transformation after a match by `XYXYMatch`; the guess where it finds nothing."""
        moved = apply_affine(matrix, shift, image)
        match = XYXYMatch(
            searchrad=self.options.searchrad,
            separation=self.options.separation,
            tolerance=min(self.options.tolerance, 2 * step),
            use2dhist=False,
        )
        tables = [Table(dict(zip(("TPx", "TPy"), xy.T, strict=True))) for xy in (reference, moved)]
        try:
            first, second = match(*tables)
        except MatchSourceConfusionError:
            return matrix, shift
        if len(first) < max(3, self.options.minobj // 3):
            return matrix, shift
        return self.fit(reference[first], image[second])
