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

if TYPE_CHECKING:
    from galstep.core.detection.ladder import Ladder
    from galstep.core.engine.scene import SceneState

__all__ = ["catastrophic_star", "refit_stars"]


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
