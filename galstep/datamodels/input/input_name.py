"""What a galaxy is called after the input it came from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.images.duck_models import is_image_model, model_name

__all__ = ["input_name"]

_FALLBACK = "galaxy"
_EXTENSION = re.compile(r"\.(fits?(\.gz|\.fz)?|asdf|h5|hdf5)$", re.IGNORECASE)


def input_name(source: Any) -> tuple[str, str]:
    """Name and file name of a galaxy.

    Parameters
    ----------
    source : object
        Whatever `galstep.datamodels.input.open` takes.

    Returns
    -------
    (str, str)
        Products are called after the first: the stem of a file, the name of a
        folder, what the files of a list have in common at their beginning, the
        stem of ``meta.filename``; else ``"galaxy"``. The second is the file's
        name, "" where there is none.
    """
    if isinstance(source, Mapping) and not is_image_model(source):
        source = list(source.values())
    if isinstance(source, str | os.PathLike):
        filename = Path(os.path.abspath(source)).name
        return safe_name(_EXTENSION.sub("", filename) or _FALLBACK), filename
    if isinstance(source, list | tuple) and source:
        names = [input_name(item)[0] for item in source]
        if len(names) == 1:
            return input_name(source[0])
        common = re.sub(r"[^A-Za-z0-9]+$", "", os.path.commonprefix(names))  # noqa: RUF071
        # half a filter name is none: m51_f
        common = re.sub(r"[^A-Za-z0-9]+[fF][0-9]*$", "", common)
        return common or _FALLBACK, ""
    filename = model_name(source)
    if filename is not None:
        name = _EXTENSION.sub("", Path(filename).name)
        return safe_name(name or _FALLBACK), Path(filename).name
    return _FALLBACK, ""
