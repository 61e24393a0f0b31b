"""Only plain files are opened: a pipe, a socket or a device would keep a run waiting."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["check_regular", "printable", "what_it_is"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: PathLike, what: str) -> None:
    """Raise unless ``path`` is a plain file, or a link to one.

    Parameters
    ----------
    path : path-like
    what : str
        What the file is to the user (``"input"``); starts the message.

    Raises
    ------
    InputError
        If it is something else, is not there, or has a name that is no text.
    """
    try:
        kind = what_it_is(path)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{what} {printable(path)}: {reason}") from error
    except ValueError as error:  # a null byte
        raise InputError(f"{what} {printable(path)}: no file can have this name") from error
    if kind != "a file":
        raise InputError(f"{what} {printable(path)}: a file is needed, this is {kind}")


def what_it_is(path: PathLike) -> str:
    """``"a file"``, ``"a folder"``, ``"a named pipe"``, ...; links are followed.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If it is not there or cannot be looked at.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode):
        return "a file"
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")


def printable(path: PathLike) -> str:
    """A path for a message: bytes that are no text are escaped.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    str
    """
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")
