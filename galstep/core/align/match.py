"""Which stars of two catalogues are the same, and whether that can be chance.

A first guess comes from votes: every pair of stars votes for the offset between
them, at a few trial rotations (the true pairs agree, the others spread evenly).
From there pairs are matched ever more closely. The number of pairs is then
compared with that at offsets which are certainly wrong: unrelated fields have
as many there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import pdtrc

from galstep.core.imaging.medians import MAD_TO_STD

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MatchQuality",
    "apply_affine",
    "close_pairs",
    "guess_transform",
    "match_quality",
    "refine_pairs",
]

# Largest rotation that is looked for, degrees.
MAX_ROTATION = 1.5
# Offsets at which chance pairs are counted: rings in units of the matching radius.
CONTROL_RINGS = (4.0, 6.0, 9.0)
# Directions on each ring, every 30 degrees.
CONTROLS_PER_RING = 12
# Less likely than this by chance, all trials counted, is a match.
CHANCE_LIMIT = 1e-4
N_REFINEMENTS = 6
# Matching radius in units of the scatter of the pairs, and its least value in pixels.
RADIUS_IN_SIGMA = 4.0
LEAST_RADIUS = 0.3


@dataclass(frozen=True)
class MatchQuality:
    """What speaks for a match.

    Parameters
    ----------
    n_pairs : int
        Pairs closer than ``radius`` after the transformation.
    n_chance : float
        Expected number of such pairs between unrelated catalogues.
    probability : float
        That chance gives so many at one of the offsets that were searched.
    radius : float
        Same unit as the positions.
    """

    n_pairs: int = 0
    n_chance: float = 0.0
    probability: float = 1.0
    radius: float = 0.0

    @property
    def is_real(self) -> bool:
        """Whether chance is ruled out."""
        return self.probability < CHANCE_LIMIT


def apply_affine(matrix: np.ndarray, shift: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """matrix @ xy + shift for (N, 2) positions."""
    return xy @ np.asarray(matrix).T + np.asarray(shift)


def close_pairs(
    reference: np.ndarray, image: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mutual nearest neighbours closer than ``radius``.

    Parameters
    ----------
    reference, image : (N, 2), (M, 2) arrays
    radius : float

    Returns
    -------
    reference_index, image_index : int arrays
    """
    none = np.zeros(0, dtype=int)
    if not len(reference) or not len(image):
        return none, none
    distance, nearest = cKDTree(reference).query(image)
    _, back = cKDTree(image).query(reference)
    own = np.arange(len(image))
    keep = (distance < radius) & (back[nearest] == own)
    return nearest[keep], own[keep]


def _rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def _votes(reference_tree, reference, image, reach, step):
    """Best offset (reference - image) within ``reach``, and its votes."""
    near = reference_tree.query_ball_point(image, reach * np.sqrt(2))
    counts = np.array([len(n) for n in near])
    if not counts.sum():
        return np.zeros(2), 0
    first = np.concatenate([np.asarray(n, dtype=int) for n in near if n])
    offsets = reference[first] - np.repeat(image, counts, axis=0)
    offsets = offsets[(np.abs(offsets) <= reach).all(axis=1)]
    if not len(offsets):
        return np.zeros(2), 0
    # a vote counts for all offsets within a step, so that no bin edge splits them
    tree = cKDTree(offsets)
    support = tree.query_ball_point(offsets, step, return_length=True)
    best = offsets[np.argmax(support)]
    for _ in range(3):
        best = offsets[tree.query_ball_point(best, step)].mean(axis=0)
    return best, int(support.max())


