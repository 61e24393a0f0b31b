"""Effective PSFs that are wanted again: one step after another asks for the same.

Convolving a library PSF with its kernel and preparing it for rendering takes
longer than many a fit. An `EffectivePSF` keeps what is made from it, and the
last few of them are kept here. They are found by what they are made of, so
another array or another kernel is another PSF.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from weakref import ref

import numpy as np

from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import displaced_kernels
from galstep.records import PsfCorrection, PsfKernel

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


def effective_psf(
    array: np.ndarray, oversample: int, kernel: PsfKernel | None = None, name: str = "PSF"
) -> EffectivePSF:
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
    kernel = PsfKernel() if kernel is None else _shape(kernel)
    array = np.asarray(array)
    return _made(_Content(array, name), oversample, kernel)


def displaced_psfs(
    array: np.ndarray, oversample: int, kernel: PsfKernel | None = None, name: str = "PSF"
) -> tuple[EffectivePSF, ...]:
    """The effective PSF moved by one sigma along each independent error of its kernel.

    Parameters
    ----------
    array, oversample, kernel, name
        As for `effective_psf`.

    Returns
    -------
    tuple of EffectivePSF
        One per kernel parameter whose error is known, or per principal axis of
        their covariance, each with the correction; empty without any.
    """
    correction = None if kernel is None else kernel.correction
    moved = [replace(other, correction=correction) for other in displaced_kernels(kernel)]
    return tuple(effective_psf(array, oversample, other, name) for other in moved)


def _shape(kernel):
    """A kernel as a key: what decides how the PSF looks, and nothing else."""
    correction = kernel.correction
    if correction is not None:
        correction = PsfCorrection(correction.scale, tuple(correction.coefficients))
    return PsfKernel(kernel.family, tuple(kernel.parameters), correction=correction)


@lru_cache(maxsize=_N_KEPT)
def _made(content, oversample, kernel):
    return EffectivePSF.from_array(content.array(), oversample, content.name).convolved(kernel)
