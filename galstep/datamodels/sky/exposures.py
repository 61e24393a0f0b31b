"""Images for a step, however they come: files, associations, models, containers, libraries.

Of each its group is known (the chips of one exposure belong together) and the
catalogue of its stars that it names, as in jwst's data models:

===================  ========================================================
group                ``meta.group_id``; else, of an exposure that has not been
                     resampled, what the program, observation, visit, activity
                     and exposure numbers in ``meta.observation`` say together
catalogue            ``meta.tweakreg_catalog``
===================  ========================================================

The chips in one FITS file (several extensions SCI) are a group as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.distinct_names import distinct_names, file_of
from galstep.datamodels.images.association import (
    catalog_of,
    is_association,
    members_of,
    read_association,
)
from galstep.datamodels.images.embedded_wcs import read_embedded_meta
from galstep.datamodels.images.fits_input import open_fits
from galstep.datamodels.input.open import kind_of_file
from galstep.datamodels.sky.chips import open_chips
from galstep.datamodels.sky.image_door import open_image
from galstep.datamodels.sky.sky_image import SkyImage
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_library", "open_exposures"]

# what tells one exposure from another: attribute of meta.observation, FITS keyword
_EXPOSURE = {
    "program_number": "PROGRAM",
    "observation_number": "OBSERVTN",
    "visit_number": "VISIT",
    "visit_group": "VISITGRP",
    "sequence_id": "SEQ_ID",
    "activity_id": "ACT_ID",
    "exposure_number": "EXPOSURE",
}


def is_library(thing: Any) -> bool:
    """Whether ``thing`` lends models, as the ``ModelLibrary`` of stpipe's packages does."""
    return all(hasattr(thing, name) for name in ("borrow", "shelve", "__enter__", "__len__"))


def open_exposures(inputs: Iterable[Any]) -> list[SkyImage]:
    """All images in ``inputs``, in their order.

    Parameters
    ----------
    inputs : iterable
        Paths of images or associations, image models, `SkyImage`, libraries of
        models, or lists (and other sequences, such as jwst's ModelContainer) of
        these.

    Returns
    -------
    list of `SkyImage`
        With ``group_id`` and ``catalog``. No two have one name: where files of
        one name lie in several folders, these are part of it.

    Raises
    ------
    InputError
        If one of them cannot be read, or there are none.
    """
    images = list(_opened(inputs))
    if not images:
        raise InputError("there are no images in the input")
    return _with_names_of_their_own(images)


def _opened(inputs) -> Iterator[SkyImage]:
    for item in inputs:
        if is_association(item):
            yield from _from_association(item)
        elif is_library(item):
            yield from _from_library(item)
        elif _is_several(item):
            yield from _opened(item)
        else:
            yield from _with_chips(item)


def _with_chips(item):
    """The image of a file or an object; of a file with several chips each of them."""
    chips = open_chips(item) if isinstance(item, str | os.PathLike) else []
    yield from chips or [_with_exposure(open_image(item))]


def _is_several(item):
    if isinstance(item, str | os.PathLike | bytes | SkyImage | Mapping) or hasattr(item, "data"):
        return False
    # an ImageList has no base class of its own
    return isinstance(item, Sequence | Iterable) and hasattr(item, "__iter__")


def _from_association(path):
    members = read_association(path)
    missing = [str(m.path) for m in members if not m.path.is_file()]
    if missing:
        raise InputError(f"association {path}: there is no such file: {', '.join(missing)}")
    for member in members:
        for image in _with_chips(member.path):
            if member.group_id is not None:
                image = replace(image, group_id=member.group_id)
            if member.catalog is not None:
                image = replace(image, catalog=member.catalog)
            yield image


def _from_library(library):
    folder = getattr(library, "asn_dir", None)
    folder = None if folder in (None, "None") else folder
    members = members_of(library.asn, "library")
    with library:
        for index, member in enumerate(members):
            model = library.borrow(index)
            library.shelve(model, index, modify=False)
            image = _with_exposure(open_image(model))
            if image.group_id is None and member.get("group_id") is not None:
                image = replace(image, group_id=str(member["group_id"]))
            if "tweakreg_catalog" in member:
                image = replace(image, catalog=catalog_of(member, folder))
            yield image


def _with_exposure(image):
    """The image with group and catalogue from its own metadata."""
    if image.group_id is not None or image.source is None:
        return image
    meta = _meta(image.source)
    group, catalog = meta.get("group_id"), meta.get("tweakreg_catalog")
    if group is None or str(group).strip() == "":
        group = _exposure_of(meta.get("observation") or {}) if _is_exposure(image) else None
    return replace(
        image,
        group_id=None if group is None else str(group),
        catalog=image.catalog if catalog is None else str(catalog).strip(),
    )


def _is_exposure(image):
    """A resampled image is no exposure, though its header has the numbers of its first one."""
    return "v2v3" in (getattr(image.wcs, "available_frames", None) or ())


def _exposure_of(observation):
    values = [observation.get(name) for name in _EXPOSURE]
    if any(value is None or str(value).strip() == "" for value in values):
        return None
    return "_".join(str(value).strip() for value in values)


def _meta(source):
    """group_id, tweakreg_catalog and observation of a file or a model, as far as known."""
    if isinstance(source, str | os.PathLike):
        return _meta_of_file(source)
    meta = getattr(source, "meta", None)
    observation = getattr(meta, "observation", None)
    return {
        "group_id": getattr(meta, "group_id", None),
        "tweakreg_catalog": getattr(meta, "tweakreg_catalog", None),
        "observation": {name: getattr(observation, name, None) for name in _EXPOSURE},
    }


def _meta_of_file(path):
    if kind_of_file(Path(path)) != "fits":
        return {}
    with ExitStack() as stack:
        hdulist = open_fits(path, "input", stack, sums=False)
        meta = dict(read_embedded_meta(hdulist))
        header = hdulist[0].header
        numbers = {name: header.get(keyword) for name, keyword in _EXPOSURE.items()}
    # jwst keeps in the header what it has a keyword for
    meta["observation"] = {**numbers, **dict(meta.get("observation") or {})}
    return meta


def _with_names_of_their_own(images):
    """Names that products can be told apart by: with folders where needed, else numbered."""
    files = [file_of(image.source) for image in images]
    paths = [None if file is None else Path(file).resolve() for file in files]
    names = distinct_names([image.name for image in images], paths)
    return [replace(image, name=name) for image, name in zip(images, names, strict=True)]
