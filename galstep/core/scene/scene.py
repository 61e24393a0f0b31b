"""A scene: sources on frames, and what a state of it says of the pixels.

    model[band] = fixed[band] + sum_i flux[i, band] source_i(z_i; PSF) + sum_k sky[band][k] basis_k

Fluxes and sky are linear; z is not. The PSF of a source is that of its place, its stamps end
where its light does (`galstep.core.scene.reach`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.scene.stamps import SourceStamps, render_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galstep.core.scene.frame import SceneFrame
    from galstep.core.scene.source import SceneSource

__all__ = ["Evaluation", "Scene", "SceneState"]


@dataclass(frozen=True, eq=False)
class SceneState:
    """What changes in a fit.

    Attributes
    ----------
    z : (N, 6) array
        Vectors of the sources, reference grid.
    flux : (N, n_bands) array
    sky : list of (n_terms,) arrays
        Per frame.
    """

    z: np.ndarray
    flux: np.ndarray
    sky: list


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames and the sources on them.

    Parameters
    ----------
    frames : list of SceneFrame
    sources : list of SceneSource
    """

    frames: list[SceneFrame]
    sources: list[SceneSource]

    @property
    def n_bands(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def start(self, z: np.ndarray, flux: np.ndarray, sky: list | None = None) -> SceneState:
        """A state, its vectors inside the bounds; the sky at the mean of its prior by default."""
        inside = [s.bounds.clip(one) for s, one in zip(self.sources, z, strict=True)]
        if sky is None:
            sky = [frame.sky.mean.copy() for frame in self.frames]
        shape = len(self.sources), self.n_bands
        return SceneState(
            np.reshape(inside, (-1, 6)), np.array(flux, dtype=float).reshape(shape), sky
        )

    def render(
        self, state: SceneState, which: Iterable[int] | None = None, stamps: list | None = None
    ) -> list[SourceStamps]:
        """Stamps of all sources, or ``stamps`` with those of some drawn again in their sizes."""
        stamps = [None] * len(self.sources) if stamps is None else list(stamps)
        for i in range(len(self.sources)) if which is None else which:
            stamps[i] = render_source(
                self.sources[i], state.z[i], state.flux[i], self.frames, before=stamps[i]
            )
        return stamps

    def light(self, state: SceneState, stamps: list[SourceStamps]) -> list[np.ndarray]:
        """The image of all sources in each frame, without sky and fixed light."""
        images = []
        for b, frame in enumerate(self.frames):
            image = np.zeros(frame.shape)
            for flux, own in zip(state.flux[:, b], stamps, strict=True):
                stamp = own.model[b]
                image[stamp.part] += flux * stamp.values[0]
            images.append(image)
        return images

    def weights(
        self, state: SceneState | None = None, stamps: list[SourceStamps] | None = None
    ) -> list[np.ndarray]:
        """1 / variance of the pixels: that of the sky, and of the model where there is one.

        Never of the data: a weight that knows the noise of its own pixel makes faint sources
        fainter.
        """
        light = [None] * self.n_bands if state is None else self.light(state, stamps)
        return [frame.weight(own) for frame, own in zip(self.frames, light, strict=True)]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A state beside the data, with given weights."""

    scene: Scene
    state: SceneState
    stamps: list[SourceStamps]
    weights: list[np.ndarray]

    @cached_property
    def residuals(self) -> list[np.ndarray]:
        """Data less model, 0 where not good."""
        out = []
        light = self.scene.light(self.state, self.stamps)
        for frame, own, sky in zip(self.scene.frames, light, self.state.sky, strict=True):
            out.append((frame.clean - own - frame.sky.image(sky)) * frame.good)
        return out

    @cached_property
    def _squares(self):
        return [w * r * r for w, r in zip(self.weights, self.residuals, strict=True)]

    @cached_property
    def band_chi2(self) -> np.ndarray:
        """(n_bands,) chi2 of the pixels."""
        return np.array([float(own.sum()) for own in self._squares])

    @cached_property
    def prior_chi2(self) -> np.ndarray:
        """(N,) chi2 of the sources' priors."""
        state = self.state
        rows = zip(self.scene.sources, state.z, state.flux, strict=True)
        return np.array([source.prior_chi2(z, flux) for source, z, flux in rows])

    @cached_property
    def chi2(self) -> float:
        """Of the pixels, the sources' priors and the sky's."""
        frames = zip(self.scene.frames, self.state.sky, strict=True)
        sky = sum(frame.sky.chi2(factors) for frame, factors in frames)
        return float(self.band_chi2.sum() + self.prior_chi2.sum() + sky)

    @cached_property
    def own_band_chi2(self) -> np.ndarray:
        """(N, n_bands) chi2 of the pixels of each source's fit stamp."""
        return _box_sums(self._squares, self.stamps)

    @property
    def own_chi2(self) -> np.ndarray:
        """(N,) the same of all bands, with the source's prior."""
        return self.own_band_chi2.sum(axis=1) + self.prior_chi2

    @cached_property
    def own_pixels(self) -> np.ndarray:
        """(N, n_bands) number of good pixels of each source's fit stamp."""
        return _box_sums([frame.good.astype(float) for frame in self.scene.frames], self.stamps)

    def moved(self, state: SceneState, which: Iterable[int]) -> Evaluation:
        """Another state, for which these sources have to be drawn again."""
        stamps = self.scene.render(state, which, self.stamps)
        return Evaluation(self.scene, state, stamps, self.weights)

    def reweighted(self) -> Evaluation:
        """The same state, with the weights that its own model makes."""
        return replace(self, weights=self.scene.weights(self.state, self.stamps))

    def renewed(self) -> Evaluation:
        """The same state, with stamps of the sizes that it asks for, and weights of its model."""
        return replace(self, stamps=self.scene.render(self.state)).reweighted()


def _box_sums(images, stamps):
    """Sums of images over the boxes of the fit stamps, (N, n_bands)."""
    sums = np.empty((len(stamps), len(images)))
    for b, image in enumerate(images):
        total = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
        np.cumsum(np.cumsum(image, axis=0), axis=1, out=total[1:, 1:])
        y0, y1, x0, x1 = np.array([own.fit[b].box for own in stamps], dtype=int).reshape(-1, 4).T
        sums[:, b] = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    return sums
