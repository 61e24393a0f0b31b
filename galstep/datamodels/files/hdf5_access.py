"""Reading HDF5 with errors that name the file: shared by image and PSF files."""

from __future__ import annotations

import difflib
import io
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from galstep.datamodels.files.atomic import replacing
from galstep.datamodels.files.hdf5_bounds import check_objects
from galstep.datamodels.files.image_bounds import check_pixels
from galstep.datamodels.files.regular_file import check_regular, printable
from galstep.exceptions import GalstepError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from h5py import Dataset, File

    from galstep.hints import PathLike

__all__ = ["choose_filters", "image_names", "new_hdf5", "not_there", "open_hdf5", "read_image"]

_MOST_NAMES_LISTED = 12


@contextmanager
def open_hdf5(path: PathLike, role: str) -> Iterator[File]:
    """The HDF5 file at ``path``, open for reading.

    Parameters
    ----------
    path : path-like
    role : str
        What the file is to the user (``"input"``, ``"psf_file"``); starts
        every message.

    Raises
    ------
    InputError
        If the file is missing, is not HDF5, is damaged, or refers to other files.
    """
    where = f"{role} {printable(path)}"
    path = Path(path)
    check_regular(path, role)
    if not h5py.is_hdf5(path):
        raise InputError(f"{where}: an HDF5 file is needed, this is none")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{where}: the HDF5 file is damaged ({error})") from error
    with file:
        try:
            check_objects(file, where)
            yield file
        except GalstepError:
            raise
        # what h5py raises where an object in the file cannot be read
        except (KeyError, OSError, RuntimeError, TypeError, ValueError, MemoryError) as error:
            raise InputError(f"{where}: the HDF5 file is damaged ({error})") from error


@contextmanager
def new_hdf5(path: PathLike) -> Iterator[File]:
    """An HDF5 file to be filled, which appears at ``path`` whole or not at all.

    It is made in memory: where a disc is full, HDF5 leaves files open that it
    could not write, and says so at the end of the process.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    `h5py.File`

    Raises
    ------
    GalstepError
        See `galstep.datamodels.files.atomic.replacing`.
    """
    memory = io.BytesIO()
    with replacing(path) as temporary:
        with h5py.File(memory, "w") as file:
            yield file
        temporary.write_bytes(memory.getbuffer())


def image_names(file: File) -> list[str]:
    """Names of the datasets at the root; groups and broken links are no images."""
    return [name for name in file if isinstance(file.get(name), h5py.Dataset)]


def choose_filters(
    available: Sequence[str],
    wanted: Sequence[str] | None,
    where: str,
    if_none: str = "there is no dataset at the root",
) -> list[str]:
    """The filters to read, in the order wanted.

    Parameters
    ----------
    available : sequence of str
        What the file has.
    wanted : sequence of str or None
        What was asked for; None or nothing means all.
    where : str
        The file, as messages call it.
    if_none : str, optional
        Why there is no filter, if ``available`` is empty.

    Raises
    ------
    InputError
        If there is none, one is not there, or one is asked for twice.
    """
    if not available:
        raise InputError(f"{where}: {if_none}, so no filter")
    if wanted is None or len(wanted) == 0:
        return list(available)
    wanted = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    for name in wanted:
        if name not in available:
            raise InputError(not_there(name, available, where))
        if wanted.count(name) > 1:
            raise InputError(f"{where}: filter {name!r} is asked for {wanted.count(name)} times")
    return wanted


def not_there(name: str, available: Sequence[str], where: str) -> str:
    """A message: what there is, and the nearest name to the one that is not."""
    listed = ", ".join(available[:_MOST_NAMES_LISTED])
    if len(available) > _MOST_NAMES_LISTED:
        listed += f" and {len(available) - _MOST_NAMES_LISTED} more"
    by_capitals = {other.upper(): other for other in available}
    nearest = difflib.get_close_matches(name.upper(), by_capitals, n=1)
    suggestion = f" (did you mean {by_capitals[nearest[0]]!r}?)" if nearest else ""
    return f"{where}: filter {name!r} is not there; it has {listed}{suggestion}"


def read_image(dataset: Dataset, what: str) -> np.ndarray:
    """A 2-D numeric dataset as float64 in native byte order.

    Parameters
    ----------
    dataset : `h5py.Dataset`
    what : str
        The file and dataset, as messages call it.

    Raises
    ------
    InputError
        If it is not 2-D, not numeric, or cannot be read.
    """
    if dataset.dtype.kind not in "fiub":
        raise InputError(f"{what} must hold real numbers, got type {dataset.dtype}")
    if len(dataset.shape or ()) != 2:
        raise InputError(f"{what} must be a 2-D image, got shape {dataset.shape}")
    check_pixels(dataset.shape, what)
    check_pixels(dataset.chunks, f"{what}: each chunk")
    try:
        return dataset[()].astype(np.float64)
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error})") from error
