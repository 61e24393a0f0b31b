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
# up to this share of the passes that there mostly are, a pass is worth the same as another
_LINEAR = 0.8


class Passes:
    """Tells of the passes of a step: at INFO if none was told of for `LONG`, else at DEBUG.

    Parameters
    ----------
    step : GalStep
        Whose work it is.
    of : int, optional
        How many passes there will be; the pipeline hears which share of them is done.
    about : int, optional
        The same where nobody can know: how many there mostly are.
    clock : callable, optional
        Seconds of a clock that only goes forward.
    """

    def __init__(
        self,
        step: GalStep,
        clock: Callable[[], float] = time.perf_counter,
        of: int | None = None,
        about: int | None = None,
    ) -> None:
        self._key, self._logger, self._clock = step.key, step._logger, clock
        self._tell_share, self._of, self._about = step.tell_share, of, about
        self._started = self._told = clock()
        self._count = 0

    def tell(self, text: str) -> None:
        """Say what the pass that has just ended came to."""
        self._count += 1
        if self._of or self._about:
            self._tell_share(self._share())
        now = self._clock()
        level = "info" if now - self._told >= LONG else "debug"
        if level == "info":
            self._told = now
        said: Callable[..., None] = getattr(self._logger, level)
        said("%s: %s, after %s", self._key, text, duration(now - self._started))

    def _share(self):
        if self._of:
            return self._count / self._of
        share = self._count / self._about
        # more of them than mostly: ever slower, never the whole
        return share if share < _LINEAR else 1.0 - _LINEAR * (1.0 - _LINEAR) / share

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
