"""What PSFCalibrate writes beside the model: the PSFs and their picture."""

from __future__ import annotations

import importlib.util
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.psf_stack import encircled_energy, kernel_image, stack_stars
from galstep.core.psf.effective import EffectivePSF
from galstep.datamodels.tables.drawn_names import with_plain_names
from galstep.records import PsfKernel
from galstep.steps.galaxy.products import save_figure
from galstep.steps.galaxy.scenes import effective_psf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.core.calibration.calibrate import CalibrationResult
    from galstep.core.calibration.psf_stack import StarStack
    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["stacked_stars", "write_psf_figure", "write_psfs"]

log = logging.getLogger("stpipe.galstep.psfcalibrate")

LARGEST_RADIUS = 40.0  # pixels, of the encircled energy
SHOWN_IN_FWHM = 2.5


def write_psfs(
    model: GalaxyModel, stacks: Mapping[str, StarStack], asdf_path: PathLike, hdf5_path: PathLike
) -> None:
    """Write the calibrated PSFs.

    Parameters
    ----------
    model : GalaxyModel
    stacks : dict of str to `galstep.core.calibration.psf_stack.StarStack`
        From `stacked_stars`.
    asdf_path, hdf5_path : path-like
        See `galstep.datamodels.products.psf_products`.
    """
    from galstep.datamodels.products.psf_products import write_psfs_asdf, write_psfs_hdf5

    psfs = {}
    for name, band in model.bands.items():
        psf = effective_psf(band)
        psfs[name] = psf.array, psf.oversample
    write_psfs_asdf(model, psfs, asdf_path, stacks)
    write_psfs_hdf5(model, psfs, hdf5_path)
    for path in (asdf_path, hdf5_path):
        log.info("Saved %s", path)


def write_psf_figure(model: GalaxyModel, stacks: Mapping[str, StarStack], path: PathLike) -> None:
    """Draw the calibrated PSFs, if matplotlib is installed.

    Parameters
    ----------
    model, stacks
        See `write_psfs`.
    path : path-like
    """
    if importlib.util.find_spec("matplotlib") is None:
        log.info("matplotlib is not installed, so %s is not written", path)
        return
    from galstep.plotting.psf_figure import psf_figure

    plain = with_plain_names(model)
    views = {
        drawn: _view(model.bands[name], stacks.get(name))
        for name, drawn in zip(model.bands, plain.bands, strict=True)
    }
    save_figure(lambda: psf_figure(plain, views), path)


def stacked_stars(
    model: GalaxyModel, calibrated: Mapping[str, CalibrationResult]
) -> dict[str, StarStack]:
    """The stacked stars of each filter that has some.

    Parameters
    ----------
    model : GalaxyModel
        With the kernels that are quoted.
    calibrated : dict of str to `galstep.core.calibration.calibrate.CalibrationResult`
        Filters that were calibrated.

    Returns
    -------
    dict of str to `galstep.core.calibration.psf_stack.StarStack`
    """
    return {
        name: stack_stars(result.frame, model.bands[name].psf_kernel, result.stars, result.anchors)
        for name, result in calibrated.items()
        if result.frame is not None and len(result.anchors)
    }


def _view(band, stack):
    """One filter as `galstep.plotting.psf_figure` shows it."""
    library = EffectivePSF.from_array(band.psf, band.oversample)
    psf, kernel = effective_psf(band), band.psf_kernel or PsfKernel()
    reach = min(max(*library.centre, *psf.centre) / band.oversample, LARGEST_RADIUS)
    half_size = int(np.ceil(min(SHOWN_IN_FWHM * psf.fwhm, reach)))
    radii = np.geomspace(0.4, reach, 40)
    return SimpleNamespace(
        library=_middle(library, half_size),
        kernel=kernel_image(kernel, band.oversample, half_size),
        psf=_middle(psf, half_size),
        half_size=half_size,
        radii=radii,
        energy=encircled_energy(psf, radii),
        library_energy=encircled_energy(library, radii),
        stack=stack,
    )


def _middle(psf, half_size):
    ny, nx = psf.array.shape
    cut_y, cut_x = (max(0, (n - 1) // 2 - half_size * psf.oversample) for n in (ny, nx))
    return psf.array[cut_y : ny - cut_y, cut_x : nx - cut_x]
