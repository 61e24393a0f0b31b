"""Which peaks may be parts of a brighter star's wings: rings, spikes, speckles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import oaconvolve
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from galstep.core.star_field.detect import Peaks
    from galstep.core.star_field.psf import PsfField

__all__ = ["not_in_wings", "wing_envelope"]

# A peak counts as another star when it is so much brighter than the wings there can make it.
MARGIN = 1.5
# Steps in which reaches are grouped, pixels.
TIERS = (6, 12, 25, 50, 100)


def wing_envelope(psfs: PsfField, kernel: np.ndarray) -> np.ndarray:
    """The largest peak that the wings of a star can make in the matched filter.

    Parameters
    ----------
    psfs : `galstep.core.star_field.psf.PsfField`
    kernel : (k, k) array
        The filter.

    Returns
    -------
    (n,) array
        By distance in whole pixels: largest filtered value at this distance or
        beyond, in units of the star's own.
    """
    half = psfs.half_size
    side = 2 * half + 1
    centre = np.array([float(half)])
    envelope = np.zeros(half + 1)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    ring = np.minimum(np.hypot(x, y).astype(int), half)
    for renderer in psfs.renderers:
        star = renderer.render((side, side), centre, centre, np.ones(1))
        response = oaconvolve(star, kernel[::-1, ::-1], mode="same") / (kernel**2).sum()
        np.maximum.at(envelope, ring.ravel(), np.abs(response).ravel())
    envelope = np.maximum.accumulate(envelope[::-1])[::-1]
    return envelope / envelope[0]


def not_in_wings(peaks: Peaks, envelope: np.ndarray) -> np.ndarray:
    """The peaks that no brighter one can have made.

    Parameters
    ----------
    peaks : `galstep.core.star_field.detect.Peaks`
    envelope : (n,) array
        From `wing_envelope`.

    Returns
    -------
    (N,) bool array
    """
    keep = np.ones(len(peaks), dtype=bool)
    if len(peaks) < 2:
        return keep
    envelope = MARGIN * envelope
    faintest = peaks.flux.min()
    # how far each star's wings can pass for the faintest peak there is
    reach = len(envelope) - np.searchsorted(
        envelope[::-1], faintest / np.maximum(peaks.flux, 1e-300)
    )
    tree = cKDTree(np.column_stack([peaks.x, peaks.y]))
    low = 0
    for high in (*TIERS, len(envelope)):
        bright = np.flatnonzero((reach > low) & (reach <= high))
        low = high
        if not len(bright):
            continue
        near = tree.query_ball_point(tree.data[bright], high)
        one = np.repeat(bright, [len(n) for n in near])
        two = np.concatenate([np.asarray(n, dtype=int) for n in near])
        distance = np.hypot(*(tree.data[one] - tree.data[two]).T)
        # the peaks' places are good to half a pixel
        place = np.minimum(np.maximum(distance - 0.5, 0).astype(int), len(envelope) - 1)
        fainter = peaks.flux[two] < peaks.flux[one] * np.minimum(envelope[place], 1.0)
        keep[two[fainter & (one != two)]] = False
    return keep
