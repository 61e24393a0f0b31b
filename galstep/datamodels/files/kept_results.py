"""Results of calls kept in files, found again by what the calls depended on.

A file holds one result, pickled, behind the hash of its bytes. It is read with an unpickler that
makes arrays and the records of galstep and calls nothing else: a file that was put there by
somebody else can be wrong, but runs nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Set

    from galstep.hints import PathLike

__all__ = ["KeptResults"]

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("builtins", "slice"),
    ("builtins", "complex"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
}
_SUFFIX = ".kept"
_NO_RESULT = object()


class KeptResults:
    """A folder of results.

    Parameters
    ----------
    folder : path-like
        Made when the first result is kept.
    records : sequence of str
        Modules whose classes results may hold: names, and beginnings of names that end in a dot.
    """

    NONE = _NO_RESULT

    def __init__(self, folder: PathLike, records: tuple[str, ...]) -> None:
        self.folder = Path(folder)
        self._records = tuple(records)
        self.n_read = self.n_written = 0

    def path(self, key: str) -> Path:
        """Where the result of a key is."""
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        return self.folder / f"{name}{_SUFFIX}"

    def read(self, key: str) -> Any:
        """The result that was kept under a key; `KeptResults.NONE` if there is none.

        Also where a file is damaged or holds what no result does.
        """
        try:
            content = self.path(key).read_bytes()
        except OSError:
            return _NO_RESULT
        digest, body = content[:32], content[32:]
        if hashlib.sha256(body).digest() != digest:
            return _NO_RESULT
        try:
            kept_key, result = _Reader(io.BytesIO(body), self._records).load()
        # whatever a pickle of another version, or of another hand, can raise
        except Exception:  # noqa: BLE001
            return _NO_RESULT
        if kept_key != key:
            return _NO_RESULT
        self.n_read += 1
        return result

    def write(self, key: str, result: Any) -> None:
        """Keep a result; the file appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        body = pickle.dumps((key, result), protocol=pickle.HIGHEST_PROTOCOL)
        with replacing(self.path(key)) as temporary:
            temporary.write_bytes(hashlib.sha256(body).digest() + body)
        self.n_written += 1

    def clear(self, but: Set[str] = frozenset()) -> None:
        """Remove all results, but for those of some keys; and the folder if nothing is left."""
        wanted = {self.path(key).name for key in but}
        if not self.folder.is_dir():
            return
        for path in self.folder.glob(f"*{_SUFFIX}"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)
        if not os.listdir(self.folder):
            self.folder.rmdir()


class _Reader(pickle.Unpickler):
    """Makes arrays and records, and calls nothing else."""

    def __init__(self, stream, records):
        super().__init__(stream)
        self._records = records

    def find_class(self, module, name):
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if any(module == own or _is_below(module, own) for own in self._records):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a result")


def _is_below(module, package):
    return package.endswith(".") and module.startswith(package)
