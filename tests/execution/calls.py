"""Functions that worker processes are given by the tests."""

import os
import signal
import time


def squared(x):
    """x^2, and the process that made it."""
    return x * x, os.getpid()


def broken(x):
    """Raises."""
    raise ZeroDivisionError(f"by {x}")


def killed():
    """Ends its process as the system does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def endless():
    """Does not return."""
    time.sleep(600)


def printed(text):
    """Prints, which must not come between the results."""
    print(text, flush=True)
    return text
