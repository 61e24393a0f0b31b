"""Which type a source is, where the catalogue does not say.

Each is fitted alone on its own pixels as STAR, EXP, DEV and, where the light is enough, SERSIC;
everything else stays as it is. The next more complicated type is taken only if it lowers chi2 by
more than 3 per further parameter and 6 on top: of two types that fit alike, the simpler. A DEV,
whose wings the noise hides and whose total is the less certain, must be better than an EXP by 6;
a free index must be better than a held one by 2.
No PSF is known to better than a few percent: so much of the source's own light counts as noise, or
every bright star would be a small galaxy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.field.records import SourceType
from galstep.core.field.scene_sources import typed
from galstep.core.scene.frame import SkyTerms
from galstep.core.scene.scene import Evaluation, Scene, SceneState
from galstep.core.scene.solve import FitOptions, fit_scene
from galstep.core.scene.source import SceneSource

if TYPE_CHECKING:
    from galstep.core.field.block_task import BlockTask

__all__ = ["choose_types", "of_type"]

# chi2 must fall by so much per further parameter, and by so much besides: chosen, not measured.
PER_PARAMETER, ON_TOP = 3.0, 6.0
# SERSIC is taken if chi2 falls by this below the better of EXP and DEV: an index that is held where
# it is not is an error that nobody is told of. With 9, and S/N 30 below, galaxies had fluxes off by
# 1.0 to 1.8 of their errors, so by 1.0 to 1.3 (40 of S/N 5 to 200, benchmarks/field_blind.py).
FREE_INDEX = 2.0
# Signal to noise of the better of EXP and DEV above which an index can be measured.
LEAST_SNR = 20.0
# Share of a source's light by which the PSF may be wrong: of PSFs measured on few stars the core is
# off by 2 to 5 %.
PSF_ERROR = 0.03
# A profile is no star if its mean half-light radius is above this share of the FWHM: a PSF that is
# 3 % too narrow makes stars look like exponentials of 0.13.
LEAST_SIZE = 0.15
_LEAST_START = np.log(0.8)  # of ln r_eff: a profile that starts as a point stays one
# A trial need not end at its optimum: types differ by more.
_TRY = FitOptions(max_iterations=15, tolerance=0.1, damping=1e-2)


def choose_types(
    task: BlockTask, evaluation: Evaluation
) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """Choose the types of a block's sources.

    Parameters
    ----------
    task : BlockTask
        ``choose`` says whose.
    evaluation : Evaluation
        The block, fitted with the types to start from.

    Returns
    -------
    evaluation : Evaluation
        With the types that were chosen, where their own fits ended.
    kind : (n_own,) int array
    type_chi2 : (n_own, 4) array
        chi2 of STAR, EXP, DEV, SERSIC less that of the type chosen; NaN: not tried.
    """
    sources = list(evaluation.scene.sources)
    z, flux = evaluation.state.z.copy(), evaluation.state.flux.copy()
    kind, table = np.array(task.kind[: task.n_own]), np.full((task.n_own, 4), np.nan)
    for i in np.flatnonzero(task.choose):
        tried = _tried(task.templates[i], task.starts[i], evaluation, i)
        chosen = _simplest({k: v for k, v in tried.items() if _resolved(k, v, evaluation)})
        kind[i] = chosen
        for k, (_, end) in tried.items():
            table[i, k - 1] = end.chi2 - tried[chosen][1].chi2
        sources[i], end = tried[chosen]
        z[i], flux[i] = end.state.z[0], end.state.flux[0]
    scene = Scene(evaluation.scene.frames, sources)
    state = SceneState(z, flux, evaluation.state.sky)
    changed = Evaluation(scene, state, scene.render(state), evaluation.weights)
    return changed.reweighted(), kind, table


def _tried(template, begin, evaluation, index):
    """type -> (source of this type, where its fit ended)."""
    frames, weights = _own_frames(evaluation, index)
    z, flux = evaluation.state.z[index], np.maximum(evaluation.state.flux[index], 0.0)
    if not evaluation.scene.sources[index].point:
        begin = z
    out = {}
    for kind in (SourceType.STAR, SourceType.EXP, SourceType.DEV, SourceType.SERSIC):
        if kind == SourceType.SERSIC and not _bright(out):
            break
        own = of_type(template, kind)
        first = _begin(kind, np.array([*z[:2], *begin[2:]]), out)
        scene = Scene(frames, [own])
        state = scene.start(first[None], flux[None], [np.zeros(0)] * len(frames))
        start = Evaluation(scene, state, scene.render(state), weights)
        out[kind] = own, fit_scene(start, _TRY).evaluation
    return out


def of_type(template: SceneSource, kind: int) -> SceneSource:
    """A SERSIC source as another type: without the freedom and the priors that it has not."""
    free, prior = np.array(template.free), template.prior
    lacking = np.zeros(6, dtype=bool)
    lacking[5] = kind != SourceType.SERSIC
    lacking[2:] |= kind == SourceType.STAR
    if prior is not None and lacking.any():
        precision = prior.precision.copy()
        precision[lacking], precision[:, lacking] = 0.0, 0.0
        prior = replace(prior, precision=precision)
    return SceneSource(kind == SourceType.STAR, free & ~lacking, template.bounds, prior)


def _begin(kind, z, tried):
    """Where the fit of a type begins."""
    begin = np.array(z)
    if kind == SourceType.SERSIC:
        better = min((SourceType.EXP, SourceType.DEV), key=lambda k: tried[k][1].chi2)
        begin = tried[better][1].state.z[0].copy()
        begin[5] = 0.5 * np.log(4.0)
    elif kind != SourceType.STAR:
        begin[2] = max(begin[2], _LEAST_START)
    return typed(begin, kind)


def _bright(tried):
    """Whether the better of EXP and DEV has light enough for an index."""
    best = min((tried[k][1] for k in (SourceType.EXP, SourceType.DEV)), key=lambda e: e.chi2)
    signal = 0.0
    for b, stamp in enumerate(best.stamps[0].fit):
        light = best.state.flux[0, b] * stamp.values[0]
        signal += float(np.sum(best.weights[b][stamp.part] * light**2))
    return signal > LEAST_SNR**2


def _resolved(kind, trial, evaluation):
    """Whether a trial is a star, or larger than one in the sharpest band."""
    if kind == SourceType.STAR:
        return True
    z = trial[1].state.z[0]
    e = np.hypot(z[3], z[4])
    # e = (a - b) / (a + b): the mean radius is that of a circle of the same area
    size = np.exp(z[2]) * np.sqrt((1 - e) / (1 + e))
    sharpest = min(
        frame.psf_map.at(*frame.pixel_map.points(z[0], z[1])).fwhm / frame.pixel_map.scale
        for frame in evaluation.scene.frames
    )
    return bool(size > LEAST_SIZE * sharpest)


def _simplest(tried):
    n_shape = {SourceType.STAR: 0, SourceType.EXP: 3, SourceType.DEV: 3, SourceType.SERSIC: 4}
    chosen = SourceType.STAR
    for kind in (_profile(tried), SourceType.SERSIC):
        if kind not in tried:
            continue
        further = n_shape[kind] - n_shape[chosen]
        gain = tried[chosen][1].chi2 - tried[kind][1].chi2
        is_profile = chosen != SourceType.STAR
        if gain > (FREE_INDEX if is_profile else PER_PARAMETER * further + ON_TOP):
            chosen = kind
    return chosen


def _profile(tried):
    """EXP, or DEV where that alone is there or is better by far."""
    if SourceType.EXP not in tried or SourceType.DEV not in tried:
        return SourceType.EXP if SourceType.EXP in tried else SourceType.DEV
    gain = tried[SourceType.EXP][1].chi2 - tried[SourceType.DEV][1].chi2
    return SourceType.DEV if gain > ON_TOP else SourceType.EXP


def _own_frames(evaluation, index):
    """Frames of a source's own pixels, everything else taken off; and their weights."""
    frames, weights = [], []
    for b, frame in enumerate(evaluation.scene.frames):
        own = evaluation.stamps[index]
        part = own.fit[b].part
        light = np.zeros(frame.shape)
        stamp = own.model[b]
        light[stamp.part] = evaluation.state.flux[index, b] * stamp.values[0]
        data = (evaluation.residuals[b] + light)[part]
        y0, _, x0, _ = own.fit[b].box
        origin = frame.origin[0] + x0, frame.origin[1] + y0
        variance = frame.variance if np.ndim(frame.variance) == 0 else frame.variance[part]
        sky = SkyTerms.free(np.zeros((0, *data.shape)))
        frames.append(
            replace(
                frame,
                data=data,
                mask=~frame.good[part],
                variance=variance,
                sky=sky,
                origin=origin,
                fixed=None,
            )
        )
        own_weight = evaluation.weights[b][part]
        weights.append(own_weight / (1 + own_weight * (PSF_ERROR * light[part]) ** 2))
    return frames, weights
