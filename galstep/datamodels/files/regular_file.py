"""Only plain files are opened: a pipe, a socket or a device would keep a run waiting."""

from __future__ import annotations

import difflib
import os
import stat
from itertools import islice
from typing import TYPE_CHECKING

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["alike_beside", "check_regular", "printable", "what_it_is"]

# of the folder of a file that is missing: so many names are looked at, so many told
MOST_NAMES, MOST_TOLD = 2000, 4

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
        missing = isinstance(error, FileNotFoundError)
        reason = f"there is no such file{alike_beside(path)}" if missing else error.strerror
        raise InputError(f"{what} {printable(path)}: {reason}") from error
    except ValueError as error:  # a null byte
        raise InputError(f"{what} {printable(path)}: no file can have this name") from error
    if kind != "a file":
        raise InputError(f"{what} {printable(path)}: a file is needed, this is {kind}")


def alike_beside(path: PathLike) -> str:
    """`` (did you mean 'x'?)`` with what is called alike in its folder, or ``""``.

    First the products of inputs of one name, which have the name of their folder before it.

    Parameters
    ----------
    path : path-like
        Of a file that is not there.

    Returns
    -------
    str
    """
    folder, name = os.path.split(os.fspath(path))
    try:
        with os.scandir(folder or os.curdir) as entries:
            names = sorted(entry.name for entry in islice(entries, MOST_NAMES))
    except (OSError, ValueError, TypeError):
        return ""
    found = [other for other in names if other.endswith(f"_{name}")]
    found = (found or difflib.get_close_matches(str(name), names, 1))[:MOST_TOLD]
    return (
        f" (did you mean {' or '.join(repr(printable(other)) for other in found)}?)"
        if found
        else ""
    )


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
