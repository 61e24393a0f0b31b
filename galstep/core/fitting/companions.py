"""Other galaxies in the frame, which without a profile of their own become stars.

A galaxy that no profile stands for is taken for a clump of stars, 40 to 60 of them if it
is large, and drives the target's own fit if it is near. So before anything else is made of
a scene, each clump of its stars is tried as a galaxy (`galstep.core.fitting.local_galaxy`).
It is one if

* one profile, of seven parameters, leaves a *lower* chi2 than all the stars it replaces, of
  three each. Stars that are stars do not let themselves be replaced: their light is in
  points. In 24 frames of known truth nothing outside the target did but galaxies;
* what the parameters must be worth is paid, by chi2 and by how improbable so many stars so
  close together are (both are logarithms of a probability);
* it is resolved, and neither a needle (two stars) nor all cusp or as large as the frame;
* it lies outside the target's own light: beyond 1.5 r_eff, and there it outshines the
  target. What the target has within, arms, rings and knots, is its structure. Up to 3 r_eff
  the target's outskirts may clump too, and the evidence must be beyond doubt: that of a
  galaxy as large as the pair's second is thirty times what is asked for there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.core_star import PER_STAR, scene_cost
from galstep.core.detection.run_ladder import run_ladder
from galstep.core.fitting.local_galaxy import galaxy_for_stars
from galstep.core.fitting.model_choice import PENALTY
from galstep.core.fitting.star_clumps import star_clumps, target_radius
from galstep.core.measurement.near_companions import REACH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions, LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution
    from galstep.core.fitting.local_galaxy import LocalGalaxy
    from galstep.records import SersicParams

__all__ = [
    "companion_clumps",
    "target_first",
    "with_companions",
    "with_given",
    "with_profiles",
    "with_wide_peaks",
]

# Radii of a clump in FWHM: of a galaxy of about that size, and of a large one.
RADII_FWHM = (2.5, 6.0)
# No clump so close to the target (r_eff): a ring, arms, a bar's ends.
OUTSIDE_R_EFF = 1.5
# So close the evidence must be worth more than a star.
NEAR_R_EFF, NEAR_EVIDENCE = REACH, PER_STAR
# A star in the middle of a clump that is tried has at least this S/N.
MIN_STAR_SNR = 6.0
# The least r_eff of a companion (FWHM): below it a galaxy is a pair of stars.
MIN_R_EFF_FWHM = 0.4
# Modulus of (e1, e2): 0.8 is an axis ratio of 0.11.
MAX_ELLIPTICITY = 0.8
MIN_SNR = 10.0
# A companion's flux must be known to be there after the fit of the frame too.
MIN_FITTED_SNR = 5.0
# Shape (six) and flux.
N_PARAMETERS = 7
MAX_TRIALS, MAX_COMPANIONS = 40, 8
# So often clumps are looked for: what a bright companion hid is seen beside it. And so often
# the frame is fitted each time, the galaxies that did not last left out.
MAX_ROUNDS, MAX_FITS = 3, 2
# -2 ln of a probability per -log10 of it.
PER_DEX = 2 * np.log(10)


def companion_clumps(band: SceneBand, solution: Solution, bounds: ShapeBounds) -> list[LocalGalaxy]:
    """Clumps of a scene's stars that are galaxies.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
        In the scene's frame; the one in which companions are looked for.
    solution : `galstep.core.engine.solve.Solution`
    bounds : `galstep.core.engine.bounds.ShapeBounds`
        Of the galaxies.

    Returns
    -------
    list of `galstep.core.fitting.local_galaxy.LocalGalaxy`
        What is clearest first, at most 8, no star in two of them.
    """
    state, residual = solution.state, solution.evaluation.residuals[0]
    own = bounds.of_companions
    trials = []
    for clump, radius in _clumps(band, state):
        trial = galaxy_for_stars(
            band, residual, state, clump.members, (clump.x, clump.y), radius, own, clump.chance
        )
        if _is_galaxy(trial, band, solution, own):
            trials.append(trial)
    return _apart(sorted(trials, key=_evidence, reverse=True))


def _clumps(band, state):
    """(clump, radius) to be tried, the least probable first."""
    noise = band.sigma * np.sqrt(band.noise_area_in_scene)
    bright = state.star_flux[0] > MIN_STAR_SNR * noise
    allowed = bright & (target_radius(state, state.x, state.y) > OUTSIDE_R_EFF)
    n_pixels = np.count_nonzero(~band.mask)
    found = {}
    for radius in RADII_FWHM:
        reach = radius * band.fwhm_in_scene
        for clump in star_clumps(state, allowed, n_pixels, reach):
            found.setdefault(clump.members.tobytes(), (clump, reach))
    return sorted(found.values(), key=lambda pair: -pair[0].chance)[:MAX_TRIALS]


def _evidence(trial):
    """What is left of the evidence when all parameters are paid, in chi2."""
    price = PENALTY * N_PARAMETERS - PER_STAR * len(trial.replaced)
    return trial.gain - price + PER_DEX * trial.chance


def _is_galaxy(trial, band, solution, bounds):
    x, y = trial.shape[:2]
    ny, nx = band.shape
    if not (0 <= x < nx and 0 <= y < ny and trial.gain > 0 and trial.snr > MIN_SNR):
        return False
    galaxies = solution.evaluation.galaxies[0][:, 0]
    light = np.tensordot(solution.state.galaxy_flux[0], galaxies, axes=1)
    radius = float(target_radius(solution.state, x, y))
    least = 0.0 if radius > NEAR_R_EFF else NEAR_EVIDENCE
    outshines = trial.brightness > light[int(np.rint(y)) % ny, int(np.rint(x)) % nx]
    convincing = radius > OUTSIDE_R_EFF and outshines and _evidence(trial) > least
    cusp = trial.shape[5] > np.log(bounds.n[1]) - 1e-3
    return bool(convincing and not cusp and _has_a_shape(trial.shape, band, bounds))


def _has_a_shape(shape, band, bounds):
    """Whether a profile is resolved, no needle, and does not fill the frame."""
    smallest = np.log(MIN_R_EFF_FWHM * band.fwhm_in_scene)
    resolved = smallest < shape[2] < np.log(bounds.r_eff[1]) - 1e-3
    return bool(resolved and np.hypot(*shape[3:5]) < MAX_ELLIPTICITY)


def _apart(trials):
    """Of trials that share stars, or a centre, the first."""
    kept, taken = [], np.zeros(0, dtype=int)
    for trial in trials:
        near = any(
            np.hypot(*(trial.shape[:2] - other.shape[:2])) < 2 * np.exp(other.shape[2])
            for other in kept
        )
        if not near and not np.isin(trial.replaced, taken).any():
            kept.append(trial)
            taken = np.concatenate([taken, trial.replaced])
    return kept[:MAX_COMPANIONS]


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
    before = scene_cost(bands, result.solution.state, freedom)
    while peaks:
        other = run_ladder(
            bands, with_given(bands[0], start, peaks, bounds), freedom, options, bounds, base
        )
        last = _lasting(other, len(peaks), bounds) & _outshining(other, len(peaks))
        if last.all():
            price = PENALTY * N_PARAMETERS * len(peaks)
            after = scene_cost(bands, other.solution.state, freedom) + price
            return other if after < before else result
        peaks = [own for own, kept in zip(peaks, last, strict=True) if kept]
    return result


def _outshining(result, count):
    """Which of the last profiles are brighter in the middle than all others there."""
    state = result.solution.state
    images = state.galaxy_flux[0][:, None, None] * result.solution.evaluation.galaxies[0][:, 0]
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
        found = companion_clumps(result.bands[0], result.solution, bounds)
        room = MAX_COMPANIONS + 1 - len(np.unique(result.solution.state.galaxy_id))
        if not found[:room]:
            return result
        other = _fitted(result, found[:room], freedom, options, bounds, base)
        if other is None:
            return result
        result = other
    return result


def _fitted(result, found, freedom, options, bounds, base):
    """The ladder again with these galaxies, those that do not last left out; or None."""
    state, bands = result.solution.state, result.bands
    before = scene_cost(bands, state, freedom)
    for _ in range(MAX_FITS):
        gone = np.isin(np.arange(state.n_stars), np.concatenate([own.replaced for own in found]))
        start = with_profiles(
            state.select_stars(~gone),
            np.array([own.shape for own in found]),
            np.array([[own.flux for own in found]]),
        )
        other = run_ladder(bands, start, freedom, options, bounds, base)
        last = _lasting(other, len(found), bounds)
        if last.all():
            price = PENALTY * N_PARAMETERS * len(found)
            after = scene_cost(bands, other.solution.state, freedom) + price
            return other if after < before else None
        found = [own for own, kept in zip(found, last, strict=True) if kept]
        if not found:
            return None
    return None


def _lasting(result, count, bounds):
    """Which of the last profiles are galaxies after the fit of the frame."""
    band, solution = result.bands[0], result.solution
    state, own = solution.state, bounds.of_companions
    ny, nx = band.shape
    last = []
    for g in range(len(state.shapes) - count, len(state.shapes)):
        shape, flux = state.shapes[g], state.galaxy_flux[0, g]
        image = flux * solution.evaluation.galaxies[0][g, 0]
        snr = np.sign(flux) * np.sqrt(np.vdot(band.weight, image**2))
        on_frame = -0.5 <= shape[0] < nx - 0.5 and -0.5 <= shape[1] < ny - 0.5
        last.append(on_frame and snr > MIN_FITTED_SNR and _has_a_shape(shape, band, own))
    return np.array(last)
