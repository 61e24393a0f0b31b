"""Run the pipeline on odd or hostile input and count what comes of it.

``python benchmarks/fuzz.py [NUMBER] [--hostile] [--seed N] [--time-limit SECONDS] [--minutes M]``

``--hostile`` draws links, bombs, sizes, names, units, frames, error planes times k and
shapes of PSFs (`galstep.testing.hostile_inputs`) instead of odd galaxies.

Every input is measured in a process that is killed at the time limit, so that a
galaxy without end is counted like any other outcome. The exit code is 1 if there
was a defect: a traceback, silent nonsense, or no end.
"""

import argparse
import collections
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

from galstep.testing.hostile_inputs import random_hostile_galaxy
from galstep.testing.odd_inputs import random_odd_galaxy
from galstep.testing.outcomes import measure_odd

DEFECTS = ("defect", "no end", "crash")


def _attempt(draw, seed, connection):
    # a warning is no outcome; what numpy warns of shows in the result
    warnings.simplefilter("ignore")
    while True:
        odd = draw(np.random.default_rng(seed))
        try:
            with tempfile.TemporaryDirectory() as folder:
                kind, text = measure_odd(odd, Path(folder))
        # a defect is what is looked for
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno}"
            kind, text = "defect", f"{type(error).__name__}: {error} ({place})"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        connection.send((kind, text, str(odd)[:200], memory))
        seed = connection.recv()


class Attempts:
    """A process that makes one attempt after the other, replaced when it is killed."""

    def __init__(self, time_limit, draw):
        self._limit, self._draw = time_limit, draw
        self._process = self._connection = None

    def outcome(self, seed):
        """Kind, text and description of the input with this seed, and the memory so far (MB)."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_attempt, args=(self._draw, seed, theirs), daemon=True
            )
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
        return kind, "", str(self._draw(np.random.default_rng(seed)))[:200], 0.0

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
    parser.add_argument("--hostile", action="store_true", help="hostile instead of odd input")
    options = parser.parse_args(arguments)
    draw = random_hostile_galaxy if options.hostile else random_odd_galaxy
    started, attempts, most = time.monotonic(), Attempts(options.time_limit, draw), 0.0
    counts, errors, slowest = collections.Counter(), collections.Counter(), (0.0, "")
    for seed in range(options.seed, options.seed + options.number):
        begun = time.monotonic()
        if begun - started > 60 * options.minutes:
            break
        kind, text, odd, memory = attempts.outcome(seed)
        slowest, most = max(slowest, (time.monotonic() - begun, odd)), max(most, memory)
        counts[kind] += 1
        if kind == "error":
            # the end of a message is what is wrong, its beginning which file
            errors[" ".join(text.split()[-6:])] += 1
        elif kind in DEFECTS:
            print(f"{kind}: {text}: {odd}", flush=True)
    attempts.close()
    seconds = time.monotonic() - started
    print(f"{counts.total()} inputs in {seconds:.0f} s; slowest {slowest[0]:.1f} s: {slowest[1]}")
    print(f"most memory {most:.0f} MB")
    print("; ".join(f"{kind} {count}" for kind, count in counts.most_common()))
    for text, count in errors.most_common(25):
        print(f"  error {count:4d}  ... {text}")
    return 1 if any(counts[kind] for kind in DEFECTS) else 0


if __name__ == "__main__":
    sys.exit(main())
