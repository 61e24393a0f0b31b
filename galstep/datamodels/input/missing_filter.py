"""Images whose filter nothing tells: no keyword, no name of an extension or a file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from galstep.datamodels.psf.psf_input import psf_sources
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.datamodels.images.image_source import ImageSource
    from galstep.datamodels.input.read_options import ReadOptions

__all__ = ["ONLY_FILTER", "name_what_has_none"]

log = logging.getLogger(__name__)

#: What the filter of a single image is called where nothing tells.
ONLY_FILTER = "image"


def name_what_has_none(
    sources: list[ImageSource], options: ReadOptions, where: str, in_order: bool
) -> None:
    """Give filters to images that have none, in place, where there is no doubt.

    A single image has the one filter that is asked for, else that of the one PSF, else
    `ONLY_FILTER`: its name decides nothing but what it is called. The images of a list
    have the filters that are asked for in their order, if none has a filter of its own.

    Parameters
    ----------
    sources : list of ImageSource
        Those without a name are changed.
    options : ReadOptions
        ``filters`` and ``psf_file`` count.
    where : str
        What messages call the input.
    in_order : bool
        Whether the user has put them in order.

    Raises
    ------
    InputError
        If PSFs of several filters are there for one image.
    """
    if any(source.name is not None for source in sources):
        return
    wanted = list(options.wanted or ())
    if len(sources) == 1:
        sources[0].name = wanted[0] if len(wanted) == 1 else _of_the_psf(options, where)
    elif in_order and len(wanted) == len(sources):
        for source, name in zip(sources, wanted, strict=True):
            source.name = name
    for source in sources:
        if source.name is not None:
            log.info("%s: nothing tells the filter: it is called %s", source.where, source.name)


def _of_the_psf(options, where):
    """The name of the only PSF, if it has one."""
    if options.psf_file is None:
        return ONLY_FILTER
    names = [source.name for source in psf_sources(options.psf_file, "psf_file")]
    named = [name for name in names if name is not None]
    if len(named) > 1:
        raise InputError(
            f"{where}: no keyword tells the filter, and psf_file has PSFs of {', '.join(named)}: "
            f"say which it is, such as filters={named[0]}"
        )
    return named[0] if len(names) == 1 and named else ONLY_FILTER
