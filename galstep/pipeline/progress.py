"""Where a run is, for a person who watches: a bar on a terminal, and the time left."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from galstep.execution.duration import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Progress", "Watch", "progress_over"]

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
    # of a field with all its sources: the packaged one
    "loadfield": (0.0, 0.3),
    "maskfield": (0.0, 0.3),
    "fieldpsf": (0.0, 12.0),
    "fieldfit": (0.0, 20.0),
    "zeropoint": (0.0, 0.1),
}
_UNKNOWN = (1.0, 0.0)  # forcedscalefit, if any; steps of the user's own
_FILTERS = 6  # until the data are read
_REDRAWN_AFTER = 0.2  # seconds: a bar is drawn at most so often within a step


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
        self._part = 0.0
        self._filters = _FILTERS
        self._started = clock()

    @property
    def share(self) -> float:
        """What is done of all the work, 0 to 1."""
        whole = sum(map(self._cost, self._keys))
        done = sum(map(self._cost, self._done)) + self._part
        return min(done / whole, 1.0) if whole > 0 else 1.0

    @property
    def left(self) -> float:
        """Seconds left at the rate so far; NaN before anything is done."""
        if not self.share > 0:
            return float("nan")
        return (self._clock() - self._started) * (1 - self.share) / self.share

    def step_done(self, key: str, n_filters: int | None = None) -> None:
        """Count a step; the number of filters is known once they are read."""
        self._filters = n_filters or self._filters
        self._part = 0.0
        if key in self._keys:
            self._done.append(key)

    def part_done(self, key: str, share: float) -> None:
        """Count a share (0 to 1) of the step that runs; it never goes back."""
        if key in self._keys and key not in self._done:
            self._part = max(self._part, self._cost(key) * min(max(share, 0.0), 1.0))

    def _cost(self, key):
        once, each = COST.get(key, _UNKNOWN)
        return max(once + each * self._filters, 0.1)


@contextmanager
def progress_over(
    keys: Sequence[str], loggers: Sequence[str], stream: TextIO | None = None
) -> Iterator[Watch]:
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
    Watch
    """
    stream = stream or sys.stderr
    progress = Progress(keys)
    if not stream.isatty():
        yield Watch(progress)
        return
    try:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm
    except ImportError:
        yield Watch(progress, _Lines(progress, len(keys), stream))
        return
    names = [logging.getLogger(name) for name in loggers]
    form = "{percentage:3.0f}%|{bar}| {elapsed}{postfix}"
    with (
        logging_redirect_tqdm(names),
        tqdm(total=100, bar_format=form, file=stream) as bar,
    ):
        yield Watch(progress, _Bar(progress, bar), _Bar(progress, bar, _REDRAWN_AFTER))


class Watch:
    """What a pipeline tells of its steps.

    Parameters
    ----------
    progress : Progress
    show, show_part : callable, optional
        Called with a step's key and the seconds that it took, when it is done; and with its key
        and None while it runs.
    """

    def __init__(
        self,
        progress: Progress,
        show: Callable[[str, float | None], None] | None = None,
        show_part: Callable[[str, float | None], None] | None = None,
    ) -> None:
        self._progress, self._show, self._show_part = progress, show, show_part

    def __call__(self, key: str, seconds: float, n_filters: int | None = None) -> Progress:
        """Count a step that is done: its key, the seconds it took, the number of filters."""
        self._progress.step_done(key, n_filters)
        if self._show is not None:
            self._show(key, seconds)
        return self._progress

    def part(self, key: str, share: float) -> None:
        """Count a share, 0 to 1, of a step that runs."""
        self._progress.part_done(key, share)
        if self._show_part is not None:
            self._show_part(key, None)


class _Bar:
    """The bar on a terminal, drawn at most every so many seconds."""

    def __init__(self, progress, bar, every=0.0, clock=time.perf_counter):
        self.progress, self.bar, self.every, self.clock = progress, bar, every, clock
        self.drawn = -float("inf")

    def __call__(self, key, seconds):
        now = self.clock()
        if now - self.drawn < self.every:
            return
        self.drawn = now
        took = "" if seconds is None else f" {duration(seconds)}"
        self.bar.set_postfix_str(f"{key}{took}{_left(self.progress)}", refresh=False)
        self.bar.n = 100 * self.progress.share
        self.bar.refresh()


class _Lines:
    """One line per step, where there is no tqdm."""

    def __init__(self, progress, total, stream):
        self.progress, self.total, self.stream = progress, total, stream
        self.count = 0

    def __call__(self, key, seconds):
        self.count += 1
        print(
            f"[{self.count}/{self.total}] {key} {duration(seconds)}{_left(self.progress)}",
            file=self.stream,
            flush=True,
        )


def _left(progress):
    return f", about {duration(progress.left)} left" if 0 < progress.share < 1 else ""
