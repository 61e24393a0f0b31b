"""PSFs with their sampling, as `galstep.datamodels.psf.psf_input` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from galstep.exceptions import InputError

__all__ = ["as_psfs", "with_sampling"]


def as_psfs(psf: Any, oversample: Any, filters: Any) -> Any:
    """PSFs of a galaxy.

    Parameters
    ----------
    psf : object
        An array, ``(array, oversample)``, a PSF model of photutils, a file; or a mapping
        of filter to these.
    oversample : int, or mapping of str to int, or None
        Samples per image pixel of plain arrays.
    filters : collection of str or None
        The filters, where they are known before the images are read.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If an array comes without its sampling, or one PSF is given for several filters.
    """
    if isinstance(psf, Mapping):
        return {
            str(name): with_sampling(own, _of_filter(oversample, name), f"psf[{name!r}]")
            for name, own in psf.items()
        }
    if isinstance(oversample, Mapping):
        raise InputError("oversample is a dict of filters, so psf must be one too")
    if filters is not None and len(filters) > 1 and isinstance(psf, np.ndarray | tuple):
        raise InputError(
            f"psf: the {len(filters)} filters need one each: give a dict of filters, "
            f"got {type(psf).__name__}"
        )
    return with_sampling(psf, oversample, "psf")


def _of_filter(oversample, name):
    if isinstance(oversample, Mapping):
        if name not in oversample:
            raise InputError(
                f"oversample: there is none for filter {name!r}, only for "
                f"{', '.join(map(str, oversample))}"
            )
        return oversample[name]
    return oversample


def with_sampling(psf: Any, oversample: Any, where: str) -> Any:
    """A plain array with its sampling; anything else as it is.

    Parameters
    ----------
    psf : object
    oversample : int or None
    where : str
        What messages call it.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If an array comes without.
    """
    if not isinstance(psf, np.ndarray):
        return psf
    if oversample is None:
        raise InputError(
            f"{where}: give oversample, the samples of the PSF per image pixel "
            "(1: sampled as the image)"
        )
    return psf, oversample
