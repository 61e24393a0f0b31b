"""The images behind a scene's border parameters, band by band.

A border parameter (shape, registration, galaxy flux, sky) changes every pixel
of a band. What it changes there is a combination of a few images that the
evaluation has made already: the galaxies with their derivatives, the sky terms,
and the stars moved as one. Sums over pixels are made of these images and
combined afterwards, so that nothing of the size of a frame is copied or scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.scene import N_SHAPE
from galstep.core.imaging import _kernels
from galstep.core.imaging.stars import combined_stamps, for_kernel, project_stamps

if TYPE_CHECKING:
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.layout import Layout
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["BorderImages", "border_images"]

# Images that are added in one go; each more is a frame of memory, and 4 and 16 cost the same time.
_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class BorderImages:
    """Derivatives of a band's model with respect to the border parameters.

        d model / d border[p] = sum_k mixing[p, k] images[k]

    Parameters
    ----------
    groups : tuple of (k, ny, nx) arrays
        The images, as they lie in memory.
    mixing : (n_border, n_images) array
        Zero for the parameters of other bands.
    """

    groups: tuple
    mixing: np.ndarray

    def normal_equations(
        self, weight: np.ndarray, residual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weighted products with one another and with a residual.

        Parameters
        ----------
        weight, residual : (ny, nx) arrays

        Returns
        -------
        matrix : (n_border, n_border) array
        gradient : (n_border,) array
        """
        flat = tuple(for_kernel(group.reshape(len(group), weight.size)) for group in self.groups)
        n_images = self.mixing.shape[1]
        sums = np.empty((n_images, n_images + 1))
        _kernels.weighted_products(
            flat, for_kernel(weight.ravel()), for_kernel(residual.ravel()), sums
        )
        products = np.triu(sums[:, :-1])
        products += np.triu(products, 1).T
        return self.mixing @ products @ self.mixing.T, self.mixing @ sums[:, -1]

    def projected(self, stamps: np.ndarray, ix: np.ndarray, iy: np.ndarray) -> np.ndarray:
        """Sums over pixels of each derivative times each stamp.

        Parameters
        ----------
        stamps, ix, iy
            From `galstep.core.imaging.stars.StarRenderer.stamps`, weighted.

        Returns
        -------
        (3, n_border, n_stars) array
        """
        sums = [project_stamps(group, stamps, ix, iy) for group in self.groups]
        return self.mixing @ np.concatenate(sums, axis=1).transpose(2, 1, 0)

    def combined(self, coefficients: np.ndarray) -> np.ndarray:
        """Images of directions in the border, (nq, n_border) -> (nq, ny, nx)."""
        weights = np.asarray(coefficients) @ self.mixing
        images = np.zeros((len(weights), *self.groups[0].shape[1:]))
        # a few at a time: what is added is as large as they are
        for start in range(0, len(weights), _AT_ONCE):
            rows, first = slice(start, start + _AT_ONCE), 0
            for group in self.groups:
                own = slice(first, first + len(group))
                images[rows] += np.tensordot(weights[rows, own], group, axes=1)
                first = own.stop
        return images


def border_images(
    band: SceneBand,
    index: int,
    state: SceneState,
    evaluation: Evaluation,
    layout: Layout,
    stamps: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> BorderImages:
    """The `BorderImages` of a band.

    Parameters
    ----------
    band, index : `galstep.core.engine.scene.SceneBand`, int
    state, evaluation
        See `galstep.core.engine.normal.evaluate`.
    layout : `galstep.core.engine.layout.Layout`
    stamps : (stamps, ix, iy), optional
        Of the band's stars (`galstep.core.engine.normal.star_stamps`). With the
        registration they move together with the galaxies.

    Returns
    -------
    BorderImages
    """
    stack = evaluation.stacks[index]
    n_galaxies, n_slopes = stack.derivatives.shape[:2]
    n_drawn = n_galaxies * (1 + n_slopes)
    flux, places = state.galaxy_flux[index], layout.registration.get(index)
    n_moved = 0 if places is None or stamps is None else 2
    slopes = stack.derivatives.reshape(n_galaxies * n_slopes, *band.shape)
    groups = [stack.images, slopes, band.basis]
    mixing = np.zeros((layout.n_border, n_drawn + len(band.basis) + n_moved))
    own = layout.linear[index]
    galaxies = np.arange(n_galaxies)
    mixing[own.start + galaxies, galaxies] = 1.0
    sky = np.arange(len(band.basis))
    mixing[own.start + n_galaxies + sky, n_drawn + sky] = 1.0
    first_slopes = n_galaxies + n_slopes * galaxies
    if len(layout.shape):
        follows = layout.shape.jacobian(band.log_wavelength) * flux[:, None]
        for g, first in enumerate(first_slopes):
            mixing[: len(layout.shape), first : first + N_SHAPE] = follows[:, g]
    if places is not None:
        for axis in (0, 1):
            mixing[places.start + axis, first_slopes + axis] = flux
    if n_moved:
        together = np.broadcast_to(np.eye(2, 3, 1), (state.n_stars, 2, 3))
        groups.append(combined_stamps(band.shape, *stamps, together))  # type: ignore[call-arg]
        mixing[places, -2:] = np.eye(2)
    return BorderImages(tuple(groups), mixing)
