"""The images of a field: a list of files, files, a folder, or objects; and their headers.

A list is a text file with a path per line, ``#`` begins a comment; paths are relative to the
list, or to the current folder where there is no such file beside the list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from galstep.datamodels.files.regular_file import check_regular
from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.images.fits_input import fits_sources, open_fits
from galstep.datamodels.input.input_name import input_name
from galstep.datamodels.input.open import files_read, kind_of_file
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError

__all__ = ["FieldImage", "field_images", "is_image_list", "name_of_field", "read_image_list"]

_LARGEST_LIST = 2**20
_FALLBACK = "field"


@dataclass(frozen=True, eq=False)
class FieldImage:
    """An image of the input.

    Parameters
    ----------
    where : str
        What messages call it.
    source : str or `SkyImage`
        A path, or the image where it is in no file of its own.
    image : `SkyImage`
        The image, its planes left on disc.
    header : dict
        Keywords in capitals; empty where there are none.
    choose : str, optional
        Which image of a file with several.
    name : str, optional
        Filter, where something else than the header tells.
    """

    where: str
    source: Any
    image: SkyImage
    header: dict
    choose: str | None = None
    name: str | None = None


def is_image_list(path: str | os.PathLike) -> bool:
    """Whether a file is text that names images."""
    path = Path(path)
    if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
        return False
    with open(path, "rb") as stream:
        start = stream.read(4096)
    return b"\0" not in start and not start.startswith((b"#ASDF", b"SIMPLE  =", b"\x89HDF"))


def read_image_list(path: str | os.PathLike) -> list[str]:
    """The files that a list names.

    Raises
    ------
    InputError
        If it names none, or one that is not there.
    """
    path = Path(path)
    check_regular(path, "image list")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"image list {path}: cannot be read as text ({error})") from error
    names = [line.split("#")[0].strip() for line in lines]
    found = []
    for name in filter(None, names):
        beside = path.parent / os.path.expanduser(name)
        chosen = beside if beside.exists() else Path(name)
        if not chosen.exists():
            raise InputError(f"image list {path}: there is no file {name!r}")
        found.append(os.path.abspath(chosen))
    if not found:
        raise InputError(f"image list {path}: it names no image")
    return found


def field_images(source: Any) -> list[FieldImage]:
    """The images of a field.

    Parameters
    ----------
    source : object
        The path of an image list, of a FITS file of one image or several, or of a folder of such
        files; an image of any kind that `galstep.datamodels.sky.image_door.open_image` takes (a
        ``CCDData`` brings its header along); a list of these; or a mapping of filter to one.

    Returns
    -------
    list of FieldImage

    Raises
    ------
    InputError
        If one cannot be read.
    """
    if isinstance(source, Mapping):
        named = [(str(name), one) for name, item in source.items() for one in field_images(item)]
        return [replace(one, name=name) for name, one in named]
    if isinstance(source, list | tuple):
        return [one for item in source for one in field_images(item)]
    if not isinstance(source, str | os.PathLike):
        return [_of_object(source)]
    path = Path(source)
    if not path.exists():
        raise InputError(f"input {source}: there is no such file")
    if path.is_dir():
        return [one for file in files_read(path) for one in field_images(file)]
    if is_image_list(path):
        return [one for file in read_image_list(path) for one in field_images(file)]
    if kind_of_file(path) != "fits":
        image = open_image(path)
        return [FieldImage(f"input {path}", os.path.abspath(path), image, {}, None, image.filter)]
    return _of_fits(path)


def _of_object(thing):
    image = open_image(thing)
    meta = getattr(thing, "header", None)
    meta = getattr(thing, "meta", None) if meta is None else meta
    header = {str(k).upper(): v for k, v in meta.items()} if hasattr(meta, "items") else {}
    if isinstance(thing, SkyImage) and isinstance(thing.source, Path):
        return FieldImage(f"image {image.name}", str(thing.source), image, _header(thing.source))
    image.source = None
    return FieldImage(f"image {image.name}", image, image, header)


def _of_fits(path):
    """Every image of a FITS file: one mostly."""
    where = f"input {path}"
    with ExitStack() as stack:
        sources = fits_sources(open_fits(path, "input", stack, sums=False), where)
        chosen = [None] if len(sources) == 1 else [_label(source) for source in sources]
    found = []
    for choose in chosen:
        image = open_image(path, choose=choose)
        header = _header(path, image.extension)
        label = where if choose is None else f"{where}[{choose}]"
        found.append(FieldImage(label, os.path.abspath(path), image, header, choose, image.filter))
    return found


def _label(source):
    return source.where.rpartition("[")[2].rstrip("]")


def _header(path, extension=0):
    """Keywords of the primary header and, above them, of the image's own."""
    with ExitStack() as stack:
        hdus = open_fits(path, "input", stack, sums=False)
        found = {}
        for number in dict.fromkeys((0, extension)):
            cards = hdus[number].header.cards
            found |= {card.keyword: card.value for card in cards if card.keyword}
        return found


def name_of_field(source: Any) -> tuple[str, str]:
    """Stem and file name that products are called after.

    Parameters
    ----------
    source : object
        As for `field_images`.
    """
    if isinstance(source, str | os.PathLike) and is_image_list(source):
        file_name = Path(source).name
        return safe_name(Path(file_name).stem or _FALLBACK), file_name
    name, file_name = input_name(source)
    return (_FALLBACK if name == "galaxy" else name), file_name
