"""Names for files of which some are called the same: ``a/x.fits`` and ``b/x.fits``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.safe_name import folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["distinct_names", "file_of"]

_MOST_FOLDERS = 8


def distinct_names(names: Sequence[str], paths: Sequence[PathLike | None]) -> list[str]:
    """The names, made different where two are the same.

    Parameters
    ----------
    names : sequence of str
    paths : sequence of path-like or None
        The file of each, if it has one.

    Returns
    -------
    list of str
        A name that is the only one of its kind stays. Others get the names of
        their folders before it, as many as it takes (``a_x``, ``b_x``); what is
        still the same after that, the file's extension (``x_fits``); then a number,
        as what came without a file or is one file given twice.
    """
    result = list(names)
    for depth in range(1, _MOST_FOLDERS + 2):
        same = _same(result, paths)
        if not same:
            break
        for i in same:
            result[i] = _longer(names[i], paths[i], depth)
    return _numbered(result)


def file_of(source: Any) -> PathLike | None:
    """The file that a source is, None where it is something else."""
    return source if isinstance(source, str | os.PathLike) else None


def _same(names, paths):
    """Which of them share their name with another file."""
    files = {}
    for name, path in zip(names, paths, strict=True):
        files.setdefault(folded(name), set()).add(None if path is None else os.fspath(path))
    return [i for i, name in enumerate(names) if len(files[folded(name)]) > 1]


def _longer(name, path, depth):
    if path is None:
        return name
    path = Path(path)
    if depth > _MOST_FOLDERS:
        extension = path.suffix.lstrip(".")
        return f"{name}_{extension}" if extension else name
    folders = [part for part in path.parent.parts if part not in (path.anchor, ".", "..")]
    return "_".join([*folders[-depth:], name])


def _numbered(names):
    """The second and further of a name with a number that nobody has."""
    taken, result = {folded(name) for name in names}, []
    seen = set()
    for name in names:
        number, own = 2, name
        while folded(own) in seen or (own != name and folded(own) in taken):
            own, number = f"{name}_{number}", number + 1
        seen.add(folded(own))
        result.append(own)
    return result
