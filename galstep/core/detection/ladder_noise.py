"""The noise of a ladder's bands from pass to pass, and the images to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.detection.detect import maps_on_scene, matched_filter
from galstep.core.detection.detection_background import detection_maps
from galstep.core.detection.residual_noise import update_noise
from galstep.core.detection.structure import galaxy_star_flux, structure_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderOptions
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["PassNoise"]


class PassNoise:
    """Noise after each fit, as the options of a ladder want it.

    Parameters
    ----------
    base : sequence of (ny, nx) arrays or None
        Per band the variance of its error plane, None where there is none.
    options : `galstep.core.detection.ladder_options.LadderOptions`

    Attributes
    ----------
    images : list of (ny, nx) arrays
        The detection images of the last call of `measure`.
    first : list of float
        The noise of the first call, 1 sigma per pixel.
    scatters : list of float
        What the finder's own noise is, in units of the pixels'.
    structure : list of arrays or None
        Per band the flux (1 sigma) that a piece of a galaxy may have, on the scene's
        frame; None where the options want no such term.
    shares : list of float
        Per band the share of the galaxies' light that it was made of.
    """

    def __init__(self, base: Sequence[np.ndarray | None], options: LadderOptions) -> None:
        self.base, self.options = base, options
        self.images = [None] * len(base)
        self.first = [None] * len(base)
        self.scatters = [None] * len(base)
        self._first_scatter = [None] * len(base)
        self.structure = [None] * len(base) if options.structure is not None else None
        self.shares = [0.0] * len(base)

    def measure(
        self,
        bands: Sequence[SceneBand],
        state: SceneState,
        evaluation: Evaluation,
        anew: bool = True,
    ) -> tuple[list[SceneBand], list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
        """Weights that agree with the residuals, and the matched filter of these.

        Parameters
        ----------
        bands : sequence of `galstep.core.engine.scene.SceneBand`
        state : `galstep.core.engine.scene.SceneState`
        evaluation : `galstep.core.engine.evaluation.Evaluation`
            Of that state.
        anew : bool, optional
            Measure the noise also where the options would keep the first one.

        Returns
        -------
        bands : list of SceneBand
        maps : list of (snr, flux, information)
            On the scene's frame.
        """
        pairs = [
            self._of_band(i, band, state, evaluation, anew or self.options.measure_noise)
            for i, band in enumerate(bands)
        ]
        return [band for band, _ in pairs], [maps for _, maps in pairs]

    def _of_band(self, i, band, state, evaluation, anew):
        residual, shift = evaluation.residuals[i], state.shift[i]
        fresh = anew or self.first[i] is None
        if fresh:
            sky = np.tensordot(state.sky[i], band.basis, axes=1)
            light = band.data - residual - sky
            core = band.core(state, shift)
            band, maps = update_noise(
                band, self.base[i], residual, light, evaluation.stars[i], core, shift
            )
            band, maps = self._not_below_floor(i, band, maps)
        else:
            maps = maps_on_scene(band, matched_filter(band, residual, shift), shift)
        self.images[i] = residual
        if self.options.background.has_mesh:
            maps, self.images[i] = detection_maps(band, residual, shift, self.options.background)
        if fresh:
            self._measure_finder(i, band)
        if self.structure is not None:
            galaxy = np.tensordot(state.galaxy_flux[i], evaluation.images(i), axes=1)
            light = galaxy_star_flux(band, galaxy, shift)
            measured = structure_share(maps, light, state.shapes)
            self.shares[i] = max(self.options.structure, measured)
            self.structure[i] = self.shares[i] * light
            if fresh:
                # and of the fit: a profile that no galaxy follows is not pulled by its core
                variance = (self.shares[i] * np.maximum(galaxy, 0.0)) ** 2
                band = replace(band, weight=band.weight / (1 + band.weight * variance))
        return band, maps

    def _measure_finder(self, i, band):
        """The finder's own scatter, under the same floor."""
        sigma = band.sigma / band.noise_scale
        scatter = self.options.finder.scatter(band, self.images[i])
        if self._first_scatter[i] is None:
            self._first_scatter[i] = scatter * sigma
        floor = self.options.noise_floor * self._first_scatter[i]
        self.scatters[i] = max(scatter, floor / sigma)

    def _not_below_floor(self, i, band, maps):
        """Weights and maps for a noise of at least a share of the first one."""
        if self.first[i] is None:
            self.first[i] = band.sigma
        factor = self.options.noise_floor * self.first[i] / band.sigma
        if not factor > 1 or not np.isfinite(factor):
            return band, maps
        snr, flux, information = maps
        band = replace(band, weight=band.weight / factor**2, noise_scale=band.noise_scale * factor)
        return band, (snr / factor, flux, information / factor**2)
