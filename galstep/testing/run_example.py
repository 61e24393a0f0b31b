"""Run the packaged example and print the answer beside the truth.

``python -m galstep.testing.run_example [OUTPUT_DIR]``
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import Table

from galstep.core.imaging._kernels import COMPILED
from galstep.data import example_path
from galstep.testing.compare import compare, format_comparison, matched_stars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["expected_time", "main", "report", "run"]

# seconds of the command in a fresh clone on two cores, and of the same command again
_FIRST, _LATER = 25, 10


def run(output_dir: PathLike) -> GalaxyModel:
    """Measure the packaged galaxy; the products go to ``output_dir``.

    Parameters
    ----------
    output_dir : str or path-like
        Made if it does not exist.

    Returns
    -------
    GalaxyModel
    """
    from galstep.pipeline import GalPipeline

    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return GalPipeline.call(
        str(example_path()), output_dir=str(folder), save_results=True, configure_log=False
    )


def report(output_dir: PathLike) -> str:
    """The products in ``output_dir`` beside the truth, as text."""
    folder = Path(output_dir)
    sersic, phot, stars = (
        Table.read(folder / f"example_{table}.ecsv") for table in ("sersic", "phot", "stars")
    )
    truth = Table.read(example_path("example_truth.ecsv"))
    true_stars = Table.read(example_path("example_stars.ecsv"))
    counts = matched_stars(stars, true_stars, list(truth["filter"]))
    return format_comparison(compare(sersic, phot, truth), counts)


def expected_time() -> str:
    """How long the run will take, for who waits for the first one."""
    if COMPILED:
        return (
            f"The first run compiles the kernels: about {_FIRST} s; {_LATER} s from the second on."
        )
    return f"Without numba (pip install 'galstep[fast]') this takes several times {_LATER} s."


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m galstep.testing.run_example``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "output_dir",
        nargs="?",
        default="galstep_example",
        help="folder for the products (default ./galstep_example)",
    )
    output_dir = parser.parse_args(arguments).output_dir
    # a line per step, not stpipe's list of all parameters
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("stpipe.galstep").setLevel(logging.INFO)
    print(expected_time(), flush=True)
    start = time.perf_counter()
    run(output_dir)
    seconds = time.perf_counter() - start
    print(f"\n{report(output_dir)}")
    print(f"\n{seconds:.1f} s; products in {Path(output_dir).resolve()}:")
    print("  " + "  ".join(sorted(path.name for path in Path(output_dir).glob("example_*"))))


if __name__ == "__main__":
    main()
