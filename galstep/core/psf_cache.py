"""Effective PSFs that are wanted again: one step after another asks for the same.

Convolving a library PSF with its kernel and preparing it for rendering takes
longer than many a fit. An `EffectivePSF` keeps what is made from it, and the
last few of them are kept here. They are found by what they are made of, so
another array or another kernel is another PSF.
"""

import hashlib
from functools import lru_cache
from weakref import ref

import numpy as np

from galstep.core.psf import EffectivePSF
from galstep.records import PsfKernel

__all__ = ["displaced_psfs", "effective_psf"]

# All filters of a galaxy, displaced or not, and some to spare; each takes some 10 MB.
_N_KEPT = 16


class _Content:
    """An array as a key: equal if the contents are. It does not keep the array alive."""

    def __init__(self, array, name):
        self.array, self.name = ref(array), name
        digest = hashlib.sha1(np.ascontiguousarray(array), usedforsecurity=False).digest()
        self._key = array.shape, array.dtype.str, digest

    def __hash__(self):
        return hash(self._key)

    def __eq__(self, other):
        return self._key == other._key


def effective_psf(array, oversample, kernel=None, name="PSF"):
    """A library PSF convolved with its kernel; the same object for the same input.

    Parameters
    ----------
    array, oversample, name
        As for `EffectivePSF.from_array`.
    kernel : PsfKernel, optional
        None: the PSF as it is.

    Returns
    -------
    EffectivePSF

    Raises
    ------
    InputError, ParameterError
        As `EffectivePSF.from_array` and `EffectivePSF.convolved`.
    """
    kernel = PsfKernel() if kernel is None else PsfKernel(kernel.family, tuple(kernel.parameters))
    array = np.asarray(array)
    return _made(_Content(array, name), oversample, kernel)


def displaced_psfs(array, oversample, kernel=None, name="PSF"):
    """The effective PSF as it would be with each kernel parameter one sigma larger.

    Parameters
    ----------
    array, oversample, kernel, name
        As for `effective_psf`.

    Returns
    -------
    tuple of EffectivePSF
        One per kernel parameter whose error is known; empty without any.
    """
    if kernel is None:
        return ()
    displaced = []
    for k, (value, error) in enumerate(zip(kernel.parameters, kernel.errors, strict=False)):
        if np.isfinite(error) and error > 0:
            parameters = (*kernel.parameters[:k], value + error, *kernel.parameters[k + 1 :])
            moved = PsfKernel(kernel.family, parameters)
            displaced.append(effective_psf(array, oversample, moved, name))
    return tuple(displaced)


@lru_cache(maxsize=_N_KEPT)
def _made(content, oversample, kernel):
    return EffectivePSF.from_array(content.array(), oversample, content.name).convolved(kernel)
