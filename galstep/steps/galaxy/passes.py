"""One line for each pass of long work, so that a log shows that it goes on and how."""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING

from galstep.execution.duration import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.steps.framework.base import GalStep

__all__ = ["LONG", "Passes"]

#: Work that is quiet for longer says how far it is (s).
LONG = 10.0


class Passes:
    """Tells of the passes of a step: at INFO if none was told of for `LONG`, else at DEBUG.

    Parameters
    ----------
    step : GalStep
        Whose work it is.
    clock : callable, optional
        Seconds of a clock that only goes forward.
    """

    def __init__(self, step: GalStep, clock: Callable[[], float] = time.perf_counter) -> None:
        self._key, self._logger, self._clock = step.key, step._logger, clock
        self._started = self._told = clock()
        self._count = 0

    def tell(self, text: str) -> None:
        """Say what the pass that has just ended came to."""
        self._count += 1
        now = self._clock()
        level = "info" if now - self._told >= LONG else "debug"
        if level == "info":
            self._told = now
        said: Callable[..., None] = getattr(self._logger, level)
        said("%s: %s, after %s", self._key, text, duration(now - self._started))

    def each_fit(self, fitter: Callable) -> Callable:
        """``fitter``, telling of every fit of the scene that it makes.

        Parameters
        ----------
        fitter : callable
            As `galstep.core.engine.solve.fit_scene`.

        Returns
        -------
        callable
        """

        @wraps(fitter)
        def told(bands, state, *args, **options):
            solution = fitter(bands, state, *args, **options)
            pixels = sum(int((band.weight > 0).sum()) for band in bands)
            self.tell(
                f"fit {self._count + 1}, {len(solution.state.x)} stars, "
                f"chi2 per pixel {solution.chi2 / max(pixels, 1):.3f}"
            )
            return solution

        return told
