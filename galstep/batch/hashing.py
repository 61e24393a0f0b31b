"""Hashes that tell whether data or parameters are still the same."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["FileHashes", "text_hash"]

_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond chance for any list of galaxies


def text_hash(value: Any) -> str:
    """Hash of anything that JSON can hold; the order of keys does not matter.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
    """
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


class FileHashes:
    """Hashes of the content of files; a file is read once while it stays as it is."""

    def __init__(self) -> None:
        self._known = {}

    def __call__(self, path: PathLike) -> str:
        """The hash of one file.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        str

        Raises
        ------
        InputError
            If it cannot be read.
        """
        try:
            status = os.stat(path)
            key = (os.path.realpath(path), status.st_size, status.st_mtime_ns)
            if key not in self._known:
                with open(path, "rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256")
                self._known[key] = digest.hexdigest()[:_LENGTH]
        except OSError as error:
            raise InputError(
                f"input file {str(path)!r} cannot be read: {error.strerror}"
            ) from error
        return self._known[key]
