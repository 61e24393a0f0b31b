"""The pipeline on galaxies that no Sersic profile describes, scored against their truth.

    python benchmarks/structured.py SET [GALAXY ...] --output DIR [--set STEP.NAME=VALUE ...]
    python benchmarks/structured.py SET --make 18 --seed 7 --output DIR

SET is a folder in the layout of `galstep.testing.structured_set`: data, PSFs, true
light. With ``--make`` it is made first, by galstep's own generator, from a seed that
no one has tuned on. A galaxy whose product is in DIR already is not fitted again;
``--processes`` fits several at a time, each in a process of its own. The columns
are explained in `galstep.testing.structured_score`.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from truth_set import fit, parameters

from galstep.testing.structured_report import format_scores
from galstep.testing.structured_score import missing_products, read_set, score_galaxy
from galstep.testing.structured_set import write_set


def fit_apart(options, name):
    """Fit one galaxy in a new process, its output in ``NAME.log``; whether it succeeded."""
    command = [sys.executable, __file__, str(options.folder), name, "--fit-only"]
    command += ["--output", str(options.output)]
    for item in options.set:
        command += ["--set", item]
    with open(options.output / f"{name}.log", "w") as log:
        done = subprocess.call(command, stdout=log, stderr=subprocess.STDOUT) == 0
    lines = (options.output / f"{name}.log").read_text().splitlines()
    wanted = [line for line in lines if line.startswith(f"{name}: ")]
    print(wanted[-1] if done and wanted else f"{name}: failed, see {name}.log", flush=True)
    return done


def main(arguments=None):
    """Make the set if asked to, fit what is not there yet, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="SET")
    parser.add_argument("galaxies", nargs="*", metavar="GALAXY")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--make", type=int, metavar="N", help="make a set of N galaxies first")
    parser.add_argument("--seed", type=int, default=1, help="of the set that is made")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="STEP.NAME=VALUE")
    parser.add_argument("--ignore-flags", nargs="*", default=[], help="flags that do not warn")
    parser.add_argument("--json", type=Path, help="write the scores here too")
    parser.add_argument("--fit-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    if options.make:
        write_set(options.folder, options.make, options.seed, report=lambda t: print(t, flush=True))
    known = read_set(options.folder)
    names = options.galaxies or list(known)
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"not in the set: {', '.join(unknown)}")
    if options.fit_only:
        for name in names:
            fit(options.folder, name, options.output, parameters(options.set))
        return
    waiting = [name for name in names if not (options.output / f"{name}_gal.asdf").exists()]
    with ThreadPoolExecutor(options.processes) as pool:
        done = list(pool.map(lambda name: fit_apart(options, name), waiting))
    if missing := missing_products(options.output, names):
        sys.exit(f"missing products: {' '.join(missing)}")
    scores = {name: score_galaxy(known[name], options.output, options.ignore_flags)
              for name in names}  # fmt: skip
    print(format_scores(scores, {name: known[name] for name in names}))
    if options.json:
        options.json.write_text(json.dumps(scores, indent=1, default=float))
    if not all(done):
        sys.exit(1)


if __name__ == "__main__":
    main()
