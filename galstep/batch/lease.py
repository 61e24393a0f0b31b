"""Whether a batch still wants what a worker measures for it.

A worker on another machine does not end with the batch. A file in the batch's
folder, which both see, holds the number of the run and is touched every few
seconds. A worker whose file has gone, has another number, or stands still ends what
it is doing: it would write where the next batch is at work.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["Lease", "lease"]

_NAME = ".batch.lease"
_TOUCHED_EVERY = 5.0
# network file systems show changes up to a minute late
_STANDS_STILL_AFTER = 180.0


@contextmanager
def lease(folder: PathLike) -> Iterator[Path]:
    """A lease for the time of the block; one of an earlier run ends.

    Parameters
    ----------
    folder : path-like
        The batch's, which nobody else is at work in.

    Yields
    ------
    `pathlib.Path`
        The file, with the number of the run after ``#`` in its name: no file is
        called so; see `Lease`.
    """
    path, number = Path(folder) / _NAME, uuid.uuid4().hex
    path.write_text(number, encoding="ascii")
    ended = threading.Event()

    def touch():
        while not ended.wait(_TOUCHED_EVERY):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=touch, daemon=True, name="galstep-lease")
    thread.start()
    try:
        yield Path(f"{path}#{number}")
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):
            path.unlink()


class Lease:
    """The lease as a worker sees it.

    Parameters
    ----------
    name : str or None
        As `lease` gives it; None is a lease without end.
    """

    def __init__(self, name: str | None) -> None:
        self._path, _, self._number = (name or "").rpartition("#")
        self._touched: int | None = None
        self._seen = time.monotonic()

    @property
    def is_valid(self) -> bool:
        """Whether the batch that gave the job is still there."""
        if not self._path:
            return True
        touched: int | None
        try:
            touched = os.stat(self._path).st_mtime_ns
            number = Path(self._path).read_text(encoding="ascii")
        except FileNotFoundError:
            return False
        except OSError:  # a network that is away for the moment
            touched, number = self._touched, self._number
        # the machines' clocks may differ: what counts is that it changes
        if touched != self._touched:
            self._touched, self._seen = touched, time.monotonic()
        is_recent = time.monotonic() - self._seen < _STANDS_STILL_AFTER
        return number == self._number and is_recent
