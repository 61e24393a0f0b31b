"""Other galaxies in the frame, which without a profile of their own become stars.

A galaxy that no profile stands for is taken for a clump of stars, 40 to 60 of them if it
is large, and drives the target's own fit if it is near. So before anything else is made of
a scene, each clump of its stars is tried as a galaxy
(`galstep.core.fitting.companion_trials`), and what passes is fitted with the frame, which
decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.core_star import ladder_cost, scene_cost
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.fitting.companion_trials import (
    MAX_COMPANIONS,
    PRICE,
    companion_clumps,
    has_a_shape,
    near_frame,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from galstep.core.detection.ladder_options import LadderOptions, LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.records import SersicParams

__all__ = [
    "target_first",
    "with_companions",
    "with_given",
    "with_lasting",
    "with_profiles",
    "with_wide_peaks",
]

# A companion's flux must be known to be there after the fit of the frame too.
MIN_FITTED_SNR = 5.0
# So often clumps are looked for: what a bright companion hid is seen beside it. And so often
# the frame is fitted each time, the galaxies that did not last left out.
MAX_ROUNDS, MAX_FITS = 3, 2


def with_profiles(state: SceneState, shapes: np.ndarray, flux: np.ndarray) -> SceneState:
    """The state with further galaxies of one profile each.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
        With at least one profile.
    shapes : (k, 6) array
        Shape vectors.
    flux : (nb, k) array

    Returns
    -------
    `galstep.core.engine.scene.SceneState`
    """
    first, count = int(state.galaxy_id.max()) + 1, len(shapes)
    n_powers = len(state.gradients)
    return replace(
        state,
        shapes=np.concatenate([state.shapes, np.reshape(shapes, (count, 6))]),
        galaxy_flux=np.concatenate([state.galaxy_flux, flux], axis=1),
        gradients=np.concatenate([state.gradients, np.zeros((n_powers, count, 6))], axis=1),
        galaxy_id=np.concatenate([state.galaxy_id, np.arange(first, first + count)]),
    )


def with_given(
    band: SceneBand, state: SceneState, given: Sequence[SersicParams], bounds: ShapeBounds
) -> SceneState:
    """A start with galaxies that are known to be there.

    They stay whatever the fit says of them.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        In the scene's frame.
    state : `galstep.core.engine.scene.SceneState`
        Without stars.
    given : sequence of `galstep.records.SersicParams`
        Where they start, in the scene's frame.
    bounds : `galstep.core.engine.bounds.ShapeBounds`

    Returns
    -------
    `galstep.core.engine.scene.SceneState`
        Each with a ``galaxy_id`` of its own, and twice the light that the data have within
        its half-light radius beyond target and sky.
    """
    if not given:
        return state
    own = bounds.of_companions
    shapes = np.array([own.clip(params.to_vector()) for params in given])
    profiles = [band.galaxy_renderer.image(shape) for shape in state.shapes]
    model = np.tensordot(state.galaxy_flux[0], profiles, axes=1)
    light = np.where(band.mask, 0.0, band.data - model)
    light = light - np.tensordot(state.sky[0], band.basis, axes=1) * ~band.mask
    yy, xx = np.indices(band.shape)
    radii = np.exp(shapes[:, 2])
    within = [np.hypot(xx - s[0], yy - s[1]) < r for s, r in zip(shapes, radii, strict=True)]
    flux = [max(2.0 * float(light[near].sum()), 0.0) for near in within]
    return with_profiles(state, shapes, np.array([flux]))


def target_first(state: SceneState, sought: Sequence[float], n_known: int) -> SceneState:
    """The state with the galaxy that was asked for as its first.

    A brighter core nearby draws the only profile of the first fit to itself, and the galaxy
    that was asked for is then found as its companion. The two change places where the first
    has left the place where it was looked for by more than its r_eff and a companion that
    was found is less than half as far from there.

    Parameters
    ----------
    state : `galstep.core.engine.scene.SceneState`
        Galaxies of one profile each.
    sought : (x, y)
        Where the target was looked for.
    n_known : int
        The first so many galaxies are the target and those that were given.

    Returns
    -------
    `galstep.core.engine.scene.SceneState`
        The same one where nothing changes places.
    """
    distance = np.hypot(*(state.shapes[:, :2] - np.asarray(sought)).T)
    found = np.arange(len(distance)) >= n_known
    if not found.any():
        return state
    other = int(np.argmin(np.where(found, distance, np.inf)))
    left = distance[0] > np.exp(state.shapes[0, 2])
    if not left or distance[other] >= distance[0] / 2:
        return state
    order = np.arange(len(distance))
    order[[0, other]] = other, 0
    return replace(
        state,
        shapes=state.shapes[order],
        galaxy_flux=state.galaxy_flux[:, order],
        gradients=state.gradients[:, order],
    )


def with_wide_peaks(
    result: LadderResult,
    start: SceneState,
    peaks: Sequence[SersicParams],
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """A fit of one band, or one with galaxies where they were seen from the start.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    start : `galstep.core.engine.scene.SceneState`
        What it started from, without stars.
    peaks : sequence of `galstep.records.SersicParams`
        From `galstep.core.fitting.wide_peaks.wide_peaks`.
    freedom, options, bounds, base
        What ``result`` was made with, see `galstep.core.detection.run_ladder.run_ladder`.

    Returns
    -------
    LadderResult
        That of the lower chi2, with what stars and parameters must be worth. Galaxies that
        do not last, or that the target outshines, are left out.
    """
    bands = result.bands
    before = ladder_cost(result, bands, freedom)
    while peaks:
        other = run_ladder(
            bands, with_given(bands[0], start, peaks, bounds), freedom, options, bounds, base
        )
        last = _lasting(other, len(peaks), bounds) & _outshining(other, len(peaks))
        if last.all():
            after = _cost_in(bands, other, freedom) + PRICE * len(peaks)
            return other if after < before else result
        peaks = [own for own, kept in zip(peaks, last, strict=True) if kept]
    return result


def _outshining(result, count):
    """Which of the last profiles are brighter in the middle than all others there."""
    state = result.solution.state
    images = state.galaxy_flux[0][:, None, None] * result.solution.evaluation.images(0)
    ny, nx = images.shape[1:]
    numbers = range(len(images) - count, len(images))
    own = []
    for number in numbers:
        x, y = np.rint(state.shapes[number, :2]).astype(int)
        column = images[:, np.clip(y, 0, ny - 1), np.clip(x, 0, nx - 1)]
        own.append(2 * column[number] > column.sum())
    return np.array(own)


def with_companions(
    result: LadderResult,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """A fit of one band with the galaxies that its clumps of stars are.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    freedom, options, bounds, base
        What it was made with, see `galstep.core.detection.run_ladder.run_ladder`.

    Returns
    -------
    LadderResult
        The same one where there is none. Each has a ``galaxy_id`` of its own.
    """
    for _ in range(MAX_ROUNDS):
        room = MAX_COMPANIONS + 1 - len(np.unique(result.solution.state.galaxy_id))
        found = _at_most(companion_clumps(result.bands[0], result.solution, bounds), room)
        if not found:
            return result
        other = _fitted(result, found, freedom, options, bounds, base)
        if other is None:
            return result
        result = other
    return result


def with_lasting(
    result: LadderResult,
    known: ArrayLike,
    freedom: Freedom,
    options: LadderOptions,
    bounds: ShapeBounds,
    base: Sequence[np.ndarray | None],
) -> LadderResult:
    """A fit of one band without the companions of which the open scene has left nothing.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    known : int array
        ``galaxy_id`` of the target and of the galaxies that were given, which stay.
    freedom, options, bounds, base
        What it was made with, see `galstep.core.detection.ladder.run_ladder`.

    Returns
    -------
    LadderResult
        The same one where all of them last.
    """
    state = result.solution.state
    kept = np.isin(state.galaxy_id, known) | _lasting(result, len(state.shapes), bounds)
    if kept.all():
        return result
    start = replace(
        state,
        shapes=state.shapes[kept],
        galaxy_flux=state.galaxy_flux[:, kept],
        gradients=state.gradients[:, kept],
        galaxy_id=state.galaxy_id[kept],
    )
    fitted = state, result.solution.evaluation
    return run_ladder(result.bands, start, freedom, options, bounds, base, fitted)


def _at_most(found, count):
    """The first of some trials that have no more profiles than this together."""
    total = np.cumsum([len(trial) for trial in found])
    return [trial for trial, n in zip(found, total, strict=True) if n <= count]


def _fitted(result, found, freedom, options, bounds, base):
    """The ladder again with these galaxies, those that do not last left out; or None."""
    state, bands = result.solution.state, result.bands
    known = state, result.solution.evaluation
    before = ladder_cost(result, bands, freedom)
    for _ in range(MAX_FITS):
        gone = np.isin(np.arange(state.n_stars), np.concatenate([own.replaced for own in found]))
        shapes = np.concatenate([own.shapes for own in found])
        flux = np.concatenate([own.flux for own in found])
        start = with_profiles(state.select_stars(~gone), shapes, flux[None])
        other = run_ladder(bands, start, freedom, options, bounds, base, known)
        last = _lasting(other, len(shapes), bounds)
        if last.all():
            after = _cost_in(bands, other, freedom) + PRICE * len(shapes)
            return other if after < before else None
        ends = np.cumsum([len(own) for own in found])
        kept = [part.all() for part in np.split(last, ends[:-1])]
        found = [own for own, lasted in zip(found, kept, strict=True) if lasted]
        if not found:
            return None
    return None


def _cost_in(bands, other, freedom):
    """`scene_cost` of a ladder's end as these bands see it."""
    solution = other.solution
    return scene_cost(bands, solution.state, freedom, (solution.state, solution.evaluation))


def _lasting(result, count, bounds):
    """Which of the last profiles are galaxies after the fit of the frame."""
    band, solution = result.bands[0], result.solution
    state, own = solution.state, bounds.of_companions
    last = []
    for g in range(len(state.shapes) - count, len(state.shapes)):
        shape, flux = state.shapes[g], state.galaxy_flux[0, g]
        image = flux * solution.evaluation.images(0)[g]
        snr = np.sign(flux) * np.sqrt(np.vdot(band.weight, image**2))
        seen = near_frame(shape, band) and snr > MIN_FITTED_SNR
        last.append(seen and has_a_shape(shape, flux, band, own))
    return np.array(last)
