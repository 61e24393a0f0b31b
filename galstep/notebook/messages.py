"""What the log would say, kept instead of shown."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["kept_messages"]

_LOGGERS = ("galstep", "stpipe")


class _Keeper(logging.Handler):
    """Keeps the warnings of the thread that made it, each once."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.messages = []

    def emit(self, record):
        text = record.getMessage()
        if record.thread == self._thread and text not in self.messages:
            self.messages.append(text)


@contextmanager
def kept_messages(verbose: bool = False) -> Iterator[list[str]]:
    """Keep the warnings of galstep's log while the block runs.

    Handlers that the caller has configured go on as they are; without any, Python would
    print warnings, and does not now.

    Parameters
    ----------
    verbose : bool, optional
        Show the log on stderr, lines of information as well.

    Yields
    ------
    list of str
        Grows as they come.
    """
    keeper = _Keeper()
    handlers: list[logging.Handler] = [keeper]
    if verbose:
        shown = logging.StreamHandler()
        shown.setFormatter(logging.Formatter("%(message)s"))
        handlers.append(shown)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        for handler in handlers:
            logger.addHandler(handler)
        if verbose and not logger.isEnabledFor(logging.INFO):
            logger.setLevel(logging.INFO)
    try:
        yield keeper.messages
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            for handler in handlers:
                logger.removeHandler(handler)
            if verbose:
                logger.setLevel(level)
