"""``catfile``: which catalogue of stars belongs to which image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.datamodels.files.table_bounds import check_table_file
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.datamodels.sky.sky_image import SkyImage
    from galstep.hints import PathLike

__all__ = ["read_catalog_list"]


def read_catalog_list(path: PathLike, images: Sequence[SkyImage]) -> list[str | None]:
    """The catalogue of each image according to a list.

    Parameters
    ----------
    path : path-like
        Text file; in each line the file name of an image and, after white space
        or a comma, that of its catalogue, relative to the list. Names with
        blanks may stand in quotes. A line with an image alone says that it has
        no catalogue; one that begins with ``#`` is passed over.
    images : sequence of `galstep.datamodels.sky.sky_image.SkyImage`

    Returns
    -------
    list of str or None
        For each image its catalogue, "" if the list says that there is none,
        None if it does not name the image.

    Raises
    ------
    InputError
        If the file cannot be read; if a line names no image, or two of them,
        or an image that another line names, or more than one catalogue.
    """
    check_table_file(path, "catfile")
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"catfile {path}: cannot be read ({reason})") from error
    found: list[str | None] = [None] * len(images)
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"catfile {path}, line {number}"
        image, rest = _image_of(line.strip(), images, path.parent, where)
        if found[image] is not None:
            raise InputError(f"{where}: {images[image].name!r} has been named before")
        found[image] = _catalog(rest, path.parent, where)
    return found


def _names(image, folder):
    """What a line may call an image: with its extension, and without."""
    full, short = set(), {image.name}
    if isinstance(image.source, str | os.PathLike):
        source = Path(image.source)
        full = {str(image.source), source.name, str(source.resolve())}
        full.add(os.path.relpath(source.resolve(), folder.resolve()))
        short.add(source.stem)
    else:
        filename = getattr(getattr(image.source, "meta", None), "filename", None)
        if isinstance(filename, str):
            full |= {filename, Path(filename).name}
            short.add(Path(filename).stem)
        full.add(f"{image.name}.fits")
    return full, short - full


def _image_of(line, images, folder, where):
    """Number of the image that a line begins with, and the rest of the line."""
    found: dict[int, tuple[int, bool, str]] = {}
    for number, image in enumerate(images):
        for is_short, names in enumerate(_names(image, folder)):
            for name in names:
                for written in (name, f'"{name}"', f"'{name}'"):
                    rest = line[len(written) :]
                    if line.startswith(written) and (not rest or rest[0] in " \t,"):
                        new = (len(written), not is_short, rest)
                        found[number] = max(found.get(number, new), new)
    if not found:
        known = ", ".join(repr(image.name) for image in images)
        raise InputError(f"{where}: {line!r} names none of the images ({known})")
    # the longest name, and of equals the one with its extension: "a.fits" is no stem of a.fits.gz
    longest = max(value[:2] for value in found.values())
    best = [number for number, value in found.items() if value[:2] == longest]
    if len(best) > 1:
        raise InputError(f"{where}: {line[: longest[0]]!r} are several images: give their folders")
    return best[0], found[best[0]][2]


def _catalog(rest, folder, where):
    rest = rest.strip().removeprefix(",").strip()
    for quote in "\"'":
        if len(rest) > 1 and rest[0] == rest[-1] == quote:
            return str(folder / rest[1:-1].strip())
    if rest and not (folder / rest).is_file() and len(rest.split()) > 1:
        raise InputError(f"{where}: an image and its catalogue are needed, got {rest!r} as well")
    return str(folder / rest) if rest else ""
