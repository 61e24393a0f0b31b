"""A batch that is killed again and again ends with the summary of one that was not.

``python benchmarks/batch_resilience.py [FILE ...] [--psf-file FILE] [--kills N]``

Measures galaxies (by default synthetic ones) undisturbed with one worker, then

- with ``kill -9`` at random moments, alternately of the batch and of a worker,
  each followed by ``--resume``,
- with two workers, and with two workers of a local Dask scheduler,

and compares all numbers of the summaries with the first. The exit code is 1 if
any differs by more than 1e-10 of its value.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from galstep.batch.summary import read_rows
from galstep.testing import make_scene

TOLERANCE = 1e-10
STATUSES = ("ok", "failed", "pending")


def synthetic(folder, count):
    """Write galaxies that take one worker some seconds each; return files and PSF file."""
    files = []
    for seed in range(count):
        scene = make_scene(seed, (131, 131), 40, ("F090W", "F150W", "F277W"), snr=150.0)
        files.append(str(scene.write_hdf5(folder / f"s{seed:02d}.h5")))
        psf_file = str(scene.write_psf(folder / "psf.h5"))
    return files, psf_file


class Batch:
    """``galstep batch`` on the same galaxies with a folder of its own."""

    def __init__(self, files, psf_file, folder):
        self.folder = folder
        self._command = [
            sys.executable, "-m", "galstep.cli", "batch", *files,
            "--set", f"psf_file={psf_file}", "--set", "qa_figure=false",
            "--output-dir", str(folder), "--resume",
        ]  # fmt: skip

    def start(self, *options):
        """Start it as a process."""
        return subprocess.Popen([*self._command, *options], stderr=subprocess.DEVNULL)

    def run(self, *options):
        """Run it to its end; return the seconds."""
        started = time.monotonic()
        self.start(*options).wait()
        return time.monotonic() - started

    @property
    def rows(self):
        """The rows of the summary."""
        return read_rows(self.folder / "summary.ecsv")


def kill_again_and_again(batch, number, mean_time, rng, workers):
    """Kill the batch or one of its workers at random moments; yield what was done."""
    for i in range(number):
        process = batch.start(workers)
        wait = rng.uniform(0.0, 2.5 * mean_time)
        time.sleep(wait)
        children = _children(process.pid)
        if i % 2 and children:
            os.kill(children[0], signal.SIGKILL)
            time.sleep(rng.uniform(0.0, mean_time))
        process.kill()
        process.wait()
        statuses = [row["status"] for row in batch.rows.values()] if _has_summary(batch) else []
        what = "worker, then batch" if i % 2 and children else "batch"
        counts = ", ".join(f"{statuses.count(status)} {status}" for status in STATUSES)
        yield f"  {what} killed after {wait:.1f} s; {counts}"


def _has_summary(batch):
    return (batch.folder / "summary.ecsv").exists()


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def largest_difference(rows, reference):
    """Largest relative difference of a number, and what else is not the same."""
    worst, other = 0.0, []
    for name, expected in reference.items():
        found = rows.get(name, {})
        for column in {**expected, **found}:
            first, second = expected.get(column), found.get(column)
            if column == "seconds" or first == second:
                continue
            if isinstance(first, float) and isinstance(second, float):
                both_nan = np.isnan(first) and np.isnan(second)
                scale = max(abs(first), abs(second))
                worst = max(worst, 0.0 if both_nan else abs(first - second) / scale)
            else:
                other.append(f"{name}/{column}: {first!r} and {second!r}")
    return worst, other


def main(arguments=None):
    """Run all and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="image files (default: synthetic galaxies)")
    parser.add_argument("--psf-file")
    parser.add_argument("--count", type=int, default=8, help="number of synthetic galaxies")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1, help="of the batch that is killed")
    parser.add_argument("--only-kills", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rng, good = np.random.default_rng(options.seed), True

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files, psf_file = options.files, options.psf_file
        if not files:
            files, psf_file = synthetic(folder, options.count)

        def batch(name):
            return Batch(files, psf_file, folder / name)

        def compare(name, done):
            worst, other = largest_difference(done.rows, reference.rows)
            print(f"{name}: largest difference {worst:.1e}; {len(other)} others", flush=True)
            for line in other[:5]:
                print(f"  {line}")
            return worst <= TOLERANCE and not other

        reference = batch("undisturbed")
        workers = f"--workers={options.workers}"
        one = reference.run(workers)
        statuses = [row["status"] for row in reference.rows.values()]
        print(
            f"{len(files)} galaxies, {workers}: {one:.1f} s, {statuses.count('ok')} ok", flush=True
        )

        killed = batch("killed")
        mean_time = one / len(files)
        for line in kill_again_and_again(killed, options.kills, mean_time, rng, workers):
            print(line, flush=True)
        killed.run(workers)
        good &= compare(f"killed {options.kills} times and resumed", killed)

        if options.only_kills:
            return 0 if good else 1
        double = batch("two")
        two = double.run("--workers=2")
        good &= compare("two workers", double)
        print(f"two workers: {two:.1f} s, throughput {one / two:.2f} of {workers}", flush=True)
        good &= compare("Dask", _with_dask(batch("dask")))
    return 0 if good else 1


def _with_dask(batch):
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        seconds = batch.run(f"--scheduler={cluster.scheduler_address}")
    print(f"Dask, two workers: {seconds:.1f} s")
    return batch


if __name__ == "__main__":
    sys.exit(main())
