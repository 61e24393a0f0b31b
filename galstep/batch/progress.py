"""Lines that tell how far a batch has come and how long it will take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from galstep.batch.job import FAILED, OK
from galstep.steps.run_log import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from galstep.batch.job import Job, Outcome
    from galstep.batch.plan import Plan

__all__ = ["Progress"]


class Progress:
    """Counts what is done and estimates what is left.

    The time left is that of the data left at the rate so far, in bytes, all
    workers together.

    Parameters
    ----------
    plan : galstep.batch.plan.Plan
    clock : callable, optional
        Seconds of a clock that only goes forward.
    """

    def __init__(self, plan: Plan, clock: Callable = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self._started = clock()
        self._count = 0
        self._failed = sum(row["status"] == FAILED for row in plan.rows.values())
        self._weight_done = 0
        # one byte more each: empty files take time as well
        self._weight = sum(plan.weights.values()) + len(plan.jobs)

    def opening(self) -> Iterator[str]:
        """What is to be done, as lines."""
        held = sum(row["status"] == OK for row in self._plan.rows.values())
        yield (
            f"{len(self._plan.rows)} galaxies: {len(self._plan.jobs)} to measure, "
            f"{held} done earlier, {self._failed} cannot be measured"
        )
        for name, row in self._plan.rows.items():
            if row["status"] == FAILED:
                yield f"{name}: failed: {row['reason']}"

    def done(self, job: Job, outcome: Outcome) -> str:
        """The line for a galaxy that is done."""
        self._count += 1
        self._failed += outcome.status == FAILED
        self._weight_done += self._plan.weights[job.name] + 1
        took = f"{job.name}: {outcome.status}"
        if outcome.seconds == outcome.seconds:
            took += f" in {duration(outcome.seconds)}"
        if outcome.said:
            took += f": {outcome.said}"
        if outcome.reason:
            took += f": {outcome.reason}"
        said = [f"[{self._count}/{len(self._plan.jobs)}] {took}"]
        if self._failed:
            said.append(f"{self._failed} failed so far")
        left = self._weight - self._weight_done
        if left:
            elapsed = self._clock() - self._started
            said.append(f"{duration(elapsed * left / self._weight_done)} left")
        return "; ".join(said)
