"""Calibrated PSFs as files: HDF5 in the layout that PSFs are read from, and ASDF.

The HDF5 file has a dataset per filter, the effective PSF (sum 1, 32 bits), and
the attribute ``oversample``, at the root if all filters have one value and at each
dataset: it can be given as ``psf_file``, and needs no kernel any more. Beside it
stands, as attributes, what the PSF was made with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asdf
import numpy as np

from galstep import __version__
from galstep.datamodels.files.asdf_stream import save_asdf
from galstep.datamodels.files.hdf5_access import new_hdf5
from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.files.serialise import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.datamodels.galaxy import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["write_psfs_asdf", "write_psfs_hdf5"]

PSF_PRODUCT_VERSION = 1


def write_psfs_hdf5(
    model: GalaxyModel, psfs: Mapping[str, tuple[np.ndarray, int]], path: PathLike
) -> None:
    """Write effective PSFs so that they can be given as ``psf_file``.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
        Its kernels are noted.
    psfs : dict of str to (2-D array, int)
        Effective PSF of each filter, sum 1, and its oversampling.
    path : path-like
        Written whole or not at all.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    factors = {oversample for _, oversample in psfs.values()}
    with new_hdf5(path) as file:
        file.attrs["creator"] = f"galstep {__version__}"
        if len(factors) == 1:
            file.attrs["oversample"] = factors.pop()
        for name, (array, oversample) in psfs.items():
            dataset = file.create_dataset(safe_name(name), data=array.astype(np.float32))
            dataset.attrs["oversample"] = oversample
            kernel = model.bands[name].psf_kernel
            if kernel is not None:
                dataset.attrs["kernel_family"] = kernel.family
                dataset.attrs["kernel_parameters"] = np.array(kernel.parameters, dtype=float)
                dataset.attrs["corrected"] = kernel.correction is not None
                dataset.attrs["flags"] = kernel.flags


def write_psfs_asdf(
    model: GalaxyModel,
    psfs: Mapping[str, tuple[np.ndarray, int]],
    path: PathLike,
    stacks: Mapping[str, Any],
) -> None:
    """Write effective PSFs with their kernels and the stars that showed them.

    The tree: ``galstep_psfs`` (version of the layout), ``meta`` and, by filter,
    ``filters``: ``psf``, ``oversample``, ``kernel`` (`galstep.records.PsfKernel`),
    ``pixel_scale`` (arcsec) and ``stack`` (`galstep.core.calibration.psf_stack.StarStack`,
    null without stars). Any ASDF reader opens it.

    Parameters
    ----------
    model, psfs, path
        See `write_psfs_hdf5`.
    stacks : dict of str to record
        The stacked stars of the filters that have some.

    Raises
    ------
    InputError
        If the folder is not there.
    """
    filters = {}
    for name, (array, oversample) in psfs.items():
        band = model.bands[name]
        filters[name] = {
            "psf": array.astype(np.float32),
            "oversample": oversample,
            "kernel": plain(band.psf_kernel),
            "pixel_scale": band.pixel_scale,
            "stack": plain(stacks.get(name)),
        }
    tree = {
        "galstep_psfs": PSF_PRODUCT_VERSION,
        "meta": {"name": model.meta.name, "creator": f"galstep {__version__}"},
        "filters": filters,
    }
    save_asdf(asdf.AsdfFile(tree), path)
