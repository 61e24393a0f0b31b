"""The PSF of a whole field: one array, or a grid of them, from what the user has."""

from __future__ import annotations

import os
from typing import Any

import h5py
import numpy as np

from galstep.datamodels.psf_fits import fits_psfs
from galstep.datamodels.psf_library import check_psf, read_psfs
from galstep.datamodels.psf_models import add_pixel_response, is_psf_model
from galstep.exceptions import InputError

__all__ = ["open_psf_grid"]


def open_psf_grid(
    source: Any, filter_name: str | None = None, oversample: int | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """PSFs, their places on the image, and their sampling.

    Parameters
    ----------
    source : path-like, PSF model of photutils, or (array, oversample)
        A FITS file (one PSF, or a grid as STPSF writes it), an HDF5 file with a
        PSF per filter; ``ImagePSF`` and what ``EPSFBuilder`` makes,
        ``GriddedPSFModel``.
    filter_name : str, optional
        Which PSF of a file that has several.
    oversample : int, optional
        Samples per pixel where the file does not tell.

    Returns
    -------
    data : (n, ny, nx) array
        Each summing to about ``oversample``^2.
    positions : (n, 2) array
        (x, y), pixels; ((0, 0),) for a single PSF.
    oversample : int

    Raises
    ------
    InputError
        If there is no such PSF, or it cannot be told from others.
    """
    if is_psf_model(source):
        return _from_model(source, "psf")
    if isinstance(source, tuple):
        return _single(source[0], source[1], "psf")
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            "psf must be a file, a PSF model of photutils or a pair (array, oversample), "
            f"got {type(source).__name__}"
        )
    if os.path.isfile(source) and h5py.is_hdf5(source):
        return _from_library(source, filter_name)
    return _from_fits(source, filter_name, oversample)


def _single(array, oversample, what):
    if oversample is None:
        raise InputError(f"{what}: it does not tell its sampling: give oversample")
    array = check_psf(np.asarray(array, dtype=float), what) * oversample**2
    return array[None], np.zeros((1, 2)), int(oversample)


def _from_model(model, what):
    factors = np.unique(np.asarray(model.oversampling, dtype=float))
    if factors.size != 1 or factors[0] != int(factors[0]):
        raise InputError(f"{what}: oversampling must be one whole number, got {model.oversampling}")
    data = np.asarray(model.data, dtype=float)
    positions = getattr(model, "grid_xypos", None)
    if data.ndim == 3 and positions is not None:
        return data, np.asarray(positions, dtype=float), int(factors[0])
    middle = (np.array(data.shape[::-1]) - 1) / 2
    origin = np.asarray(getattr(model, "origin", middle), dtype=float)
    if not np.allclose(origin, middle):
        raise InputError(f"{what}: its origin must be the middle {middle}, got {origin}")
    # its norm is kept: a flux is then the one that photutils would find
    return data[None], np.zeros((1, 2)), int(factors[0])


def _from_library(path, filter_name):
    with h5py.File(path) as file:
        names = [name for name in file if isinstance(file[name], h5py.Dataset)]
    if filter_name is None and len(names) != 1:
        raise InputError(f"psf_file {path}: say which filter, it has {', '.join(names)}")
    name = filter_name or names[0]
    array, oversample = read_psfs(path, [name])[name]
    return _single(array, oversample, f"psf_file {path}: {name}")


def _from_fits(path, filter_name, oversample):
    sources = fits_psfs(path)
    if len(sources) > 1 and filter_name is not None:
        sources = [source for source in sources if source.name == filter_name]
    if len(sources) != 1:
        raise InputError(
            f"psf_file {path}: one PSF is needed, it has {len(sources)}"
            + (f" for filter {filter_name!r}" if filter_name else ": say which filter")
        )
    source = sources[0]
    if source.model is not None:
        return _from_model(source.model, source.where)
    factor = source.oversample or oversample
    data, positions, factor = _single(source.array, factor, source.where)
    if not source.has_pixel:
        data = add_pixel_response(data[0], factor)[None]
    return data, positions, factor
