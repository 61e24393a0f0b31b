"""One door: whatever the user brings becomes a `GalaxyModel`.

=====================  ==========================================================
a path                 a galstep product, an HDF5 image file, FITS, a Roman mosaic
                       (ASDF), or a folder of FITS files and mosaics
an object              `GalaxyModel`, ``NDData``, ``CCDData``, ``HDUList``, the
                       ``ImageModel`` of jwst, the ``MosaicModel`` of romancal
a list                 of these
a mapping              filter to one of these, or to a plain array
=====================  ==========================================================

The kind of file is told from its first bytes, not from its name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.datamodels.files.hdf5_access import choose_filters
from galstep.datamodels.files.regular_file import check_regular
from galstep.datamodels.galaxy import GalaxyModel, Meta
from galstep.datamodels.images.duck_models import is_image_model, model_source
from galstep.datamodels.images.fits_header import filter_in_text
from galstep.datamodels.input.assemble import (
    check_frames,
    cut_of,
    make_band,
    pixel_side_of,
    tell_assumed_units,
)
from galstep.datamodels.input.input_name import input_name
from galstep.datamodels.input.missing_filter import name_what_has_none
from galstep.datamodels.input.read_options import ReadOptions
from galstep.datamodels.psf.psf_fits import PsfSource
from galstep.datamodels.psf.psf_input import FITS_ENDINGS, find_psfs, psf_at
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels.images.image_source import ImageSource
    from galstep.hints import PathLike

__all__ = ["files_read", "is_hdus", "is_product", "kind_of_file", "open_model", "sources_of"]

log = logging.getLogger(__name__)

_ASDF_MAGIC = b"#ASDF"
_FITS_MAGIC = b"SIMPLE  ="
_TAKEN = (
    "a path, an array, NDData, an image model of jwst or romancal, a list or mapping of filters "
    "to these, or a GalaxyModel"
)
_FILES_TAKEN = "HDF5, FITS, a Roman mosaic, or a galstep product (_gal.asdf)"


def open_model(source: Any, **options: Any) -> GalaxyModel:
    """Open a galaxy.

    Parameters
    ----------
    source : object
        See the module's text. A `GalaxyModel` is returned as it is; nothing else
        is changed or kept.
    **options
        See `galstep.datamodels.input.read_options.ReadOptions`. A product carries all
        that they say; only ``filters`` counts for it.

    Returns
    -------
    GalaxyModel

    Raises
    ------
    InputError
        If a file is missing, of another kind, or cannot be used; the message
        names the file and what is wrong with it.
    ParameterError
        If an option is out of range.
    """
    if isinstance(source, GalaxyModel):
        return source
    wanted = ReadOptions(**options)
    if _is_path(source) and kind_of_file(Path(source)) == "product":
        from galstep.datamodels.products.asdf_io import read_asdf

        if wanted.psf_file is not None:
            log.info("input %s: a product carries its PSFs, so psf_file is not used", source)
        return read_asdf(source, filters=wanted.wanted)
    with ExitStack() as stack:
        return _assembled(source, wanted, stack)


def _assembled(source, options, stack):
    """The model of images that are not ours."""
    where = f"input {source}" if _is_path(source) else "input"
    found = sources_of(source, where, options, stack)
    name_what_has_none(found, options, where, isinstance(source, list | tuple))
    sources = _named(found, where)
    names = choose_filters(list(sources), options.wanted, where, "there is no image")
    sources = {name: sources[name] for name in names}
    own = {n: PsfSource(n, s.where, *s.psf) for n, s in sources.items() if s.psf is not None}
    if options.psf_file is not None:
        psfs = find_psfs(options.psf_file, names)
    elif len(own) == len(names):
        psfs = own
    else:
        raise InputError(f"{where}: images need their PSFs: give psf_file")
    tell_assumed_units(list(sources.values()), options)
    bands = {}
    for name, image in sources.items():
        cut = cut_of(image, options)
        side = pixel_side_of(image, cut, options)
        psf = psf_at(psfs[name], cut.x, cut.y, side, options.psf_oversample)
        bands[name] = make_band(image, cut, psf, side, options)
    if options.reproject_to is not None:
        from galstep.datamodels.input.reproject_bands import reprojected

        bands = reprojected(bands, options.reproject_to, where)
    check_frames(bands, where)
    name, filename = input_name(source)
    shapes = {image.shape for image in sources.values()}
    shape = shapes.pop() if len(shapes) == 1 else None
    return GalaxyModel(Meta(name=name, filename=filename, input_shape=shape), bands)


def _named(sources, where):
    """The images by filter, which each must have and no two may share."""
    by_name = {}
    for source in sources:
        if source.name is None:
            raise InputError(
                f"{source.where}: no keyword tells the filter; give filters, one for each image "
                "in the order of a list of them, or from Python a mapping of filter to image"
            )
        if source.name in by_name:
            raise InputError(
                f"{where}: one image of filter {source.name!r} is needed, got "
                f"{by_name[source.name].where.removeprefix('input ')} and "
                f"{source.where.removeprefix('input ')}"
            )
        by_name[source.name] = source
    return by_name


def _is_path(thing):
    return isinstance(thing, str | os.PathLike)


def sources_of(thing: Any, where: str, options: ReadOptions, stack: ExitStack) -> list[ImageSource]:
    """All images of what was given; files stay open until ``stack`` is left."""
    if isinstance(thing, Mapping) and not is_image_model(thing):
        return [_of_filter(thing[name], str(name), options, stack) for name in thing]
    if isinstance(thing, list | tuple) and not is_hdus(thing):
        return _of_list(thing, options, stack)
    if _is_path(thing) and Path(thing).is_dir():
        return _of_folder(Path(thing), options, stack)
    return _of_one(thing, where, options.wanted, stack)


def _of_one(thing, where, wanted, stack):
    """The images of one file or object."""
    if _is_path(thing):
        return _of_file(Path(thing), where, wanted, stack)
    if is_hdus(thing):
        from galstep.datamodels.images.fits_input import fits_sources

        return _with_filters(fits_sources(thing, where, wanted), thing.filename())
    from galstep.datamodels.images.duck_nddata import array_source, is_nddata, nddata_source

    if isinstance(thing, np.ndarray) or hasattr(thing, "unmasked"):
        return [array_source(thing, where)]
    if is_nddata(thing):
        return [nddata_source(thing, where)]
    if is_image_model(thing):
        return [model_source(thing, where)]
    raise InputError(f"input must be {_TAKEN}, got {type(thing).__name__}")


def is_hdus(thing: Any) -> bool:
    """Whether ``thing`` is an open FITS file."""
    from astropy.io.fits import HDUList

    return isinstance(thing, HDUList)


def _of_file(path, where, wanted, stack):
    kind = kind_of_file(path)
    if kind == "fits":
        from galstep.datamodels.images.fits_input import fits_sources, open_fits

        hdus = open_fits(path, "input", stack)
        return _with_filters(fits_sources(hdus, where, wanted), path)
    if kind == "roman":
        from galstep.datamodels.images.mosaic_asdf import roman_source

        return [roman_source(path, where, stack)]
    if kind == "product":
        raise InputError(f"{where}: a galstep product is opened by itself, not among images")
    from galstep.datamodels.files.hdf5_access import open_hdf5
    from galstep.datamodels.images.hdf5_input import hdf5_sources

    return hdf5_sources(stack.enter_context(open_hdf5(path, "input")), where, wanted)


def _with_filters(sources, path):
    """The filter of a single image may stand in the name of its file alone."""
    if len(sources) == 1 and sources[0].name is None and path is not None:
        sources[0].name = filter_in_text(Path(path).name)
    return sources


def _of_filter(thing, name, options, stack):
    """The one image of a filter in a mapping."""
    where = f"input {thing}" if _is_path(thing) else f"input[{name!r}]"
    found = _of_one(thing, where, [name], stack)
    named = [source for source in found if source.name == name]
    if len(found) > 1 and not named:
        choose_filters([s.name for s in found if s.name], [name], where)
    source = (named or found)[0]
    source.name = name
    return source


def _of_list(things, options, stack):
    """Images one by one; ``x_wht.fits`` belongs to ``x_sci.fits`` or ``x.fits``."""
    from galstep.datamodels.images.fits_input import companion_role

    images, companions = {}, []
    for index, thing in enumerate(things):
        where = f"input {thing}" if _is_path(thing) else f"input[{index}]"
        stem, role = companion_role(thing) if _is_path(thing) else (index, None)
        # names make a pair only within one folder
        key = (Path(thing).parent, stem) if _is_path(thing) else index
        # of several HDF5 files each need not have all filters
        is_hdf5 = _is_path(thing) and kind_of_file(Path(thing)) == "hdf5"
        found = _of_one(thing, where, None if is_hdf5 else options.wanted, stack)
        if role in (None, "data"):
            images.setdefault(key, []).extend(found)
        else:
            companions.append((key, role, found[0]))
    for key, role, plane in companions:
        _attach(plane, role, images.get(key, ()))
    return [source for found in images.values() for source in found]


def _attach(plane, role, images):
    if len(images) != 1:
        raise InputError(
            f"{plane.where}: by its name it belongs to one image file beside it, "
            f"of which there are {len(images)}"
        )
    image = images[0]
    if plane.shape != image.shape:
        raise InputError(
            f"{plane.where} must have the shape of the image {image.shape}, got {plane.shape}"
        )
    setattr(image, role, (plane.data,) if role == "variances" else plane.data)
    image.zero_is_no_data = image.zero_is_no_data and role not in ("weight", "dq")


def _of_folder(path, options, stack):
    files = [p for p in files_read(path) if kind_of_file(p) in ("fits", "roman")]
    if not files:
        raise InputError(f"input {path}: there is no FITS file or Roman mosaic in this folder")
    return _of_list(files, options, stack)


def is_product(path: PathLike) -> bool:
    """Whether a file holds a galaxy that galstep has saved, as ASDF or HDF5.

    Parameters
    ----------
    path : path-like
        Anything; what cannot be read is no product.

    Returns
    -------
    bool
    """
    from galstep.datamodels.images.hdf5_input import is_own_result

    try:
        kind = kind_of_file(Path(path))
    except InputError:
        return False
    return kind == "product" or (kind == "hdf5" and is_own_result(path))


def files_read(path: PathLike) -> list[Path]:
    """The files that are read if this path is opened: itself, or those of a folder.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of `pathlib.Path`
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    endings = (*FITS_ENDINGS, ".asdf")
    return sorted(p for p in path.iterdir() if p.is_file() and p.name.endswith(endings))


def kind_of_file(path: Path) -> str:
    """``"product"``, ``"roman"``, ``"fits"``, ``"hdf5"`` or ``"folder"``; else an `InputError`."""
    if path.is_dir():
        return "folder"
    check_regular(path, "input")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(_FITS_MAGIC))
    except OSError as error:
        raise InputError(f"input {path}: cannot be read ({error.strerror})") from error
    if start.startswith(_ASDF_MAGIC):
        from galstep.datamodels.images.mosaic_asdf import is_roman

        return "roman" if is_roman(path) else "product"
    if start == _FITS_MAGIC or (start.startswith(b"\x1f\x8b") and ".fit" in path.name.lower()):
        return "fits"
    import h5py

    if h5py.is_hdf5(path):
        return "hdf5"
    raise InputError(f"input {path}: the kind of file is not known; what is read is {_FILES_TAKEN}")
