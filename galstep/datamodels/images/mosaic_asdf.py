"""ASDF files of the Roman telescope, with or without romancal installed."""

from __future__ import annotations

import struct
import warnings
from typing import TYPE_CHECKING

import yaml
from asdf.exceptions import AsdfWarning

from galstep.datamodels.files.asdf_stream import asdf_file, load_tree
from galstep.datamodels.files.messages import one_line
from galstep.datamodels.images.duck_models import is_image_model, model_source
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from galstep.datamodels.images.image_source import ImageSource
    from galstep.hints import PathLike

__all__ = ["is_roman", "roman_source"]

_KEY = "roman"


def is_roman(path: PathLike) -> bool:
    """Whether an ASDF file holds a data model of the Roman telescope.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return _KEY in load_tree(path, "input")
    except InputError:
        raise
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"input {path}: the ASDF file is damaged ({one_line(error)})") from error


def roman_source(path: PathLike, where: str, stack: ExitStack) -> ImageSource:
    """The image of a Roman mosaic; pixels are read when they are asked for.

    Parameters
    ----------
    path : path-like
    where : str
        What messages call it.
    stack : `contextlib.ExitStack`
        The file stays open until it is left.

    Returns
    -------
    ImageSource
        Without a WCS where gwcs and asdf-astropy are not installed.

    Raises
    ------
    InputError
        If the file is damaged or holds no image.
    """
    try:
        with warnings.catch_warnings():
            # tags that nobody has registered are read as plain mappings, which will do
            warnings.simplefilter("ignore", AsdfWarning)
            file = stack.enter_context(asdf_file(path, "input", lazy_load=True))
            model = file[_KEY]
            if not is_image_model(model):
                raise InputError(f"{where}: it has no image (roman.data and roman.meta.instrument)")
            source = model_source(model, where)
    except InputError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError, struct.error, yaml.YAMLError) as error:
        raise InputError(f"{where}: the ASDF file is damaged ({one_line(error)})") from error
    source.wcs_note = ": to read that of a Roman mosaic, install gwcs and asdf-astropy"
    return source
