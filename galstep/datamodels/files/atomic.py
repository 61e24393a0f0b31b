"""Files that appear whole or not at all, and stay when the machine goes down.

A file is written under another name in the same folder, flushed to the disc
(``fsync``), and only then renamed; the folder is flushed after that. Without the
first a power cut can leave a renamed file of zeros, without the second the
rename itself can be lost.

A process that is killed leaves its unfinished file behind. The next one that
writes to the folder removes it: whoever writes shares a lock of the folder, so
that an unfinished file belongs to nobody where nobody has it
(`galstep.datamodels.files.folder_lock`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.datamodels.files.folder_lock import alone_in, nobody_has_open, writing_to
from galstep.exceptions import GalstepError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["check_writable", "remove_unfinished", "replacing"]

# names of unfinished files: ours, and those of earlier versions, which began with the product's
_UNFINISHED = re.compile(r"\.(galstep-|.*\.)[0-9a-f]{32}\.part(\..*)?", re.DOTALL)
# what asdf leaves when it is killed while it writes to a path, as earlier versions had it do
_UNFINISHED_ASDF = re.compile(r"\.asdf_tmp\w+")
# how file systems say that a folder cannot be flushed
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES)
_BLOCK = 4096


@contextmanager
def replacing(path: PathLike, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place on success.

    If the block fails the temporary file is removed and an earlier ``path``
    stays as it was. The temporary name is unique, so two runs that write the
    same product do not mix: the later one wins whole.

    Parameters
    ----------
    path : path-like
        The file to be written.
    durable : bool, optional
        Flush it to the disc. False for what can be made again: after a power cut it may
        be there and empty.

    Yields
    ------
    `pathlib.Path`
        Where to write. Its name has the extension of ``path`` and nothing else of
        it: some libraries choose the format by the one and stumble over the other.

    Raises
    ------
    InputError
        If the folder is not there.
    GalstepError
        If the file cannot be written (no permission, disk full).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"output {path}: the folder {path.parent} is not there")
    remove_unfinished(path.parent)
    temporary = path.with_name(_temporary_name(path.suffix))
    try:
        with writing_to(path.parent), _removed(temporary):
            yield temporary
            if durable:
                _flush(temporary)
            os.replace(temporary, path)
            if durable:
                _flush_folder(path.parent)
    except OSError as error:
        raise GalstepError(f"output {path}: cannot be written ({error})") from error


def check_writable(folder: PathLike) -> None:
    """Raise unless a file can be written to a folder: before the work, not after it.

    Parameters
    ----------
    folder : path-like

    Raises
    ------
    GalstepError
        If it cannot (not there, read-only, no permission, disk full).
    """
    trial = Path(folder) / _temporary_name("")
    try:
        with writing_to(folder), _removed(trial), open(trial, "xb") as stream:
            stream.write(bytes(_BLOCK))
    except OSError as error:
        raise GalstepError(
            f"output folder {os.fspath(folder)!r}: nothing can be written there ({error.strerror})"
        ) from error


def remove_unfinished(folder: PathLike) -> None:
    """Remove what killed runs have left in a folder; nothing while somebody writes there.

    Parameters
    ----------
    folder : path-like
    """
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.startswith(".")]
        ours = [name for name in names if _UNFINISHED.fullmatch(name)]
        others = [name for name in names if _UNFINISHED_ASDF.fullmatch(name)]
        if ours:
            with alone_in(folder) as is_alone:
                _unlink(folder, ours if is_alone else ())
        # other programs that write with asdf have no lock of ours
        _unlink(folder, (n for n in others if nobody_has_open(os.path.join(folder, n))))


def _unlink(folder, names):
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, name))


def _temporary_name(suffix):
    return f".galstep-{uuid.uuid4().hex}.part{suffix}"


@contextmanager
def _removed(path):
    """The file is gone at the end, if it is still there."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder):
    try:
        _flush(folder)
    except OSError as error:
        # Windows, some network file systems
        if error.errno not in _NO_SUCH_CALL:
            raise
