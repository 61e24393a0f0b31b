"""Run the packaged field and print the answers beside the truth.

``python -m galstep.testing.run_field_example [OUTPUT_DIR] [--no-catalog]``
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.table import QTable, Table

from galstep.data import example_path
from galstep.testing.compare_field import format_field
from galstep.testing.run_example import expected_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.field.field_model import FieldModel
    from galstep.hints import PathLike

__all__ = ["main", "report", "run"]

#: What the headers' zero points are wrong by is put in: see `galstep.testing.fields`.
ZERO_POINTS = {"g": 25.03, "r": 24.98, "i": 25.05}


def run(output_dir: PathLike, with_catalog: bool = True) -> FieldModel:
    """Measure the packaged field; the products go to ``output_dir``.

    Parameters
    ----------
    output_dir : path-like
        Made if it does not exist.
    with_catalog : bool, optional
        Without, sources are detected.

    Returns
    -------
    FieldModel
    """
    from galstep.pipeline import FieldPipeline

    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"output_dir": str(folder), "save_results": True, "configure_log": False}
    if with_catalog:
        return FieldPipeline.call(str(example_path("field.asdf")), **options)
    return FieldPipeline.call(
        str(example_path("field.txt")),
        reference=str(example_path("field_reference.csv")),
        steps={"maskfield": {"reference_add": False, "reference_mag": [8.0, 30.0]}},
        **options,
    )


def report(output_dir: PathLike) -> str:
    """The products in ``output_dir`` beside the truth, as text."""
    table = QTable.read(Path(output_dir) / "field_field.ecsv")
    truth = Table.read(example_path("field_truth.ecsv"))
    return format_field(table, truth, list(ZERO_POINTS), ZERO_POINTS)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m galstep.testing.run_field_example``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "output_dir",
        nargs="?",
        default="galstep_field_example",
        help="folder for the products (default ./galstep_field_example)",
    )
    parser.add_argument(
        "--no-catalog", action="store_true", help="detect the sources instead of reading them"
    )
    options = parser.parse_args(arguments)
    # a line per step, not stpipe's list of all parameters
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("stpipe.galstep").setLevel(logging.INFO)
    print(expected_time(), flush=True)
    start = time.perf_counter()
    run(options.output_dir, not options.no_catalog)
    seconds = time.perf_counter() - start
    folder = Path(options.output_dir)
    print(f"\n{report(folder)}")
    print(f"\n{seconds:.1f} s; products in {folder.resolve()}:")
    print("  " + "  ".join(sorted(path.name for path in folder.glob("field_*"))))


if __name__ == "__main__":
    main()
