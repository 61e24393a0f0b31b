"""The galaxies of one band drawn with their derivatives, and what is kept of them.

Seven images are drawn of a galaxy whose shape is free, and six of them are derivatives. From
one step of a fit to the next a shape hardly changes, and its derivatives even less: those are
kept while the shape stays within `KEPT_CENTRE` and `KEPT_SHAPE` of where they were drawn.
The image itself is always that of the shape, so that chi-squared and the fluxes are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.engine.freedom import N_SHAPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.scene import SceneBand

__all__ = ["GalaxyStack", "galaxy_stack"]

# How far a galaxy may be from where its derivatives were drawn: its centre (pixels of the
# band), and ln r_eff, e1, e2, ln n. Where a fit ends moves by so many parts of one sigma.
KEPT_CENTRE, KEPT_SHAPE = 0.02, 0.01


@dataclass(frozen=True, eq=False)
class GalaxyStack:
    """Images of unit flux, with or without derivatives.

    Parameters
    ----------
    vectors : (n, 6) array
        The shape vectors of the images, centres in the pixels of the band.
    drawn : (n, 6) array
        Those of the derivatives.
    images : (n, ny, nx) array
    derivatives : (n, 6 or 0, ny, nx) array
        With respect to the scene's parameters. Not to be changed: several stacks may share it.
    """

    vectors: np.ndarray
    drawn: np.ndarray
    images: np.ndarray
    derivatives: np.ndarray

    @property
    def has_derivatives(self) -> bool:
        """Whether there are any."""
        return self.derivatives.shape[1] > 0


def galaxy_stack(
    band: SceneBand,
    shapes: np.ndarray,
    shift: Sequence[float] | np.ndarray,
    derivatives: bool,
    known: GalaxyStack | None = None,
) -> GalaxyStack:
    """The galaxies of a band.

    Parameters
    ----------
    band : `galstep.core.engine.scene.SceneBand`
    shapes : (n, 6) array
        Shape vectors in the scene's frame.
    shift : (dx, dy)
        Registration of the band.
    derivatives : bool
        Whether they are needed.
    known : `GalaxyStack`, optional
        Of the same band: a galaxy that is in it is not drawn again.

    Returns
    -------
    GalaxyStack
        ``known`` itself where nothing changes.
    """
    vectors = np.array([band.galaxy_vector(s, shift) for s in shapes]).reshape(-1, N_SHAPE)
    if known is not None and derivatives and not known.has_derivatives:
        known = None
    if known is not None and np.array_equal(known.vectors, vectors):
        return known
    kept = [_nearest(known, vector, derivatives) for vector in vectors]
    images = np.empty((len(vectors), *band.shape))
    drawn, slopes = vectors.copy(), np.empty((len(vectors), 0, *band.shape))
    if derivatives:
        if known is not None and kept == list(range(len(known.vectors))):
            slopes = known.derivatives
        else:
            slopes = np.empty((len(vectors), N_SHAPE, *band.shape))
    both = np.empty((1 + N_SHAPE, *band.shape)) if None in kept and derivatives else None
    matrix = None if band.on_scene_grid else band.matrix
    for g, (vector, place) in enumerate(zip(vectors, kept, strict=True)):
        if place is None and derivatives:
            band.galaxy_renderer.image_and_derivatives(vector, matrix, out=both)
            if matrix is not None:
                both[1:3] = np.tensordot(matrix.T, both[1:3], axes=1)
            images[g], slopes[g] = both[0], both[1:]
            continue
        if place is not None and np.array_equal(known.vectors[place], vector):
            images[g] = known.images[place]
        else:
            images[g] = band.galaxy_renderer.image(vector, matrix)
        if place is not None and derivatives:
            drawn[g] = known.drawn[place]
            if slopes is not known.derivatives:
                slopes[g] = known.derivatives[place]
    return GalaxyStack(vectors, drawn, images, slopes)


def _nearest(known, vector, derivatives):
    """Which known galaxy serves: the very same one, or one whose derivatives do; or None."""
    if known is None or not len(known.vectors):
        return None
    same = np.flatnonzero((known.vectors == vector).all(axis=1))
    if same.size:
        return int(same[0])
    if not derivatives:
        return None
    moved = np.abs(known.drawn - vector)
    near = (moved[:, :2] < KEPT_CENTRE).all(axis=1) & (moved[:, 2:] < KEPT_SHAPE).all(axis=1)
    return int(np.argmax(near)) if near.any() else None
