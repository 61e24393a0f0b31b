"""The Cramer-Rao bound of a field: the errors that no fit can go below.

The Fisher matrix at the truth, J' W J with the weights of the noise that was drawn, of each source
together with those that its light overlaps: the inverse is marginal over neighbours, the sky is
taken as known. Nothing of the fit is used but the renderer and its derivatives (which have tests
of their own against real-space drawings): neither stamps, nor equations, nor errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.scene.frame import SceneFrame, SkyTerms
from galstep.core.scene.reach import light_reach
from galstep.core.scene.source import SceneSource
from galstep.core.scene.stamps import render_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.field.records import FieldBand

__all__ = ["FieldBound", "field_bound"]

# Light is followed to this share of the sky's noise in a pixel, at most so far (pixels): what is
# beyond has less than a thousandth of the information of all but the largest galaxies.
_LEVEL, _FARTHEST = 0.02, 96.0
# Sources whose unit images have a smaller product than this do not know of each other: the error
# would change by its square.
_COUPLED = 0.01


@dataclass(frozen=True, eq=False)
class FieldBound:
    """Least errors.

    Attributes
    ----------
    z : (N, 6) array
        Of x, y, ln r_eff, e1, e2, ln n; NaN for what a star has not.
    flux : (N, n_bands) array
    blend : (N,) array
        Largest product of unit images with another source.
    """

    z: np.ndarray
    flux: np.ndarray
    blend: np.ndarray


def field_bound(
    bands: Sequence[FieldBand], z: np.ndarray, star: np.ndarray, flux: np.ndarray
) -> FieldBound:
    """The bound of every source.

    Parameters
    ----------
    bands : sequence of FieldBand
        On one grid, with the true PSFs; of their pixels only the mask is used.
    z : (N, 6) array
        True vectors.
    star : (N,) bool array
    flux : (N, n_bands) array
        True fluxes.

    Returns
    -------
    FieldBound
    """
    n, n_bands = flux.shape
    sizes = np.where(star, 2, 6)
    pairs = _neighbours(bands, z, star, flux)
    own = [np.zeros((k + n_bands,) * 2) for k in sizes]
    cross = {pair: np.zeros((sizes[pair[0]] + n_bands, sizes[pair[1]] + n_bands)) for pair in pairs}
    blend = np.zeros(n)
    for b, band in enumerate(bands):
        _add_band(b, band, z, star, flux, sizes, own, cross, blend)
    coupled = [[] for _ in range(n)]
    for (i, j), block in cross.items():
        strength = np.abs(block).max() if block.size else 0.0
        if strength > 0 and _coupling(own[i], own[j], block) > _COUPLED:
            coupled[i].append(j)
            coupled[j].append(i)
    least = FieldBound(np.full((n, 6), np.nan), np.full((n, n_bands), np.nan), blend)
    for i in range(n):
        errors = _errors(i, coupled[i], own, cross)
        least.z[i, : sizes[i]] = errors[: sizes[i]]
        least.flux[i] = errors[sizes[i] :]
    return least


def _reaches(bands, z, star, flux):
    reach = np.zeros((len(z), len(bands)))
    for b, band in enumerate(bands):
        for i in range(len(z)):
            psf = band.psf.at(z[i, 0], z[i, 1])
            shape = None if star[i] else z[i]
            reach[i, b] = light_reach(flux[i, b], band.sigma, _LEVEL, psf, shape)
    return np.minimum(reach, _FARTHEST)


def _neighbours(bands, z, star, flux):
    """Pairs whose light may overlap where it counts: within the larger reach of the two."""
    reach = _reaches(bands, z, star, flux).max(axis=1)
    tree = cKDTree(z[:, :2])
    found = set()
    for i, near in enumerate(tree.query_ball_point(z[:, :2], reach)):
        found.update((min(i, j), max(i, j)) for j in near if j != i)
    return sorted(found)


def _add_band(b, band, z, star, flux, sizes, own, cross, blend):
    stamps, weight = _stamps(b, band, z, star, flux)
    norms = np.array([np.sqrt(np.sum(stamp.values[0] ** 2)) for stamp in stamps])
    rows = []
    for i, stamp in enumerate(stamps):
        # derivatives of F P: F dP/dz, and P in the row of this band's flux
        jacobian = np.concatenate([flux[i, b] * stamp.values[1 : 1 + sizes[i]], stamp.values[:1]])
        index = np.append(np.arange(sizes[i]), sizes[i] + b)
        rows.append((jacobian, index))
        weighted = jacobian * weight[stamp.part]
        own[i][np.ix_(index, index)] += np.tensordot(weighted, jacobian, ([1, 2], [1, 2]))
    for (i, j), block in cross.items():
        box = _common(stamps[i].box, stamps[j].box)
        if box is None:
            continue
        first, second = (_cut(rows[k][0], stamps[k], box) for k in (i, j))
        y0, y1, x0, x1 = box
        product = np.tensordot(first * weight[y0:y1, x0:x1], second, ([1, 2], [1, 2]))
        block[np.ix_(rows[i][1], rows[j][1])] += product
        shared = np.sum(first[-1] * second[-1]) / (norms[i] * norms[j])
        blend[i], blend[j] = max(blend[i], shared), max(blend[j], shared)


def _stamps(b, band, z, star, flux):
    """Unit images with derivatives of all sources, and 1 / variance of every pixel."""
    shape = tuple(band.pixels.shape)
    frame = SceneFrame(
        band.name, np.zeros(shape), np.zeros(shape, dtype=bool), band.sigma**2,
        band.variance_per_unit, band.psf, SkyTerms.free(np.zeros((0, *shape))),
    )  # fmt: skip
    reach = _reaches([band], z, star, flux[:, b : b + 1])[:, 0]
    light, stamps = np.zeros(shape), []
    for i in range(len(z)):
        source = SceneSource(bool(star[i]), np.ones(6, dtype=bool), least_half=reach[i])
        drawn = render_source(source, z[i], flux[i, b : b + 1], [frame])
        stamps.append(drawn.fit[0])
        light[drawn.model[0].part] += flux[i, b] * drawn.model[0].values[0]
    variance = band.sigma**2 + band.variance_per_unit * np.maximum(light, 0.0)
    mask = band.pixels.mask
    return stamps, np.where(False if mask is None else mask, 0.0, 1 / variance)


def _common(one, two):
    y0, y1 = max(one[0], two[0]), min(one[1], two[1])
    x0, x1 = max(one[2], two[2]), min(one[3], two[3])
    return (y0, y1, x0, x1) if y1 > y0 and x1 > x0 else None


def _cut(jacobian, stamp, box):
    y0, y1, x0, x1 = box
    return jacobian[:, y0 - stamp.y0 : y1 - stamp.y0, x0 - stamp.x0 : x1 - stamp.x0]


def _coupling(one, two, block):
    """Largest correlation of what two sources' parameters do to the pixels."""
    scale = np.sqrt(np.outer(np.diag(one), np.diag(two)))
    return float(np.max(np.abs(block) / np.where(scale > 0, scale, np.inf)))


def _errors(i, others, own, cross):
    rows = [i, *others]
    first = np.concatenate([[0], np.cumsum([len(own[k]) for k in rows])])
    matrix = np.zeros((first[-1],) * 2)
    for a, k in enumerate(rows):
        at = slice(first[a], first[a + 1])
        matrix[at, at] = own[k]
        for c in range(a + 1, len(rows)):
            other, to = rows[c], slice(first[c], first[c + 1])
            if (k, other) in cross:
                matrix[at, to] = cross[k, other]
            elif (other, k) in cross:
                matrix[at, to] = cross[other, k].T
            matrix[to, at] = matrix[at, to].T
    # parameters have units of their own; what no pixel has seen has no bound
    seen = np.diag(matrix) > 0
    scale = np.sqrt(np.where(seen, np.diag(matrix), 1.0))
    scaled = matrix / np.outer(scale, scale) + np.diag(np.where(seen, 0.0, 1.0))
    variance = np.diag(np.linalg.inv(scaled))[: len(own[i])]
    return np.where(seen[: len(own[i])], np.sqrt(np.maximum(variance, 0)) / scale[: len(own[i])],
                    np.nan)  # fmt: skip
