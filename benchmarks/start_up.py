"""What it costs to start: imports and ``--help``, beside ``import stpipe`` alone.

Each line is a fresh process; CPU seconds (user + system) and wall seconds, medians.

    python benchmarks/start_up.py [RUNS]
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

STRUN = str(Path(sys.executable).parent / "strun")
STPIPE = str(Path(sys.executable).parent / "stpipe")
COMMANDS = {
    "import numpy, scipy.optimize": [sys.executable, "-c", "import numpy, scipy.optimize"],
    "import stpipe": [sys.executable, "-c", "import stpipe"],
    "import galstep": [sys.executable, "-c", "import galstep"],
    "import galstep.datamodels": [sys.executable, "-c", "import galstep.datamodels"],
    "import galstep.pipeline": [sys.executable, "-c", "import galstep.pipeline"],
    "strun gal_pipeline --help": [STRUN, "gal_pipeline", "--help"],
    "strun gal_basefit --help": [STRUN, "gal_basefit", "--help"],
    "stpipe list": [STPIPE, "list"],
}


def cost(command):
    """CPU and wall seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, wall


def main():
    """Print a table, one row per command."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("| command | CPU (s) | wall (s) |\n|---|---|---|")
    for name, command in COMMANDS.items():
        cost(command)  # files into the cache
        cpu, wall = zip(*(cost(command) for _ in range(runs)), strict=True)
        print(
            f"| {name} | {statistics.median(cpu):.2f} | {statistics.median(wall):.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
