"""What an HDF5 file may hold: its own pixels, not those of other files.

External links, virtual datasets and external storage make the library open other
files of whoever runs it; a link that leads nowhere is a filter that would be
missing without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from h5py import File

__all__ = ["check_objects"]

# images stand at the root or in a group there
_DEEPEST = 2
_MOST_OBJECTS = 10_000


def check_objects(file: File, where: str) -> None:
    """Raise `InputError` for what is not in the file itself.

    Parameters
    ----------
    file : `h5py.File`
    where : str
        The file, as messages call it.
    """
    waiting, n_seen = [(file, "", 0)], 0
    while waiting:
        group, path, depth = waiting.pop()
        n_seen += len(group)
        if n_seen > _MOST_OBJECTS:
            raise InputError(f"{where}: it must have at most {_MOST_OBJECTS} datasets and groups")
        for name in group:
            node, what = _target(group, name, f"{where}: {path}{name}"), f"{path}{name}"
            if isinstance(node, h5py.Dataset):
                _check_storage(node, f"{where}: {what}")
            elif isinstance(node, h5py.Group) and depth + 1 < _DEEPEST:
                waiting.append((node, f"{what}/", depth + 1))


def _target(group, name, what):
    """What a name leads to within the file."""
    try:
        link = group.get(name, getlink=True)
    except TypeError as error:  # a kind that only the program which made it knows
        raise InputError(f"{what} is a link of an unknown kind, which is not followed") from error
    if isinstance(link, h5py.ExternalLink):
        raise InputError(f"{what} is a link to another file, which is not followed")
    try:
        return group[name]
    except (KeyError, RuntimeError, OSError) as error:
        if isinstance(link, h5py.SoftLink):
            raise InputError(f"{what} is a link that leads nowhere") from error
        raise


def _check_storage(dataset, what):
    if dataset.is_virtual:
        raise InputError(f"{what} is made of the datasets of other files, which are not followed")
    if dataset.external:
        raise InputError(f"{what} has its pixels in another file, which is not followed")
