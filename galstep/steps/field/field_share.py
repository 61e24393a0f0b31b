"""How far the fit of a field is: shares of calls of a runner as a share of the whole."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["FitShare"]

# What a call takes of the work that is left when it begins: after the second round few blocks are
# fitted again, so each round costs about half of the one before. Measured on the packaged field.
_OF_THE_REST = {"start_tile": 0.1, "fit_block": 0.5, "search_tile": 0.15}


class FitShare:
    """Adds up what `galstep.steps.field.field_tasks.TaskRunner` tells of its calls.

    Parameters
    ----------
    tell : callable
        Called with the share of all fits that is done, 0 to 1.
    n_fits : int, optional
        Fits of the field that follow each other: one for each band, where these are fitted alone.
    """

    def __init__(self, tell: Callable[[float], None], n_fits: int = 1) -> None:
        self._tell, self._n_fits = tell, max(n_fits, 1)
        self._fits, self._done = 0, 0.0

    def __call__(self, function: str, share: float) -> None:
        """Hear that a share of a call is done; 1 ends it."""
        done = self._done + (1.0 - self._done) * _OF_THE_REST.get(function, 0.1) * share
        if share >= 1.0:
            self._done = done
        self._tell((self._fits + done) / self._n_fits)

    def next_fit(self) -> None:
        """Hear that one of several fits is done."""
        self._fits, self._done = self._fits + 1, 0.0
