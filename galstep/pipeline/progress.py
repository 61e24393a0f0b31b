"""Where a run is, for a person who watches: a bar on a terminal, and the time left."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from galstep.steps.run_log import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Progress", "progress_over"]

# Cost of a step: a part that each galaxy has, and one for each filter. Measured: medians of the
# ``timings`` of 24 synthetic galaxies and one real one in six filters, in per cent of the run;
# scalefit leaves one filter to basefit.
COST = {
    "tweakreg": (0.0, 2.0),
    "loadcrop": (0.0, 0.7),
    "psfcalibrate": (0.0, 1.7),
    "basefit": (22.0, 0.0),
    "scalefit": (-4.0, 4.0),
    "jointfit": (0.0, 6.0),
    "inject": (0.0, 60.0),
    "aperphot": (0.0, 0.6),
}
_UNKNOWN = (1.0, 0.0)  # forcedscalefit, if any; steps of the user's own
_FILTERS = 6  # until the data are read


class Progress:
    """Which share of the work is done, by the cost of the steps, and the time left.

    Parameters
    ----------
    keys : sequence of str
        Steps that will run, in order.
    clock : callable, optional
        Seconds of a clock that only goes forward.
    """

    def __init__(self, keys: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> None:
        self._keys, self._clock = list(keys), clock
        self._done: list[str] = []
        self._filters = _FILTERS
        self._started = clock()

    @property
    def share(self) -> float:
        """What is done of all the work, 0 to 1."""
        whole = sum(map(self._cost, self._keys))
        return sum(map(self._cost, self._done)) / whole if whole > 0 else 1.0

    @property
    def left(self) -> float:
        """Seconds left at the rate so far; NaN before the first step is done."""
        if not self.share > 0:
            return float("nan")
        return (self._clock() - self._started) * (1 - self.share) / self.share

    def step_done(self, key: str, n_filters: int | None = None) -> None:
        """Count a step; the number of filters is known once they are read."""
        self._filters = n_filters or self._filters
        if key in self._keys:
            self._done.append(key)

    def _cost(self, key):
        once, each = COST.get(key, _UNKNOWN)
        return max(once + each * self._filters, 0.1)


@contextmanager
def progress_over(
    keys: Sequence[str], loggers: Sequence[str], stream: TextIO | None = None
) -> Iterator[Callable]:
    """Show how far a run has come, if ``stream`` is a terminal.

    Parameters
    ----------
    keys : sequence of str
        Names of the steps that will run, in order.
    loggers : sequence of str
        Loggers whose lines may come in between.
    stream : file-like, optional
        By default ``sys.stderr``.

    Yields
    ------
    callable
        To be called with a step's key, the seconds it took and the number of
        filters, when it is done. Returns the `Progress`.
    """
    stream = stream or sys.stderr
    progress = Progress(keys)
    if not stream.isatty():
        yield _counting(progress, lambda key, seconds: None)
        return
    try:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm
    except ImportError:
        yield _counting(progress, _Lines(progress, len(keys), stream))
        return
    names = [logging.getLogger(name) for name in loggers]
    form = "{percentage:3.0f}%|{bar}| {elapsed}{postfix}"
    with (
        logging_redirect_tqdm(names),
        tqdm(total=100, bar_format=form, file=stream) as bar,
    ):

        def show(key, seconds):
            left = f", about {duration(progress.left)} left" if progress.share < 1 else ""
            bar.set_postfix_str(f"{key} {duration(seconds)}{left}", refresh=False)
            bar.n = 100 * progress.share
            bar.refresh()

        yield _counting(progress, show)


def _counting(progress, show):
    def done(key, seconds, n_filters=None):
        progress.step_done(key, n_filters)
        show(key, seconds)
        return progress

    return done


class _Lines:
    """One line per step, where there is no tqdm."""

    def __init__(self, progress, total, stream):
        self.progress, self.total, self.stream = progress, total, stream
        self.count = 0

    def __call__(self, key, seconds):
        self.count += 1
        left = f", about {duration(self.progress.left)} left" if self.progress.share < 1 else ""
        print(
            f"[{self.count}/{self.total}] {key} {duration(seconds)}{left}",
            file=self.stream,
            flush=True,
        )
