"""One batch at a time in a folder."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other batches out of a folder for the time of the block.

    The system drops the lock when the process ends, in whatever way. Where it
    knows no such locks (Windows) nothing is checked.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    InputError
        If another batch is at work there.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder / ".batch.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{folder}: another batch is at work in this folder") from error
        yield
    finally:
        os.close(descriptor)
