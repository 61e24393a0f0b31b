"""Make the packaged field: ``python -m galstep.testing.make_field_example OUTPUT_DIR``.

Forty stars and twelve galaxies in three bands, one star full, one galaxy that the catalogue lacks;
zero points of the headers off by some hundredths. Always the same: a test compares the packaged
files with what this makes.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.testing.fields import make_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike
    from galstep.testing.fields import SyntheticField

__all__ = ["FIELD_FILES", "example_field", "main", "write_field_example"]

#: Names of the files that are made, as they are packaged in ``galstep.data``.
FIELD_FILES = (
    "field.txt",
    "field_g.fits",
    "field_r.fits",
    "field_i.fits",
    "field_catalog.csv",
    "field_reference.csv",
    "field_truth.ecsv",
)


def example_field() -> SyntheticField:
    """The packaged field."""
    full = {"id": "00052", "type": "STAR", "x": 158.3, "y": 41.6, "flux": 1.2e6}
    lacking = {
        "type": "SERSIC", "x": 47.7, "y": 159.4, "flux": 30000.0, "r_eff": 3.5, "n": 1.3,
        "ellip": 0.3, "theta": 25.0,
    }  # fmt: skip
    return make_field(
        seed=31, shape=(200, 200), n_stars=40, n_galaxies=12, extra=[full, lacking], subsample=7
    )


def write_field_example(directory: PathLike) -> list[Path]:
    """Write the files.

    Parameters
    ----------
    directory : path-like
        Made if it does not exist.

    Returns
    -------
    list of Path
        In the order of `FIELD_FILES`.
    """
    folder = Path(directory)
    example_field().write(folder)
    # the PSF is measured on the stars
    shutil.rmtree(folder / "field_psf")
    return [folder / name for name in FIELD_FILES]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m galstep.testing.make_field_example``."""
    parser = argparse.ArgumentParser(description="Write the example field and its truth.")
    parser.add_argument("output_dir", help="folder for the files")
    for path in write_field_example(parser.parse_args(arguments).output_dir):
        print(path)


if __name__ == "__main__":
    main()
