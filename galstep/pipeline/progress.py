"""Where a run is, for a person who watches: one bar over the steps on a terminal."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["progress_over"]


@contextmanager
def progress_over(
    keys: Sequence[str], loggers: Sequence[str], stream: TextIO | None = None
) -> Iterator[Callable]:
    """Show how far a run has come, if ``stream`` is a terminal.

    Parameters
    ----------
    keys : sequence of str
        Names of the steps, in order.
    loggers : sequence of str
        Loggers whose lines may come in between.
    stream : file-like, optional
        By default ``sys.stderr``.

    Yields
    ------
    callable
        To be called with a step's key and the seconds it took, when it is done.
    """
    stream = stream or sys.stderr
    if not stream.isatty():
        yield lambda key, seconds: None
        return
    try:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm
    except ImportError:
        yield _Lines(len(keys), stream)
        return
    names = [logging.getLogger(name) for name in loggers]
    with logging_redirect_tqdm(names), tqdm(total=len(keys), unit="step", file=stream) as bar:

        def done(key, seconds):
            bar.set_postfix_str(f"{key} {seconds:.1f} s")
            bar.update()

        yield done


class _Lines:
    """One line per step, where there is no tqdm."""

    def __init__(self, total, stream):
        self.total = total
        self.stream = stream
        self.count = 0
        self.started = time.perf_counter()

    def __call__(self, key, seconds):
        self.count += 1
        elapsed = time.perf_counter() - self.started
        print(
            f"[{self.count}/{self.total}] {key} {seconds:.1f} s, {elapsed:.1f} s so far",
            file=self.stream,
            flush=True,
        )
