"""Make the packaged examples: ``python -m galstep.testing.make_example OUTPUT_DIR``.

Two galaxies. A Sersic galaxy among sixty stars in six filters, with an error
map, a tilted sky and a library PSF that is sharper than the true one in every
filter; and a spiral with a bulge, arms and knots in three filters, whose PSF is
right. Always the same: a test compares the packaged files with what this makes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.records import SersicParams
from galstep.testing.scenes import make_scene
from galstep.testing.structured import make_structured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike
    from galstep.testing.scenes import SyntheticGalaxy
    from galstep.testing.structured import StructuredGalaxy

__all__ = ["FILES", "example_scene", "main", "structured_scene", "write_example"]

#: Names of the files that are made, as they are packaged in ``galstep.data``.
FILES = (
    "example.h5",
    "example_psf.h5",
    "example_truth.ecsv",
    "example_stars.ecsv",
    "structured.h5",
    "structured_truth.ecsv",
    "structured_stars.ecsv",
)

_SNR = {"F555W": 100, "F814W": 180, "F090W": 200, "F150W": 300, "F160W": 250, "F277W": 280}
# sigma of the Gaussian between library and true PSF (native pixels)
_BLUR = {"F555W": 0.9, "F814W": 0.85, "F090W": 0.7, "F150W": 0.65, "F160W": 1.5, "F277W": 1.1}


def example_scene() -> SyntheticGalaxy:
    """The Sersic galaxy as a `SyntheticGalaxy`."""
    return make_scene(
        seed=20,
        shape=(161, 161),
        n_stars=60,
        filters=tuple(_SNR),
        snr=_SNR,
        sersic=SersicParams(x_0=81.3, y_0=78.6, r_eff=10.0, n=1.6, ellip=0.35, theta=0.6),
        star_snr=(10.0, 400.0),
        psf_blur=_BLUR,
    )


def structured_scene() -> StructuredGalaxy:
    """The spiral as a `StructuredGalaxy`: three arms, a fifth of the light in the bulge."""
    return make_structured(
        "spiral",
        seed=2,
        shape=(121, 121),
        n_stars=25,
        filters=("F090W", "F150W", "F277W"),
        snr=250.0,
        r_eff=9.0,
    )


def write_example(directory: PathLike) -> list[Path]:
    """Write the files of the examples.

    Parameters
    ----------
    directory : str or path-like
        Where to; made if it does not exist.

    Returns
    -------
    list of Path
        The files, in the order of `FILES`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    scene, spiral = example_scene(), structured_scene()
    # the library of six filters serves the three of the spiral too
    writers = (
        scene.write_hdf5, scene.write_psf, scene.write_truth, scene.write_stars,
        spiral.write_hdf5, spiral.write_truth, spiral.write_stars,
    )  # fmt: skip
    return [write(directory / name) for write, name in zip(writers, FILES, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``python -m galstep.testing.make_example``."""
    parser = argparse.ArgumentParser(description="Write the example galaxies and their truth.")
    parser.add_argument("output_dir", help="folder for the files")
    for path in write_example(parser.parse_args(arguments).output_dir):
        print(path)


if __name__ == "__main__":
    main()
