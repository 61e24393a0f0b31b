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
    images : (n, 1 or 7, ny, nx) array
        Image, and derivatives with respect to the scene's parameters.
    """

    vectors: np.ndarray
    drawn: np.ndarray
    images: np.ndarray


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
    if known is not None and known.images.shape[1] < 1 + N_SHAPE * derivatives:
        known = None
    if known is not None and np.array_equal(known.vectors, vectors):
        return known
    matrix = None if band.on_scene_grid else band.matrix
    drawn = vectors.copy()
    images = np.empty((len(vectors), 1 + N_SHAPE * derivatives, *band.shape))
    for g, (vector, stack) in enumerate(zip(vectors, images, strict=True)):
        kept = _nearest(known, vector)
        same = kept is not None and np.array_equal(known.vectors[kept], vector)
        if same:
            stack[:] = known.images[kept, : len(stack)]
            drawn[g] = known.drawn[kept]
        elif not derivatives:
            stack[0] = band.galaxy_renderer.image(vector, matrix)
        elif kept is not None:
            stack[0] = band.galaxy_renderer.image(vector, matrix)
            stack[1:] = known.images[kept, 1:]
            drawn[g] = known.drawn[kept]
        else:
            band.galaxy_renderer.image_and_derivatives(vector, matrix, out=stack)
            if matrix is not None:
                stack[1:3] = np.tensordot(matrix.T, stack[1:3], axes=1)
    return GalaxyStack(vectors, drawn, images)


def _nearest(known, vector):
    """Which known galaxy's derivatives serve; the very same galaxy before others, or None."""
    if known is None or not len(known.vectors):
        return None
    same = np.flatnonzero((known.vectors == vector).all(axis=1))
    if same.size:
        return int(same[0])
    moved = np.abs(known.drawn - vector)
    near = (moved[:, :2] < KEPT_CENTRE).all(axis=1) & (moved[:, 2:] < KEPT_SHAPE).all(axis=1)
    return int(np.argmax(near)) if near.any() else None
