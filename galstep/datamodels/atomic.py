"""Files that appear whole or not at all."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path

from galstep.exceptions import GalstepError, InputError

__all__ = ["replacing"]


@contextmanager
def replacing(path):
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
