"""What a PSF may be, before the engine makes grids and windows of it."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from galstep.datamodels.files.image_bounds import check_pixels
from galstep.exceptions import InputError

__all__ = ["check_psf_light", "check_psf_size"]

log = logging.getLogger(__name__)

# 5000 x 5000: a PSF of 40 arcsec at 4 samples per pixel of 0.03 arcsec
_MOST_SAMPLES = 25_000_000
# the farthest known of a library PSF is 0.5 (F160W); from 1 on a fit is visibly worse, and where
# the core lies beyond the first pixels stars are drawn beside the place they are found at
_WORTH_A_WARNING = 1.0
_FARTHEST = 5.0


def check_psf_size(shape: Any, what: str) -> None:
    """Raise `InputError` for an array that is too large for a PSF; nothing is read.

    Parameters
    ----------
    shape : sequence of int
    what : str
        The PSF, as messages call it.
    """
    check_pixels(shape, what, "cut it to the part with light", _MOST_SAMPLES)


def check_psf_light(array: np.ndarray, oversample: int, what: str) -> None:
    """Raise `InputError` for a PSF whose star is far from the middle; warn of one beside it.

    What counts is the centre of the samples above half of the peak.

    Parameters
    ----------
    array : 2-D array
        Finite, with light.
    oversample : int
    what : str
        The PSF, as messages call it.
    """
    y, x = np.nonzero(array >= array.max() / 2)
    weight = array[y, x] / array[y, x].sum()
    middle = (np.array(array.shape) - 1) / 2
    off = np.hypot(weight @ y - middle[0], weight @ x - middle[1]) / oversample
    said = (
        f"the star must be in the middle of the array, and is {off:.1f} pixels of the image "
        f"beside it, at ({weight @ x:.0f}, {weight @ y:.0f}) of {array.shape[1]} x {array.shape[0]}"
    )
    if off > _FARTHEST:
        raise InputError(f"{what}: {said}")
    if off > _WORTH_A_WARNING:
        log.warning("%s: %s", what, said)
