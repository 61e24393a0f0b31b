"""The last refits of a ladder: all stars once more, and what they leave.

``none`` leaves the scene as the ladder has fitted it to convergence. ``iterative``
looks for stars in the residual at a threshold of its own and fits everything
again, until the residual's scatter stops improving; a fit in which a star's flux
changes out of all measure is undone. ``nnls`` holds the positions, solves for
fluxes that are not negative, and looks for what is left with
`photutils.detection.find_peaks`.

Both need the ladder that they end: see `galstep.core.detection.ladder.Ladder` for what they
use of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.nonnegative import fit_nonnegative
from galstep.core.detection.option_values import odd_square_side, of_psf_sigma
from galstep.core.detection.star_fitters import StarFitter
from galstep.exceptions import ParameterError
from galstep.options import option, options

if TYPE_CHECKING:
    from galstep.core.detection.ladder import Ladder
    from galstep.core.engine.scene import SceneState

__all__ = ["REFIT_METHODS", "FinalRefit", "catastrophic_star", "refit_stars"]

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
        "iterative",
        "After the ladder: iterative, look for leftovers and fit everything again until the "
        "residual stops improving; nnls, positions held and fluxes not negative, then leftovers; "
        "none, only the fit to convergence",
        name="final_refit_method",
        choices=REFIT_METHODS,
    )
    together: bool = option(
        True,
        "iterative: all stars at once with galaxy and sky; otherwise group by group, the others "
        "held",
        name="final_joint_refit",
    )
    reach: float | None = option(
        None,
        "iterative: largest distance of a star from where the ladder has it (pixels; 0: positions "
        "are pinned, as sphot has it; default: free, as in the ladder)",
        name="final_refit_xy_bounds",
        kind="float",
        least=0,
    )
    iterations: int = option(
        5,
        "iterative: largest number of rounds",
        name="final_refit_iterations",
        least=0,
    )
    threshold: float = option(
        4.0,
        "iterative: threshold of leftovers (sigma of the matched-filter map); th_min decides "
        "which stay",
        name="final_refit_detect_th",
        least=1,
    )
    separation: float = option(
        2.0,
        "iterative: smallest distance of a leftover from known stars and other leftovers (sigma "
        "of the PSF)",
        name="final_refit_dedup_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    residual_tol: float = option(
        0.01,
        "iterative: the rounds end when one lowers the residual's median absolute deviation by "
        "less than this share",
        name="final_refit_residual_tol",
        least=0,
        most=1,
    )
    catastrophic_factor: float = option(
        20.0,
        "iterative: a round in which a star's flux, counted as the noise of a lone star at least, "
        "changes by more than this factor is undone, and ends the refit (0: never)",
        name="final_refit_catastrophic_flux_factor",
        least=0,
    )
    window: int = option(
        (0, 0),
        "iterative: square in which stars are refitted, two equal odd sides, galaxy and sky held "
        "meanwhile (pixels; 0, 0: all that the PSF reaches, everything at once; sphot has 11, 11)",
        name="final_refit_fit_shape",
        least=2,
        most=2,
        read=odd_square_side,
    )
    leftover_iterations: int = option(
        3,
        "nnls: largest number of searches for leftovers",
        name="leftover_max_iterations",
        least=0,
    )
    leftover_threshold: float = option(
        5.0,
        "nnls: threshold of leftovers (sigma of the matched-filter map)",
        name="leftover_detect_k_sigma",
        least=1,
    )
    leftover_separation: float = option(
        1.5,
        "nnls: smallest distance of a leftover from known stars and other leftovers (sigma of the "
        "PSF)",
        name="leftover_dedup_psfsigma",
        least=0,
        read=of_psf_sigma,
    )
    leftover_box: int = option(
        3,
        "nnls: square in which a leftover is the highest pixel of the matched-filter map (pixels)",
        name="leftover_box_size",
        least=2,
    )

    def __post_init__(self) -> None:
        if self.method not in REFIT_METHODS:
            raise ParameterError(
                f"final_refit_method must be one of {', '.join(REFIT_METHODS)}, got {self.method!r}"
            )

    def fitter(self, plain: StarFitter, group_separation: float) -> StarFitter:
        """What fits the scene at the end.

        Parameters
        ----------
        plain : `StarFitter`
            That of the passes.
        group_separation : float
            Stars closer than this are in one group, pixels of the scene.

        Returns
        -------
        callable
            As `galstep.core.engine.solve.fit_scene`.
        """
        if self.method != "iterative":
            return plain
        return StarFitter(
            plain.fitter,
            window=self.window or plain.window,
            separation=0.0 if self.together else group_separation,
            reach=self.reach,
        )


def refit_stars(ladder: Ladder) -> None:
    """End a ladder with a fit to convergence and the refit that is wanted.

    Parameters
    ----------
    ladder : `galstep.core.detection.ladder.Ladder`
        Changed in place.
    """
    options = ladder.options.refit
    if options.method == "iterative":
        _iterate(ladder, options)
        return
    ladder.converge()
    if options.method == "nnls":
        _nonnegative(ladder, options)


def catastrophic_star(
    before: SceneState, after: SceneState, floor: np.ndarray, factor: float
) -> tuple[float, float, float] | None:
    """The star, in both of two states, whose flux changed most, if by too much.

    Parameters
    ----------
    before, after : `galstep.core.engine.scene.SceneState`
        With an identity for every star.
    floor : (nb,) array
        What a flux counts as at least in each band.
    factor : float
        0: nothing is too much.

    Returns
    -------
    (x, y, ratio) or None
        Where it was, and the larger flux over the smaller one.
    """
    _, old, new = np.intersect1d(before.star_id, after.star_id, return_indices=True)
    if factor <= 0 or not len(old):
        return None
    first, last = (
        np.maximum(np.abs(flux), floor[:, None])
        for flux in (before.star_flux[:, old], after.star_flux[:, new])
    )
    ratio = np.maximum(first / last, last / first).max(axis=0)
    worst = int(np.argmax(ratio))
    if ratio[worst] <= factor:
        return None
    return before.x[old[worst]], before.y[old[worst]], float(ratio[worst])


def _iterate(ladder, options):
    ladder.identify()
    good = ladder.saved()
    ladder.converge()
    if _undone(ladder, good, "the refit"):
        return
    for number in range(1, options.iterations + 1):
        good, scatter = ladder.saved(), ladder.residual_scatter()
        n_found = ladder.add(ladder.leftovers(options.threshold, options.separation))
        if not n_found:
            return
        ladder.identify()
        ladder.converge()
        ladder.note_pass(options.threshold, n_found)
        if _undone(ladder, good, f"round {number} of the refit"):
            return
        gained = 1 - ladder.residual_scatter() / scatter
        if gained < 0:
            ladder.restore(good)
        if gained < options.residual_tol:
            return


def _undone(ladder, good, what):
    """Go back to a saved state if a star's flux ran away from it."""
    found = catastrophic_star(
        good.state, ladder.state, ladder.faintest(), ladder.options.refit.catastrophic_factor
    )
    if found is None:
        return False
    x, y, ratio = found
    ladder.restore(good)
    ladder.failed(
        f"{what} was undone: the flux of the star at x = {x:.1f}, y = {y:.1f} "
        f"changed by a factor of {ratio:.3g}"
    )
    return True


def _nonnegative(ladder, options):
    ladder.final_fitter = fit_nonnegative
    ladder.converge()
    for _ in range(options.leftover_iterations):
        threshold, box = options.leftover_threshold, options.leftover_box
        n_found = ladder.add(ladder.leftovers(threshold, options.leftover_separation, box))
        if not n_found:
            break
        ladder.converge()
        ladder.note_pass(threshold, n_found)
    ladder.drop_zeros()
