"""`FieldModel`: a field of stars and galaxies in several bands, as it travels between the steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from galstep.datamodels.field.field_data import FieldData
from galstep.datamodels.field.field_io import read_field, write_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.hints import PathLike

__all__ = ["FieldModel"]


class FieldModel(FieldData):
    """A field that opens and saves itself: the methods that ``stpipe`` asks of a data model.

    See `galstep.datamodels.field.field_data.FieldData` for its parameters.
    """

    crds_observatory = None

    def __str__(self) -> str:
        from galstep.datamodels.field.field_text import field_text

        return field_text(self)

    def _repr_html_(self) -> str:
        from galstep.datamodels.field.field_text import field_html

        return field_html(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    @classmethod
    def open(cls, source: PathLike | FieldModel) -> FieldModel:
        """The model that an earlier run has saved; a model is returned as it is.

        Parameters
        ----------
        source : path-like or FieldModel
            ``<name>_field.asdf``. The images must be where they were.

        Raises
        ------
        InputError
            If it is no such product, or cannot be read.
        """
        if isinstance(source, FieldModel):
            return source
        return read_field(source, FieldModel)

    def get_crds_parameters(self) -> dict:
        """Nothing: no reference files are looked up."""
        return {}

    def close(self) -> None:
        """Do nothing: part of the data model protocol."""

    def save(
        self, path: PathLike | Callable, dir_path: PathLike | None = None, *args: Any, **kwargs: Any
    ) -> str:
        """Write the model; the tables are written by `galstep.datamodels.field.field_products`.

        Parameters
        ----------
        path : path-like or callable
        dir_path : path-like, optional
            Folder that replaces the one in ``path``.
        *args, **kwargs
            Ignored.

        Returns
        -------
        str
            The file.
        """
        path = Path(path(self.meta.filename) if callable(path) else path)
        path = (path.parent if dir_path is None else Path(dir_path)) / path.name
        write_field(self, path)
        return os.fspath(path)
