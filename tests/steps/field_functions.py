"""Tasks that the tests give to the runner."""

import os
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Square:
    """A task: squared, after some time; a negative one fails."""

    value: float
    seconds: float = 0.0
    key: str | None = None

    @property
    def cost(self):
        return abs(self.value)


def square(task):
    """The task's value squared."""
    time.sleep(task.seconds)
    if task.value < 0:
        raise ZeroDivisionError(f"at {task.value}")
    return task.value**2


def with_process(task):
    """The process that carries it out."""
    return os.getpid()


def dies(task):
    """Ends its process for a value of 2."""
    if task.value == 2:
        os._exit(3)
    return task.value
