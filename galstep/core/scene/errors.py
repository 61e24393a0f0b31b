"""Errors of a fitted scene: the inverse of its matrix, everything else marginalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from galstep.core.scene.equations import Equations

__all__ = ["SceneErrors", "scene_errors"]

_COLUMNS = 256  # right sides that are solved at a time


@dataclass(frozen=True, eq=False)
class SceneErrors:
    """Covariances.

    Attributes
    ----------
    sources : list of (k, k) arrays
        Per source, of its free entries of z and its fluxes.
    sky : (n_border, n_border) array
        Of the sky factors of all frames.
    sky_information : (n_border, n_border) array
        What the data say of the sky with the sources marginalised, priors of the sky included.
    """

    sources: list
    sky: np.ndarray
    sky_information: np.ndarray


def scene_errors(equations: Equations) -> SceneErrors:
    """Invert the matrix.

    Raises
    ------
    numpy.linalg.LinAlgError
        If it is not positive definite.
    """
    layout = equations.layout
    factor, scale, border_scale = equations.factor()
    sky = factor.border_inverse() * border_scale[:, None] * border_scale
    n = layout.n_body
    # (K^-1)_SS = S^-1 + X H^-1 X', X = S^-1 C'
    half = factor.solved @ factor.border_inverse() if n else factor.solved
    sources = []
    last = len(layout.first) - 1
    first = 0
    while first < last:
        stop = first + 1
        while stop < last and layout.first[stop + 1] - layout.first[first] <= _COLUMNS:
            stop += 1
        low, high = layout.first[first], layout.first[stop]
        right = np.zeros((n, high - low))
        right[np.arange(low, high), np.arange(high - low)] = 1.0
        inverse = factor.stars.solve(right)
        for i in range(first, stop):
            own = layout.of(i)
            block = inverse[own, own.start - low : own.stop - low]
            block = block + half[own] @ factor.solved[own].T
            block = 0.5 * (block + block.T) * scale[own][:, None] * scale[own]
            sources.append(block)
        first = stop
    information = equations.border - _schur(factor, scale, border_scale, equations)
    return SceneErrors(sources, sky, information)


def _schur(factor, scale, border_scale, equations):
    """C S^-1 C' in the unscaled unknowns of the border."""
    if factor.stars is None:
        return np.zeros_like(equations.border)
    solved = factor.solved * scale[:, None]  # S^-1 C' with the border still scaled
    return equations.coupling @ solved / border_scale
