"""Groups of stars that stand close together, and fits of one group at a time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_matrix

from galstep.core.engine import normal
from galstep.core.engine.bordered import BorderedMatrix
from galstep.flags import StarFlag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.normal import NormalEquations
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.records import BandFit

__all__ = ["StarsAlone", "group_stars", "with_groups"]

log = logging.getLogger("stpipe.galstep.ladder")


def group_stars(x: np.ndarray, y: np.ndarray, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Friends of friends, by `photutils.psf.SourceGrouper`.

    Parameters
    ----------
    x, y : (n,) arrays
    separation : float
        Stars closer than this are in one group, same unit; 0: each is its own.

    Returns
    -------
    group_id, group_size : (n,) int arrays
        Groups are numbered from 1.
    """
    from photutils.psf import SourceGrouper

    if len(x) == 0 or separation <= 0:
        own = np.arange(1, len(x) + 1)
        return own, np.ones(len(x), dtype=int)
    group_id = np.asarray(SourceGrouper(separation)(np.asarray(x), np.asarray(y)), dtype=int)
    return group_id, np.bincount(group_id)[group_id]


def with_groups(
    fits: Sequence[BandFit], bands: Sequence[SceneBand], options: LadderOptions
) -> list[BandFit]:
    """Fits whose stars know their group; large groups are flagged, and the log warns.

    Parameters
    ----------
    fits : sequence of `galstep.records.BandFit`
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    options : `galstep.core.detection.ladder_options.LadderOptions`

    Returns
    -------
    list of BandFit
        No star is dropped.
    """
    return [_with_groups(fit, band, options) for fit, band in zip(fits, bands, strict=True)]


def _with_groups(fit, band, options):
    stars = fit.stars
    reach = options.group_separation * band.star_renderer.psf.fwhm
    group_id, group_size = group_stars(stars.x, stars.y, reach)
    flags = np.asarray(stars.flags)
    if options.crowded and (group_size > options.crowded).any():
        crowded = group_size > options.crowded
        flags = np.where(crowded, flags | StarFlag.CROWDED_GROUP, flags)
        log.warning(
            "%s: %d stars in groups of more than %d, the largest of %d",
            band.name, crowded.sum(), options.crowded, group_size.max(),
        )  # fmt: skip
    stars = replace(stars, flags=flags, group_id=group_id, group_size=group_size)
    return replace(fit, stars=stars)


@dataclass(frozen=True)
class StarsAlone:
    """Normal equations in which galaxy and sky stand still: a method for `fit_scene`.

    Parameters
    ----------
    separation : float
        0: all stars at once. Otherwise one group of `group_stars` after the
        other, each with what the groups before it have become: a sweep of block
        Gauss-Seidel, for which the matrix is cut to its lower block triangle.
        Sweeps converge for any positive definite matrix (Golub & Van Loan,
        Matrix Computations, 4th ed., theorem 11.2.3).
    """

    separation: float = 0.0

    evaluate = staticmethod(normal.evaluate)

    def normal_equations(
        self,
        bands: Sequence[SceneBand],
        state: SceneState,
        evaluation: Evaluation,
        half_sizes: Sequence[np.ndarray],
        freedom: Freedom,
    ) -> NormalEquations:
        """As `galstep.core.engine.normal.normal_equations`, without the border."""
        full = normal.normal_equations(bands, state, evaluation, half_sizes, freedom)
        stars = full.matrix.stars
        if self.separation > 0 and state.n_stars:
            group_id, _ = group_stars(state.x, state.y, self.separation)
            stars = _lower_triangle(stars, np.repeat(group_id, full.layout.block))
        n_border = full.layout.n_border
        matrix = BorderedMatrix(np.eye(n_border), np.zeros_like(full.matrix.coupling), stars)
        return replace(full, matrix=matrix, border_gradient=np.zeros(n_border))


def _lower_triangle(matrix, group):
    """A sparse matrix without what later groups do to earlier ones."""
    entries = matrix.tocoo()
    keep = group[entries.row] >= group[entries.col]
    places = entries.row[keep], entries.col[keep]
    return csc_matrix((entries.data[keep], places), shape=matrix.shape)
