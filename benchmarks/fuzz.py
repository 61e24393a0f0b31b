"""Run the pipeline on odd input and count what comes of it.

``python benchmarks/fuzz.py [NUMBER] [--seed N] [--time-limit SECONDS] [--minutes M]``

Every input is measured in a process that is killed at the time limit, so that a
galaxy without end is counted like any other outcome. The exit code is 1 if there
was a defect: a traceback, silent nonsense, or no end.
"""

import argparse
import collections
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from galstep.testing.odd_inputs import random_odd_galaxy
from galstep.testing.outcomes import measure_odd

DEFECTS = ("defect", "no end", "crash")


def _attempt(seed, connection):
    # a warning is no outcome; what numpy warns of shows in the result
    warnings.simplefilter("ignore")
    while True:
        odd = random_odd_galaxy(np.random.default_rng(seed))
        try:
            with tempfile.TemporaryDirectory() as folder:
                kind, text = measure_odd(odd, Path(folder))
        # a defect is what is looked for
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            kind, text = "defect", f"{type(error).__name__}: {error} ({place})"
        connection.send((kind, text, str(odd)))
        seed = connection.recv()


class Attempts:
    """A process that makes one attempt after the other, replaced when it is killed."""

    def __init__(self, time_limit):
        self._limit = time_limit
        self._process = self._connection = None

    def outcome(self, seed):
        """Kind, text and description of the input with this seed."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_attempt, args=(seed, theirs), daemon=True)
            self._process.start()
            theirs.close()
        else:
            self._connection.send(seed)
        try:
            if self._connection.poll(self._limit):
                return self._connection.recv()
            kind = "no end"
        except EOFError:
            kind = "crash"
        self.close()
        return kind, "", str(random_odd_galaxy(np.random.default_rng(seed)))

    def close(self):
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def main(arguments=None):
    """Count outcomes and print the defects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after these")
    options = parser.parse_args(arguments)
    started, attempts = time.monotonic(), Attempts(options.time_limit)
    counts, errors, slowest = collections.Counter(), collections.Counter(), (0.0, "")
    for seed in range(options.seed, options.seed + options.number):
        begun = time.monotonic()
        if begun - started > 60 * options.minutes:
            break
        kind, text, odd = attempts.outcome(seed)
        slowest = max(slowest, (time.monotonic() - begun, odd))
        counts[kind] += 1
        if kind == "error":
            # the end of a message is what is wrong, its beginning which file
            errors[" ".join(text.split()[-6:])] += 1
        elif kind in DEFECTS:
            print(f"{kind}: {text}: {odd}", flush=True)
    attempts.close()
    seconds = time.monotonic() - started
    print(f"{counts.total()} inputs in {seconds:.0f} s; slowest {slowest[0]:.1f} s: {slowest[1]}")
    print("; ".join(f"{kind} {count}" for kind, count in counts.most_common()))
    for text, count in errors.most_common(25):
        print(f"  error {count:4d}  ... {text}")
    return 1 if any(counts[kind] for kind in DEFECTS) else 0


if __name__ == "__main__":
    sys.exit(main())
