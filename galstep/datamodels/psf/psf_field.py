"""The PSF of a whole field: one array, or a grid of them, by the rules of `psf_input`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.image_bounds import check_pixels
from galstep.datamodels.files.psf_bounds import check_psf_light, check_psf_size
from galstep.datamodels.psf.psf_input import psf_sources, step_of
from galstep.datamodels.psf.psf_models import add_pixel_response, resampled, sampled
from galstep.exceptions import InputError
from galstep.psf_array import checked_psf, whole_oversample

if TYPE_CHECKING:
    from galstep.datamodels.psf.psf_fits import PsfSource

__all__ = ["open_psf_field"]


def open_psf_field(
    psf: Any,
    filter_name: str | None = None,
    oversample: int | None = None,
    side: float | None = None,
    image_filter: str | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """PSFs, their places on the image, and their sampling.

    Parameters
    ----------
    psf : object
        Whatever `galstep.datamodels.psf.psf_input` takes: a file, a PSF model of
        photutils, with samples or a formula, ``(array, oversample)``, an array.
    filter_name : str, optional
        Which PSF of several.
    oversample : int, optional
        Samples per pixel where nothing tells.
    side : float, optional
        Side of an image pixel (arcsec): a PSF whose ``PIXELSCL`` is for pixels of
        another size is resampled.
    image_filter : str, optional
        The filter of the image: decides where ``filter_name`` does not.

    Returns
    -------
    data : (n, ny, nx) array
        Each summing to about ``oversample``^2. The norm of a model is kept, so that a
        flux is the one photutils would find; an array sums to it exactly.
    positions : (n, 2) array
        (x, y), pixels; ((0, 0),) for a single PSF.
    oversample : int

    Raises
    ------
    InputError
        If there is no such PSF, it cannot be told from others, or it can be none.
    """
    where = f"psf_file {psf}" if isinstance(psf, str | os.PathLike) else "psf"
    source = _chosen(psf, filter_name, image_filter, where)
    if source.model is not None:
        return _of_model(source.model, source.where)
    factor = source.oversample if source.oversample is not None else oversample
    if factor is None:
        raise InputError(f"{source.where}: it does not tell its sampling: give oversample")
    factor = whole_oversample(factor, source.where)
    check_psf_size(np.shape(source.array), source.where)
    array = checked_psf(source.array, source.where)
    if not source.has_pixel:
        array = add_pixel_response(array, factor)
    step = step_of(source, side, factor)
    if step is not None:
        array = resampled(array, step * np.eye(2))
    check_psf_light(array, factor, source.where)
    return (array * (factor**2 / array.sum()))[None], np.zeros((1, 2)), factor


def _chosen(psf, filter_name, image_filter, where) -> PsfSource:
    """The one PSF that is meant."""
    sources = psf_sources(psf, where)
    names = [name for name in (filter_name, image_filter) if name]
    for name in names if len(sources) > 1 else ():
        found = [s for s in sources if (s.name or "").upper() == name.upper()]
        if len(found) == 1:
            return found[0]
    if len(sources) == 1 and (
        filter_name is None or (sources[0].name or filter_name).upper() == filter_name.upper()
    ):
        return sources[0]
    listed = ", ".join(source.name or "one without a name" for source in sources)
    wanted = f" of filter {filter_name!r}" if filter_name else ": say which filter"
    raise InputError(f"{where}: one PSF is needed{wanted}, it has {listed}")


def _of_model(model, where):
    """Samples of a model as they are, where its star is in the middle of them."""
    positions = getattr(model, "grid_xypos", None)
    data = np.asarray(getattr(model, "data", 0.0), dtype=float)
    if data.ndim == 3 and positions is not None:
        factor = whole_oversample(model.oversampling, where)
        check_pixels(data.shape, where)
        data = np.array([checked_psf(array, where) for array in data])
        return data, np.asarray(positions, dtype=float), factor
    middle = (np.array(data.shape[::-1]) - 1) / 2
    origin = np.asarray(getattr(model, "origin", middle), dtype=float)
    if data.ndim == 2 and np.allclose(origin, middle):
        array, factor = data, whole_oversample(model.oversampling, where)
    else:
        array, factor = sampled(model, 0.0, 0.0, where)
    check_psf_size(array.shape, where)
    array = checked_psf(array, where)
    check_psf_light(array, factor, where)
    return array[None], np.zeros((1, 2)), factor
