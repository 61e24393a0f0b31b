"""The products in a folder, and the files that belong to each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Product", "files_of", "find_products"]

_ENDINGS = ("_gal.asdf", "_gal.h5")
# what a link is called, and how its file ends; in the order of the page
_LINKS = (
    ("picture", "_qa.png"),
    ("profiles", "_profiles.png"),
    ("sed", "_sed.png"),
    ("stars plot", "_stars.png"),
    ("growth", "_growth.png"),
    ("convergence", "_convergence.png"),
    ("completeness", "_completeness.png"),
    ("psf", "_psf.png"),
    ("sersic", "_sersic.ecsv"),
    ("phot", "_phot.ecsv"),
    ("apertures", "_apertures.ecsv"),
    ("stars", "_stars.ecsv"),
    ("knots", "_knots.ecsv"),
    ("forced", "_forced.ecsv"),
    ("sersic.fits", "_sersic.fits"),
    ("phot.fits", "_phot.fits"),
    ("apertures.fits", "_apertures.fits"),
    ("stars.fits", "_stars.fits"),
    ("knots.fits", "_knots.fits"),
    ("regions", "_aper.reg"),
    ("model", "_gal.asdf"),
    ("model", "_gal.h5"),
    ("log", ".log"),
)


@dataclass(frozen=True)
class Product:
    """A saved galaxy.

    Parameters
    ----------
    path : `pathlib.Path`
    folder : str
        Relative to where it was looked for, parts separated by ``/``; "" for that itself.
    name : str
        What its files begin with.
    """

    path: Path
    folder: str
    name: str

    @property
    def stamp(self) -> list[int]:
        """What changes when the file is written anew."""
        status = self.path.stat()
        return [status.st_mtime_ns, status.st_size]

    @property
    def key(self) -> str:
        """What tells it from the other products of the folder."""
        return f"{self.folder}/{self.name}"


def find_products(folder: Path) -> Iterator[Product]:
    """All products in a folder and those below it, by name.

    Parameters
    ----------
    folder : `pathlib.Path`

    Yields
    ------
    Product
    """
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(place).relative_to(folder).as_posix()
        seen = set()
        for file in sorted(files):
            ending = next((e for e in _ENDINGS if file.endswith(e) and file != e), None)
            name = file.removesuffix(ending) if ending else ""
            if ending and not file.startswith(".") and name not in seen:
                seen.add(name)
                yield Product(Path(place) / file, "" if relative == "." else relative, name)


def files_of(folder: Path, name: str) -> list[tuple[str, Path]]:
    """What there is of a galaxy, to be linked.

    Parameters
    ----------
    folder : `pathlib.Path`
    name : str
        What the files begin with.

    Returns
    -------
    list of (str, Path)
        What a link is called, and its file.
    """
    return [
        (text, path) for text, ending in _LINKS if (path := folder / f"{name}{ending}").is_file()
    ]
