"""The PSF of each filter, from whatever the user has.

A file (HDF5, FITS), a folder or list of FITS files, a PSF model of photutils, a
pair ``(array, oversample)``, or a mapping of filter to any of these.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.hdf5_access import choose_filters, not_there
from galstep.datamodels.files.psf_bounds import check_psf, check_psf_light, check_psf_size
from galstep.datamodels.images.fits_header import filter_in_text
from galstep.datamodels.psf.psf_fits import PsfSource, fits_psfs
from galstep.datamodels.psf.psf_library import read_psfs
from galstep.datamodels.psf.psf_models import add_pixel_response, is_psf_model, resampled, sampled
from galstep.exceptions import InputError
from galstep.psf_array import whole_oversample

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_psfs", "psf_at", "psf_sources", "step_of"]

log = logging.getLogger(__name__)

FITS_ENDINGS = (".fits", ".fit", ".fits.gz", ".fits.fz")
_SAME_SCALE = 0.005


def find_psfs(psf_file: Any, filters: Sequence[str]) -> dict[str, PsfSource]:
    """Where the PSF of each filter is.

    Parameters
    ----------
    psf_file : object
        See the module's text.
    filters : sequence of str

    Returns
    -------
    dict of str to PsfSource

    Raises
    ------
    InputError
        If one is missing, or cannot be told from another.
    """
    if isinstance(psf_file, Mapping):
        chosen = choose_filters(list(psf_file), filters, "psf_file", "it is empty")
        return {name: _single(psf_file[name], name, f"psf_file[{name!r}]") for name in chosen}
    if _is_path(psf_file) and _is_hdf5(psf_file):
        return {
            name: PsfSource(name, f"psf_file {psf_file}: {name}", array, oversample)
            for name, (array, oversample) in read_psfs(psf_file, filters).items()
        }
    sources, where = _sources(psf_file)
    return {name: _of_filter(sources, name, filters, where) for name in filters}


def psf_at(
    source: PsfSource, x: float, y: float, side: float, default_oversample: int | None = None
) -> tuple[np.ndarray, int]:
    """The PSF as the engine needs it.

    Parameters
    ----------
    source : PsfSource
    x, y : float
        Where on the image, for PSFs that vary.
    side : float
        Side of an image pixel, arcsec.
    default_oversample : int, optional
        Where nothing tells.

    Returns
    -------
    (2-D array, int)
        Sum 1, star in the geometric centre; samples per image pixel.

    Raises
    ------
    InputError
        If nothing tells the oversampling, or the array is no PSF.
    """
    if source.model is not None:
        array, oversample = sampled(source.model, x, y, source.where)
    else:
        array, oversample = source.array, source.oversample or default_oversample
    if oversample is None:
        raise InputError(
            f"{source.where}: the oversampling is not told (DET_SAMP or OVERSAMP): "
            "give psf_oversample"
        )
    oversample = whole_oversample(oversample, source.where)
    check_psf_size(np.shape(array), source.where)
    array = check_psf(array, source.where)
    if not source.has_pixel:
        array = add_pixel_response(array, oversample)
    step = step_of(source, side, oversample)
    if step is not None:
        array = resampled(array, step * np.eye(2))
    array = check_psf(array, source.where)
    check_psf_light(array, oversample, source.where)
    return array, oversample


def step_of(source: PsfSource, side: float | None, oversample: int) -> float | None:
    """Samples of a PSF along one of the samples that the image's pixels need.

    Parameters
    ----------
    source : PsfSource
    side : float or None
        Of an image pixel, arcsec.
    oversample : int

    Returns
    -------
    float or None
        None where the PSF is sampled for these pixels, or nothing tells.
    """
    if source.sample_side is None or side is None:
        return None
    step = side / (source.sample_side * oversample)
    if abs(step - 1) <= _SAME_SCALE:
        return None
    log.info("%s: resampled by %.4g to the image's pixels", source.where, step)
    return step


def psf_sources(psf: Any, where: str = "psf") -> list[PsfSource]:
    """All PSFs that there are in what was given.

    Parameters
    ----------
    psf : object
        As for `find_psfs`, without being told which filters are wanted.
    where : str, optional
        What messages call it.

    Returns
    -------
    list of PsfSource

    Raises
    ------
    InputError
        If there is none.
    """
    if isinstance(psf, Mapping):
        return [_single(thing, str(name), f"{where}[{name!r}]") for name, thing in psf.items()]
    if _is_path(psf) and _is_hdf5(psf):
        return [
            PsfSource(name, f"{where}: {name}", array, oversample)
            for name, (array, oversample) in read_psfs(psf).items()
        ]
    if _is_path(psf) or isinstance(psf, list):
        return _sources(psf)[0]
    return [_single(psf, None, where)]


def _is_path(thing):
    return isinstance(thing, str | os.PathLike)


def _is_hdf5(path):
    """Whether to read it as HDF5: what is neither FITS nor a folder is told off there."""
    path = Path(path)
    if path.is_dir():
        return False
    if not path.is_file():
        return True
    with open(path, "rb") as stream:
        return stream.read(9) != b"SIMPLE  ="


def _sources(psf_file):
    """All PSFs that there are, and what messages call the lot."""
    if _is_path(psf_file):
        where = f"psf_file {psf_file}"
        if not Path(psf_file).is_dir():
            return fits_psfs(psf_file), where
        files = sorted(
            p for p in Path(psf_file).iterdir() if p.name.endswith((*FITS_ENDINGS, ".psf"))
        )
        if not files:
            raise InputError(f"{where}: there is no FITS file in this folder")
        return [source for path in files for source in fits_psfs(path)], where
    if isinstance(psf_file, list):
        sources = []
        for item in psf_file:
            sources += fits_psfs(item) if _is_path(item) else [_single(item, None, "psf_file")]
        return sources, "psf_file"
    return [_single(psf_file, None, "psf_file")], "psf_file"


def _single(thing, name, where):
    """One PSF of a filter that is known, or the only one."""
    if _is_path(thing):
        if _is_hdf5(thing):
            array, oversample = read_psfs(thing, [name])[name]
            return PsfSource(name, f"psf_file {thing}", array, oversample)
        return _of_filter(fits_psfs(thing), name, [name], f"psf_file {thing}")
    thing = getattr(thing, "epsf", thing)  # of the result of EPSFBuilder
    if isinstance(thing, tuple) and len(thing) == 2 and is_psf_model(thing[0]):
        thing = thing[0]  # (epsf, stars), as EPSFBuilder's result unpacks
    if is_psf_model(thing):
        return PsfSource(name or _name_in_meta(thing), where, model=thing)
    oversample = None
    if isinstance(thing, tuple) and len(thing) == 2:
        thing, oversample = thing
        oversample = None if oversample is None else whole_oversample(oversample, where)
    if isinstance(thing, np.ndarray) and thing.dtype.kind in "fiu":
        if np.ma.is_masked(thing):
            raise InputError(f"{where} must have no masked samples")
        return PsfSource(name, where, np.asarray(thing, dtype=float), oversample)
    is_formula = hasattr(thing, "param_names")
    hint = ": make a PSF model of it with photutils.psf.make_psf_model" if is_formula else ""
    raise InputError(
        f"{where} must be a file, a PSF model of photutils, or (array, oversample), "
        f"got {type(thing).__name__}{hint}"
    )


def _name_in_meta(model):
    meta = getattr(model, "meta", None) or {}
    name = meta.get("filter") if isinstance(meta, Mapping) else None
    # photutils keeps (value, comment) of a FITS keyword in some formats
    name = name[0] if isinstance(name, tuple) else name
    return filter_in_text(name) or name if isinstance(name, str) else None


def _of_filter(sources, name, filters, where):
    """The one PSF that is of this filter."""
    found = [s for s in sources if s.name is not None and s.name.upper() == name.upper()]
    if len(found) > 1:
        raise InputError(
            f"{where}: one PSF of filter {name!r} is needed, got "
            + " and ".join(s.where.removeprefix("psf_file ") for s in found)
        )
    if found:
        return found[0]
    if len(sources) == len(filters) == 1 and sources[0].name is None:
        return sources[0]
    named = sorted({s.name for s in sources if s.name is not None})
    if not named:
        raise InputError(f"{where}: nothing tells of which filter the PSF is; give a mapping")
    raise InputError(not_there(name, named, where))
