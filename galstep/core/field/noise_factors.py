"""By how much correlated noise makes errors larger, measured on what a fit has left.

The fit takes the noise of pixels as independent. Where it is not, a flux that is measured with the
weights G (the source's own image) has the variance of white noise times

    f^2 = sum_k |G(k)|^2 S(k) / sum_k |G(k)|^2,

S(k) being the power spectrum of the residual in units of the pixels' errors: 1 for white noise
of the stated size, so that errors which are stated too small are seen as well. S comes from
`galstep.core.noise.noise_power`, on places of the field where sources are faint beside the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import rfft2

from galstep.core.field.frames import band_box, beside, read_frames
from galstep.core.field.keys import content_key
from galstep.core.imaging.stars import StarRenderer
from galstep.core.noise.noise_power import NoiseMeter
from galstep.core.scene.box import Box

if TYPE_CHECKING:
    from typing import Any

    from galstep.core.field.frames import LightRows
    from galstep.core.field.options import FieldOptions

__all__ = ["NoiseFactors", "NoiseTask", "measure_noise", "noise_tasks", "summed_noise"]

# Side of the places that are looked at (pixels), and how many on a side of the field.
_SIDE, _PLACES = 256, 3
# Separation at which correlation has faded (pixels): that of a resampling has by far.
_REACH = 16
# Pixels with more light of sources than this (sigma of the sky) tell of the model, not the noise.
_BRIGHT = 2.0
# A place needs so many pixels, and all together so many: 0.02 of f is then known.
_LEAST, _LEAST_OF_ALL = 500, 2000
# Half-light radii (pixels) of round Gaussians that stand for sources; 0: a star.
_SIZES = (0.0, 1.0, 2.0, 4.0, 8.0)
_HALF_LIGHT = 1.1774  # of a round Gaussian, in its sigma


@dataclass(frozen=True, eq=False)
class NoiseFactors:
    """Factors of errors by the size of the source.

    Attributes
    ----------
    sizes : (k,) array
        Half-light radii, pixels of the band, ascending from 0.
    factors : (n_bands, k) array
        1 where they could not be measured.
    measured : (n_bands,) bool array
    """

    sizes: np.ndarray
    factors: np.ndarray
    measured: np.ndarray

    @classmethod
    def white(cls, n_bands: int) -> NoiseFactors:
        """Of noise that is as it is stated."""
        return cls(np.zeros(1), np.ones((n_bands, 1)), np.zeros(n_bands, dtype=bool))

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """(n, n_bands) factors of sources whose half-light radii are ``sizes`` (n, n_bands)."""
        own = [
            np.interp(sizes[:, b], self.sizes, factors) for b, factors in enumerate(self.factors)
        ]
        return np.stack(own, axis=1)


@dataclass(frozen=True, eq=False)
class NoiseTask:
    """A place of the field, and the model there.

    Attributes
    ----------
    bands : tuple of FieldBand
    box : Box
        Reference pixels.
    light : LightRows
        All sources that reach it.
    skies : list of SkyPrior
    factors : list of arrays
        Of the knots of each band's sky.
    options : FieldOptions
    """

    bands: tuple
    box: Box
    light: LightRows
    skies: list
    factors: list
    options: FieldOptions

    @cached_property
    def key(self) -> str:
        """Hash of all that the result depends on."""
        return content_key(self)

    @property
    def cost(self) -> float:
        """Relative: which tasks to begin with."""
        return float((1 + len(self.light)) * len(self.bands))


def noise_tasks(bands: list, area: Box, state: Any, skies: list) -> list[NoiseTask]:
    """Tasks for some places that are spread over the field."""
    tasks = []
    all_factors = [sky.factors() for sky in skies]
    for x0 in _starts(area.x0, area.x1):
        for y0 in _starts(area.y0, area.y1):
            box = Box(x0, y0, x0 + _SIDE, y0 + _SIDE).common(area)
            x, y, reach = state.z[:, 0], state.z[:, 1], state.reach[:, 1] + 1
            near = state.sources.fit & (x + reach > box.x0) & (x - reach < box.x1)
            near &= (y + reach > box.y0) & (y - reach < box.y1)
            priors = [s.prior(band_box(b, box)) for s, b in zip(skies, bands, strict=True)]
            own = [f[prior.index] for f, prior in zip(all_factors, priors, strict=True)]
            light = state.light(np.flatnonzero(near))
            tasks.append(NoiseTask(tuple(bands), box, light, priors, own, state.options))
    return tasks


def _starts(low, high):
    """Where the places along one side begin: without overlap."""
    count = int(np.clip((high - low) // _SIDE, 1, _PLACES))
    return np.linspace(low, max(high - _SIDE, low), count).astype(int).tolist()


def measure_noise(task: NoiseTask) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the factors, and the number of pixels that tell them.

    Returns
    -------
    squared : (n_bands, n_sizes) array
    n_pixels : (n_bands,) array
        0 where there were too few.
    """
    frames = beside(read_frames(task.bands, task.box, task.skies), task.light)
    squared, count = np.ones((len(frames), len(_SIZES))), np.zeros(len(frames))
    for b, (frame, factors) in enumerate(zip(frames, task.factors, strict=True)):
        light = np.zeros(frame.shape) if frame.fixed is None else frame.fixed
        good = frame.good & (light < _BRIGHT * frame.sigma)
        if np.count_nonzero(good) < _LEAST:
            continue
        sky = frame.sky.image(factors)
        residual = (frame.clean - sky) * np.sqrt(frame.weight(None))
        meter = NoiseMeter([good], min(_REACH, min(frame.shape) // 4))
        power = meter.measure_one(residual, 0)
        ny, nx = frame.shape
        middle = frame.origin[0] + nx / 2, frame.origin[1] + ny / 2
        psf = _pixels(frame.psf_map.at(*middle))
        squared[b] = [_factor(power, meter.shape, psf, size) for size in _SIZES]
        count[b] = np.count_nonzero(good)
    return squared, count


def _pixels(psf):
    """The PSF of a star in the middle of its pixel."""
    half = (psf.array.shape[0] // psf.oversample) // 2
    renderer = psf.derived("star renderer", lambda: StarRenderer(psf))
    zero = np.zeros(1)
    return renderer.stamps(zero, zero, half, (zero.astype(int), zero.astype(int)))[0][0][0]


def _factor(power, shape, psf, size):
    ny, nx = np.minimum(psf.shape, shape)
    own = psf[:ny, :nx]
    weight = np.abs(rfft2(own, shape)) ** 2
    if size:
        v, u = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
        k2 = (2 * np.pi) ** 2 * (v[:, None] ** 2 + u**2)
        weight = weight * np.exp(-k2 * (size / _HALF_LIGHT) ** 2)
    # the half-plane holds every other frequency twice
    weight[:, 1 : (shape[1] + 1) // 2] *= 2
    return float((weight * power).sum() / weight.sum())


def summed_noise(results: list, n_bands: int) -> NoiseFactors:
    """The factors of the field from those of its places; exceptions are places that failed."""
    good = [own for own in results if not isinstance(own, Exception)]
    if not good:
        return NoiseFactors.white(n_bands)
    squared = np.array([own[0] for own in good])
    count = np.array([own[1] for own in good])
    total = count.sum(axis=0)
    measured = total >= _LEAST_OF_ALL
    weight = count / np.maximum(total, 1)
    mean = np.einsum("tb,tbs->bs", weight, squared)
    return NoiseFactors(
        np.array(_SIZES), np.where(measured[:, None], np.sqrt(mean), 1.0), measured
    )  # fmt: skip
