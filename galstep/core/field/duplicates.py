"""Rows of a catalogue that are one object: two of them would share its light at random."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from galstep.core.field.records import FieldSources, SourceType
from galstep.flags import FieldFlag

__all__ = ["same_object", "without_duplicates"]

# Sizes that differ by more than this factor are two things, such as a bulge and its disk.
_OTHER_SIZE = 1.3


def same_object(sources: FieldSources, radius: float | np.ndarray) -> np.ndarray:
    """Which row each row repeats.

    Two rows are one object if they are closer than ``radius`` and nothing that the catalogue says
    tells them apart: neither the types nor the sizes. A star of flux F that is drawn as two halves
    a distance d apart changes chi2 by (S/N)^2 (d / sigma)^4 / 128, sigma = FWHM / 2.355: at a
    quarter of the FWHM it takes S/N 100 to see (3 sigma) that there are two.

    Parameters
    ----------
    sources : FieldSources
        Rows without ``fit`` are nobody's.
    radius : float or (N,) array
        Reference pixels.

    Returns
    -------
    (N,) int array
        The row that is kept, a reference star before others, else the first; -1: the row itself.
    """
    repeats = np.full(len(sources), -1)
    rows = np.flatnonzero(sources.fit & np.isfinite(sources.x) & np.isfinite(sources.y))
    radius = np.broadcast_to(np.asarray(radius, dtype=float), (len(sources),))
    if len(rows) < 2 or not radius[rows].max() > 0:
        return repeats
    places = np.column_stack([sources.x, sources.y])
    pairs = cKDTree(places[rows]).query_pairs(radius[rows].max(), output_type="ndarray")
    reference = sources.flags & int(FieldFlag.REFERENCE) != 0
    # the better row first, so that chains end at one
    for first, second in sorted(rows[pairs].tolist(), key=lambda p: (min(p), max(p))):
        one, two = sorted((first, second), key=lambda row: (not reference[row], row))
        near = np.hypot(*(places[one] - places[two])) <= min(radius[one], radius[two])
        if near and repeats[one] < 0 and repeats[two] < 0 and _alike(sources, one, two):
            repeats[two] = one
            repeats[repeats == two] = one
    return repeats


def without_duplicates(
    sources: FieldSources, radius: float | np.ndarray
) -> tuple[FieldSources, np.ndarray]:
    """The rows, those that repeat another flagged and not fitted; and what `same_object` says."""
    repeats = same_object(sources, radius)
    again = repeats >= 0
    bits = int(FieldFlag.DUPLICATE | FieldFlag.EXCLUDED)
    flags = np.where(again, sources.flags | bits, sources.flags)
    return sources.with_columns(fit=sources.fit & ~again, flags=flags), repeats


def _alike(sources, one, two):
    kinds = sources.kind[one], sources.kind[two]
    if SourceType.AUTO not in kinds and kinds[0] != kinds[1]:
        return False
    sizes = np.array([sources.r_eff[one], sources.r_eff[two]])
    known = bool(np.all(sizes > 0)) and SourceType.STAR not in kinds
    return not known or bool(sizes.max() / sizes.min() < _OTHER_SIZE)
