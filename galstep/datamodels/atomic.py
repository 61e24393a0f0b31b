"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from galstep.exceptions import GalstepError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.hints import PathLike

__all__ = ["replacing"]


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place on success.

    If the block fails the temporary file is removed and an earlier ``path``
    stays as it was. The temporary name is unique, so two runs that write the
    same product do not mix: the later one wins whole.

    Parameters
    ----------
    path : path-like
        The file to be written.

    Yields
    ------
    `pathlib.Path`
        Where to write.

    Raises
    ------
    InputError
        If the folder is not there.
    GalstepError
        If the file cannot be written (no permission, disk full).
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"output {path}: the folder {path.parent} is not there")
    # the extension is kept: some writers choose the format by it
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise GalstepError(f"output {path}: cannot be written ({error})") from error
    finally:
        temporary.unlink(missing_ok=True)
