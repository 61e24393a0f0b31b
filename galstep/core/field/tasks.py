"""One block of a field, fitted beside the rest of it as it stood when the round began.

A task is picklable and holds no pixels: a worker reads those of the block's box itself. Its
result depends on nothing but the task.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.block_task import BlockResult, BlockTask
from galstep.core.field.frames import beside, read_frames
from galstep.core.field.sky_mesh import SkyMessage
from galstep.core.field.type_choice import choose_types
from galstep.core.scene.errors import scene_errors
from galstep.core.scene.scene import Evaluation, Scene
from galstep.core.scene.solve import FitOptions, fit_scene
from galstep.core.scene.stamps import stamp_halves

if TYPE_CHECKING:
    pass

__all__ = ["fit_block", "noise_scales", "own_reach", "scaled_errors"]

# Damping: of a fit that begins, and of one that goes on where another ended.
_FIRST_DAMPING, _LATER_DAMPING = 1e-2, 1e-5
# A first fit ends when chi2 falls by less than this per source, and who moves by less than a tenth
# of an error stands still: the next rounds finish it.
_ROUGH, _ROUGHEST, _STILL = 0.02, 2.0, 0.1


def fit_block(task: BlockTask) -> BlockResult:
    """Fit the sources of a block.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the errors cannot be computed.
    GalstepError
        If the pixels cannot be read.
    """
    begun = time.process_time()
    options = task.options
    deadline = inf if options.time_limit == inf else time.monotonic() + options.time_limit
    frames = beside(read_frames(task.bands, task.box, task.skies), task.neighbours)
    scene = Scene(frames, list(task.sources))
    state = scene.start(task.z, task.flux)
    start = Evaluation(scene, state, scene.render(state), scene.weights()).reweighted()
    if task.round == 0:
        fit, n_iterations = _first_fit(start, options, deadline)
    else:
        final = FitOptions(options.max_iterations, options.tolerance, _LATER_DAMPING)
        fit = fit_scene(start, _until(final, deadline))
        n_iterations = fit.n_iterations
    kind, type_chi2 = np.array(task.kind[: task.n_own]), np.full((task.n_own, 4), np.nan)
    if task.choose.any():
        evaluation, kind, type_chi2 = choose_types(task, fit.evaluation)
        again = FitOptions(options.max_iterations, options.tolerance, _FIRST_DAMPING)
        fit = fit_scene(evaluation, _until(again, deadline))
        n_iterations += fit.n_iterations
    return _result(task, fit, kind, type_chi2, n_iterations, time.process_time() - begun)


def _first_fit(start, options, deadline):
    """Rough, with the weights renewed on the way."""
    rough = float(np.clip(_ROUGH * len(start.scene.sources), options.tolerance, _ROUGHEST))
    first = FitOptions(options.max_iterations, rough, _FIRST_DAMPING, _STILL)
    fit = fit_scene(start, _until(first, deadline))
    finer = max(rough / 2, options.tolerance)
    second = FitOptions(options.max_iterations, finer, _LATER_DAMPING, _STILL)
    again = fit_scene(fit.evaluation.renewed(), _until(second, deadline))
    return again, fit.n_iterations + again.n_iterations


def _until(options, deadline):
    return FitOptions(
        options.max_iterations, options.tolerance, options.damping, options.still, deadline
    )


def own_reach(source, z, flux, frames) -> tuple[float, float]:
    """How far a source's fit and model stamps go, in reference pixels."""
    halves = np.array(stamp_halves(source, z, flux, frames), dtype=float) + 1
    scale = np.array([frame.pixel_map.scale for frame in frames])
    fit, model = (halves / scale[:, None]).max(axis=0)
    return float(fit), float(model)


def _result(task, fit, kind, type_chi2, n_iterations, seconds):
    own, evaluation = slice(0, task.n_own), fit.evaluation
    scene, state = evaluation.scene, evaluation.state
    equations = fit.equations()
    errors = scene_errors(equations)
    given = np.array([band.noise_factor for band in task.bands])
    factors = noise_scales(np.broadcast_to(given, state.flux.shape), state.flux)
    covariance = [
        scaled_errors(errors.sources[i], scene.sources[i].n_free, *factors[i])
        for i in range(task.n_own)
    ]
    sources = scene.sources[own]
    return BlockResult(
        block=task.block,
        z=state.z[own],
        flux=state.flux[own],
        kind=kind,
        free=np.array([s.free for s in sources]).reshape(-1, 6),
        covariance=covariance,
        at_bound=[
            ",".join(s.bounds.at_bound(z, s.free)) for s, z in zip(sources, state.z, strict=False)
        ],
        reach=np.array(
            [
                own_reach(s, z, f, scene.frames)
                for s, z, f in zip(sources, state.z, state.flux, strict=False)
            ]
        ).reshape(-1, 2),
        own_chi2=evaluation.own_band_chi2[own],
        own_pixels=evaluation.own_pixels[own],
        frac_masked=_masked_shares(evaluation, task.n_own),
        seen=_seen(fit, task.n_own),
        type_chi2=type_chi2,
        sky=state.sky,
        messages=_messages(task, state.sky, errors.sky),
        chi2=evaluation.band_chi2,
        n_pixels=np.array([np.count_nonzero(frame.good) for frame in scene.frames]),
        n_iterations=n_iterations,
        converged=fit.converged,
        seconds=seconds,
    )


def noise_scales(factors: np.ndarray, flux: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Per source: factors of errors of the shape and of each flux, for correlated noise.

    Parameters
    ----------
    factors, flux : (n, n_bands) arrays
    """
    light = np.maximum(np.nan_to_num(flux), 0.0) + 1e-12
    # the shape is measured where the light is
    shape = np.sqrt((light * factors**2).sum(axis=1) / light.sum(axis=1))
    return list(zip(shape, factors, strict=True))


def scaled_errors(
    covariance: np.ndarray, n_free: int, shape: float, fluxes: np.ndarray
) -> np.ndarray:
    """A source's covariance, its shape's errors and those of its fluxes multiplied."""
    factors = np.concatenate([np.full(n_free, shape), fluxes])
    return covariance * factors[:, None] * factors


def _seen(fit, n_own):
    stamps = fit.evaluation.stamps
    return np.array(
        [[g[0, 0] > 0 for g in fit.grams.own(i, stamps[i])[0]] for i in range(n_own)], dtype=bool
    ).reshape(n_own, -1)


def _masked_shares(evaluation, n_own):
    frames = evaluation.scene.frames
    shares = np.ones((n_own, len(frames)))
    for i in range(n_own):
        for b, (stamp, frame) in enumerate(zip(evaluation.stamps[i].model, frames, strict=True)):
            light = stamp.values[0]
            total = light.sum()
            if total > 0:
                shares[i, b] = float(light[~frame.good[stamp.part]].sum() / total)
    return shares


def _messages(task, sky, covariance):
    """What the block says of each band's sky."""
    messages, first = [], 0
    for prior, factors in zip(task.skies, sky, strict=True):
        own = slice(first, first + len(factors))
        first = own.stop
        if not len(factors) or not task.share:
            messages.append(None)
            continue
        messages.append(
            SkyMessage.from_posterior(prior.index, factors, covariance[own, own], prior, task.share)
        )
    return messages
