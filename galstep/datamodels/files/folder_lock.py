"""A lock of a folder: who writes to it shares it, who tidies it has it alone."""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["alone_in", "nobody_has_open", "writing_to"]

# the lock is held alone only for as long as a folder is listed (s)
_LONGEST_WAIT = 10.0
_STEP = 0.01


@contextmanager
def writing_to(folder: PathLike) -> Iterator[None]:
    """Share the lock of a folder with all others that write to it.

    The system drops the lock when the process ends, in whatever way. Where there
    are no such locks the block runs without.

    Parameters
    ----------
    folder : path-like
    """
    with _locked(folder, alone=False, wait=_LONGEST_WAIT):
        yield


@contextmanager
def alone_in(folder: PathLike) -> Iterator[bool]:
    """Have the lock of a folder alone, if nobody writes to it.

    Parameters
    ----------
    folder : path-like

    Yields
    ------
    bool
        Whether it is so. False as well where there are no such locks.
    """
    with _locked(folder, alone=True, wait=0.0) as is_locked:
        yield is_locked


@contextmanager
def _locked(folder, alone, wait):
    descriptor = None
    try:
        descriptor = _lock(folder, alone, wait)
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(folder, alone, wait):
    """Descriptor of the folder, locked; None if that is not possible."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_STEP)
                continue
        except OSError:  # a file system without such locks
            pass
        os.close(descriptor)
        return None


def nobody_has_open(path: PathLike) -> bool:
    """Whether it is certain that no process has a file open (a lease of Linux tells).

    Parameters
    ----------
    path : path-like
        A regular file of one's own.

    Returns
    -------
    bool
        False where the system cannot tell.
    """
    try:
        import fcntl

        set_lease, write_lease, none = fcntl.F_SETLEASE, fcntl.F_WRLCK, fcntl.F_UNLCK
    except (ImportError, AttributeError):
        return False
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # given only if no other descriptor of the file is open anywhere
        fcntl.fcntl(descriptor, set_lease, write_lease)
        fcntl.fcntl(descriptor, set_lease, none)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return True
