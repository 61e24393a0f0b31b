"""Run a packaged example and print the answer beside the truth.

``python -m galstep.testing.run_example [OUTPUT_DIR] [--galaxy structured]``
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
from galstep.testing.make_example import structured_scene
from galstep.testing.structured_report import format_galaxy
from galstep.testing.structured_score import known, score_galaxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["EXAMPLES", "expected_time", "main", "report", "run"]

#: The packaged galaxies; each has a parameter file of its name.
EXAMPLES = ("example", "structured")

# seconds of the command in a fresh clone on two cores, and of the same command again
_FIRST, _LATER = 25, 10


def run(output_dir: PathLike, galaxy: str = "example") -> GalaxyModel:
    """Measure a packaged galaxy; the products go to ``output_dir``.

    Parameters
    ----------
    output_dir : str or path-like
        Made if it does not exist.
    galaxy : str, optional
        One of `EXAMPLES`.

    Returns
    -------
    GalaxyModel
    """
    from galstep.pipeline import GalPipeline

    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return GalPipeline.call(
        str(example_path(f"{galaxy}.asdf")),
        output_dir=str(folder),
        save_results=True,
        configure_log=False,
    )


def report(output_dir: PathLike, galaxy: str = "example") -> str:
    """The products in ``output_dir`` beside the truth, as text."""
    folder = Path(output_dir)
    if galaxy == "example":
        sersic, phot, stars = (
            Table.read(folder / f"example_{table}.ecsv") for table in ("sersic", "phot", "stars")
        )
        truth = Table.read(example_path("example_truth.ecsv"))
        true_stars = Table.read(example_path("example_stars.ecsv"))
        counts = matched_stars(stars, true_stars, list(truth["filter"]))
        return format_comparison(compare(sersic, phot, truth), counts)
    # no shape to compare: light, star subtraction and stars, against the true images
    scene = structured_scene()
    return format_galaxy(
        f"{scene.truth.kind}: per cent of the target's light, colours in mmag "
        "(columns: galstep.testing.structured_score)",
        score_galaxy(known(scene, galaxy), folder),
    )


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
    parser.add_argument(
        "--galaxy",
        choices=EXAMPLES,
        default=EXAMPLES[0],
        help="a Sersic galaxy in six filters, or a spiral in three (default %(default)s)",
    )
    options = parser.parse_args(arguments)
    folder, galaxy = Path(options.output_dir), options.galaxy
    # a line per step, not stpipe's list of all parameters
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("stpipe.galstep").setLevel(logging.INFO)
    print(expected_time(), flush=True)
    start = time.perf_counter()
    run(folder, galaxy)
    seconds = time.perf_counter() - start
    print(f"\n{report(folder, galaxy)}")
    print(f"\n{seconds:.1f} s; products in {folder.resolve()}:")
    print("  " + "  ".join(sorted(path.name for path in folder.glob(f"{galaxy}_*"))))


if __name__ == "__main__":
    main()
