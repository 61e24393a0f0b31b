"""The packaged examples: a synthetic Sersic galaxy, a spiral, and a field, with their truth.

=========================  ====================================================
``example.asdf``           parameter file; names the two below
``example.h5``             images (MJy/sr, 0.03 arcsec pixels) and error maps
``example_psf.h5``         library PSFs, sampled 4 times finer; too sharp
``example_truth.ecsv``     the galaxy as it was put in, one row per filter
``example_stars.ecsv``     the stars as they were put in
``structured.asdf``        parameter file of a spiral in three filters
``structured.h5``          its images and error maps; the library PSFs are right
``structured_truth.ecsv``  its light: total, by part, inside 1 and 2 r_half
``structured_stars.ecsv``  its stars
``field.asdf``             parameter file of a field of stars and galaxies
``field.txt``              list of its images ``field_g.fits``, ``_r``, ``_i``
``field_catalog.csv``      the catalogue to start from
``field_reference.csv``    stars with magnitudes
``field_truth.ecsv``       the sources as they were put in
=========================  ====================================================

``python -m galstep.data`` prints the path of the parameter file. All was made
by `galstep.testing.make_example` and `galstep.testing.make_field_example`.
"""

from __future__ import annotations

from pathlib import Path

from galstep.exceptions import InputError

__all__ = ["example_path"]

_SUFFIXES = (".asdf", ".h5", ".ecsv", ".fits", ".csv", ".txt")


def example_path(name: str = "example.asdf") -> Path:
    """The path of a packaged file.

    Parameters
    ----------
    name : str, optional
        File name; the parameter file by default.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If no such file is packaged.
    """
    folder = Path(__file__).parent
    path = folder / name
    if not path.is_file():
        known = sorted(p.name for p in folder.iterdir() if p.suffix in _SUFFIXES)
        raise InputError(f"name must be one of {', '.join(known)}; got {name!r}")
    return path
