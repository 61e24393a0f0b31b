"""CPU time, wall time and peak memory of the default pipeline, step by step.

Runs ``GalPipeline`` with its defaults on whole galaxies, each time in a fresh
process: products and picture included, the import of galstep counted apart. One
run ahead of the others lets numba compile; then medians of three. Steps are CPU times, which
a busy machine lengthens less than wall times, and the memory after each step is the largest
so far.

    python benchmarks/pipeline_cost.py DATA [GALAXY ...]

DATA is a folder with <galaxy>.h5 and psf_library.h5; without names g260 and g281.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = ("loadcrop", "psfcalibrate", "basefit", "scalefit", "jointfit", "aperphot")
N_RUNS = 3
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_once(image_file, psf_file, output_dir):
    """Run the pipeline in this process and say what it took, as JSON.

    Parameters
    ----------
    image_file, psf_file, output_dir : str
    """
    import resource
    import time

    from galstep.pipeline import GalPipeline

    def memory():
        # kilobytes on Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    steps = {}

    class Measured(GalPipeline):
        spec = ""

        def run_step(self, key, input):
            before = time.process_time()
            model = super().run_step(key, input)
            # a main loop runs some of them more than once
            steps[key] = steps.get(key, 0.0) + time.process_time() - before
            steps[f"{key}_mb"] = memory()
            return model

    imported = time.process_time()
    started = time.perf_counter()
    Measured.call(
        image_file,
        steps={"loadcrop": {"psf_file": psf_file}},
        output_dir=output_dir,
        save_results=True,
        configure_log=False,
    )
    cost = {
        "import": imported,
        "cpu": time.process_time() - imported,
        "wall": time.perf_counter() - started,
        "memory": memory(),
        **{step: steps.get(step, 0.0) for step in STEPS},
        **{f"{step}_mb": steps.get(f"{step}_mb", 0.0) for step in STEPS},
    }
    cost["products"] = cost["cpu"] - sum(cost[step] for step in STEPS)
    print(json.dumps(cost))


def in_fresh_process(image_file, psf_file, output_dir):
    """`run_once` in a process of its own.

    Returns
    -------
    dict
    """
    arguments = [sys.executable, __file__, "--once", image_file, psf_file, output_dir]
    done = subprocess.run(
        [str(a) for a in arguments],
        env=os.environ | ONE_CORE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(data, names):
    """Print a table of medians, one row per galaxy.

    Parameters
    ----------
    data : pathlib.Path
    names : list of str
    """
    columns = ("cpu", "wall", "memory", "import", *STEPS, "products")
    print("| galaxy | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            files = data / f"{name}.h5", data / "psf_library.h5", folder
            in_fresh_process(*files)  # numba compiles
            runs = [in_fresh_process(*files) for _ in range(N_RUNS)]
            medians = {c: statistics.median(run[c] for run in runs) for c in columns}
            numbers = [
                f"{medians[c]:.0f}" if c == "memory" else f"{medians[c]:.2f}" for c in columns
            ]
            print(f"| {name} | " + " | ".join(numbers) + " |", flush=True)
            largest = [statistics.median(run[f"{step}_mb"] for run in runs) for step in STEPS]
            numbers = ["" if c not in STEPS else f"{largest[STEPS.index(c)]:.0f}" for c in columns]
            print(f"| {name}, MB | " + " | ".join(numbers) + " |", flush=True)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with <galaxy>.h5 and psf_library.h5")
    parser.add_argument("galaxies", nargs="*", default=["g260", "g281"])
    options = parser.parse_args()
    measure(options.data, options.galaxies)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        run_once(*sys.argv[2:])
    else:
        main()