def guess_transform(
    reference: np.ndarray,
    image: np.ndarray,
    reach: float,
    step: float,
    rotate: bool,
    start: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray, float]:
    """A transformation that brings ``image`` close to ``reference``.

    Parameters
    ----------
    reference, image : (N, 2), (M, 2) arrays
        Positions in one plane.
    reach : float
        Largest offset that is looked for, on either axis, about ``start``.
    step : float
        Offsets closer than this agree.
    rotate : bool
        Whether rotations up to 1.5 degrees are tried; as many as the field
        needs for stars at its edge to agree as well.
    start : (float, float), optional
        Offset about which is searched.

    Returns
    -------
    matrix : (2, 2) array
    shift : (2,) array
        ``matrix @ image + shift`` is near ``reference``.
    n_trials : float
        Number of places that were searched: by how much chance is to be
        multiplied.
    """
    centre = image.mean(axis=0)
    arm = np.median(np.hypot(*(image - centre).T)) if len(image) > 1 else 0.0
    angles = np.zeros(1)
    if rotate and arm > 0:
        count = int(np.ceil(np.radians(MAX_ROTATION) * arm / step))
        angles = np.linspace(-MAX_ROTATION, MAX_ROTATION, 2 * count + 1)
    tree, best = cKDTree(reference), (-1, np.eye(2), np.zeros(2))
    # from small angles to large ones: of equals the smallest wins
    for angle in angles[np.argsort(np.abs(angles), kind="stable")]:
        matrix = _rotation(angle)
        offset = centre - matrix @ centre + np.asarray(start)
        shift, votes = _votes(tree, reference, apply_affine(matrix, offset, image), reach, step)
        if votes > best[0]:
            best = votes, matrix, offset + shift
    return best[1], best[2], len(angles) * max(1.0, (reach / step) ** 2)


def refine_pairs(
    reference: np.ndarray,
    image: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    matrix: np.ndarray,
    shift: np.ndarray,
    radius: float,
    least: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Match more and more closely.

    Parameters
    ----------
    reference, image : (N, 2), (M, 2) arrays
    fit : callable
        ``fit(reference_positions, image_positions)`` gives (matrix, shift) that
        bring the latter to the former.
    matrix, shift : arrays
        Where to begin.
    radius : float
        First matching radius; it shrinks to four times the scatter.
    least : float
        Smallest matching radius.

    Returns
    -------
    reference_index, image_index : int arrays
        The pairs.
    matrix, shift : arrays
    radius : float
        The last one.
    """
    pairs = close_pairs(reference, apply_affine(matrix, shift, image), radius)
    for _ in range(N_REFINEMENTS):
        if len(pairs[0]) < 3:
            break
        matrix, shift = fit(reference[pairs[0]], image[pairs[1]])
        moved = apply_affine(matrix, shift, image)
        rest = reference[pairs[0]] - moved[pairs[1]]
        scatter = MAD_TO_STD * np.median(np.abs(rest))
        radius = float(np.clip(RADIUS_IN_SIGMA * scatter, least, radius))
        old, pairs = pairs, close_pairs(reference, moved, radius)
        if np.array_equal(old[0], pairs[0]) and np.array_equal(old[1], pairs[1]):
            break
    return *pairs, matrix, shift, radius


def match_quality(
    reference: np.ndarray, moved: np.ndarray, radius: float, n_trials: float
) -> MatchQuality:
    """Compare the pairs with those at offsets that are wrong.

    Parameters
    ----------
    reference, moved : (N, 2), (M, 2) arrays
        The catalogues, the second one transformed to the first.
    radius : float
        Matching radius.
    n_trials : float
        See `guess_transform`.

    Returns
    -------
    MatchQuality
        Pairs by chance follow a Poisson distribution. Its mean is counted at
        36 offsets of 4 to 9 radii, so that clustered stars are taken as they
        are; it is not put below a third of a pair in all 36.
    """
    n_pairs = len(close_pairs(reference, moved, radius)[0])
    angles = np.arange(CONTROLS_PER_RING) * (2 * np.pi / CONTROLS_PER_RING)
    wrong = [
        ring * radius * np.array([np.cos(angle), np.sin(angle)])
        for ring in CONTROL_RINGS
        for angle in angles + ring
    ]
    counts = [len(close_pairs(reference, moved + offset, radius)[0]) for offset in wrong]
    n_chance = max(float(np.mean(counts)), 1 / 3 / len(counts))
    probability = min(1.0, n_trials * (float(pdtrc(n_pairs - 1, n_chance)) if n_pairs else 1.0))
    return MatchQuality(n_pairs, n_chance, probability, float(radius))
