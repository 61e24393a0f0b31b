"""Hashes that tell whether data or parameters are still the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.regular_file import check_regular, printable
from galstep.datamodels.input.open import files_read
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["FileHashes", "text_hash"]

_LENGTH = 16  # hexadecimal digits: 64 bits, far beyond chance for any list of galaxies
# a file that names others has a line for each, not megabytes
_LARGEST_LIST = 2**20
_WORD = re.compile(r"[^\s,;\"']+")


def text_hash(value: Any) -> str:
    """Hash of anything that JSON can hold; the order of keys does not matter.

    Parameters
    ----------
    value : object
        What JSON does not know counts as its text.

    Returns
    -------
    str
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


class FileHashes:
    """Hashes of the content of files; a file is read once while it stays as it is."""

    def __init__(self) -> None:
        self._known = {}

    def __call__(self, path: PathLike) -> str:
        """The hash of one file, or of the files of a folder that are read with it.

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
            if os.path.isdir(path):
                return text_hash([(file.name, self._of_file(file)) for file in files_read(path)])
            return self._of_file(path)
        except OSError as error:
            raise InputError(
                f"input file {printable(path)!r} cannot be read: {error.strerror}"
            ) from error

    def _of_file(self, path):
        # what is not there is an OSError, a name that no file can have is not
        if os.path.exists(path) or "\0" in os.fspath(path):
            check_regular(path, "input")
        status = os.stat(path)
        # the change time as well: a copy may come with the modification time of another
        key = (os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key not in self._known:
            with open(path, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256")
            self._known[key] = digest.hexdigest()[:_LENGTH]
        return self._known[key]

    def of_named(self, path: PathLike) -> list:
        """The hash of a file and of the files that its text names: a list of catalogues.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        list
        """
        return [self(path), *(self(other) for other in self._named_in(path))]

    @staticmethod
    def _named_in(path):
        try:
            if not os.path.isfile(path) or os.path.getsize(path) > _LARGEST_LIST:
                return []
            with open(path, encoding="utf-8") as stream:
                words = sorted(set(_WORD.findall(stream.read())))
        except (OSError, UnicodeDecodeError):
            return []
        folders = (os.path.dirname(os.path.abspath(path)), os.curdir)
        found = (os.path.join(folder, word) for word in words for folder in folders)
        return sorted({os.path.abspath(name) for name in found if _is_file(name)})


def _is_file(name):
    try:
        return os.path.isfile(name)
    except ValueError:  # a null byte
        return False
