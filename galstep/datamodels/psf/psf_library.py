"""The PSF file: an HDF5 dataset per filter and the attribute ``oversample``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.files.hdf5_access import choose_filters, image_names, open_hdf5, read_image
from galstep.datamodels.files.psf_bounds import check_psf_size
from galstep.exceptions import InputError
from galstep.psf_array import checked_psf, whole_oversample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["check_psf", "read_psfs"]


def read_psfs(
    path: PathLike, filters: Sequence[str] | None = None
) -> dict[str, tuple[np.ndarray, int]]:
    """The PSF of each filter.

    Parameters
    ----------
    path : path-like
        HDF5 file with a 2-D dataset per filter at the root. The attribute
        ``oversample`` (samples per image pixel) stands at the root, or at the
        dataset where filters differ.
    filters : sequence of str, optional
        By default all.

    Returns
    -------
    dict of str to (2-D float64 array, int)
        The PSF, sum 1, and its oversampling.

    Raises
    ------
    InputError
        If the file, a filter or ``oversample`` is missing, or an array cannot
        be a PSF (`check_psf`).
    """
    where = f"psf_file {path}"
    psfs = {}
    with open_hdf5(path, "psf_file") as file:
        for name in choose_filters(image_names(file), filters, where):
            check_psf_size(file[name].shape, f"{where}: {name}")
            array = read_image(file[name], f"{where}: {name}")
            psfs[name] = check_psf(array, f"{where}: {name}"), _oversample(file, name, where)
    return psfs


def check_psf(array: np.ndarray, what: str) -> np.ndarray:
    """The array divided by its sum, if it can be a PSF.

    Parameters
    ----------
    array : 2-D array
        Any normalisation.
    what : str
        The file and dataset, as messages call it.

    Returns
    -------
    2-D array
        Sum 1.

    Raises
    ------
    InputError
        If a sample is not finite, all are zero, the sum is not positive, or one
        is below -0.05 of the peak; see `galstep.psf_array`.
    """
    values = checked_psf(array, what)
    return values / values.sum()


def _oversample(file, name, where):
    """The attribute of the dataset, or else of the file, as a positive int."""
    value = file[name].attrs.get("oversample", file.attrs.get("oversample"))
    if value is None:
        raise InputError(
            f"{where}: the root attribute 'oversample' (samples per image pixel) is missing"
        )
    return whole_oversample(np.ravel(value), where)
