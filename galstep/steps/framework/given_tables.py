"""Tables and paths as parameters: what a parameter file can only name, Python can give.

A parameter that names a table is a string in a file and on the command line. From
Python a path object, a table or a `~astropy.coordinates.SkyCoord` does as well, in the
step itself, in ``call`` and in the ``steps`` of a pipeline.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["GivenTable", "as_text", "table_of"]

# parameters that name a table, of any step
_TABLES = ("catalog", "abs_refcat")


class GivenTable(str):
    """A table where the name of one is expected: text for the log and the product.

    Two are equal only if they are the same table.

    Attributes
    ----------
    table : object
    """

    table: Any

    @classmethod
    def of(cls, table: Any) -> Self:
        """The text that stands for a table."""
        rows = f" of {len(table)} rows" if hasattr(table, "__len__") else ""
        given = cls(f"<{type(table).__name__}{rows}>")
        given.table = table
        return given

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = str.__hash__


def table_of(parameter: str | None) -> Any:
    """What a parameter holds: the table that was given, or the path."""
    return parameter.table if isinstance(parameter, GivenTable) else parameter


def as_text(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with paths, and tables where one is meant, as text; sections likewise.

    Parameters
    ----------
    parameters : mapping of str to object

    Returns
    -------
    dict of str to object
    """
    return dict(_texts(parameters.items()))


def _texts(items: Iterable[tuple[str, Any]]):
    for name, value in items:
        if isinstance(value, os.PathLike):
            yield name, os.fspath(value)
        elif name in _TABLES and _is_table(value):
            yield name, GivenTable.of(value)
        elif type(value) is dict:  # a Section of a parameter file holds text already
            yield name, as_text(value)
        else:
            yield name, value


def _is_table(value):
    """Whether it is nothing that a parameter file could hold: `open_table` tells the rest."""
    return value is not None and not isinstance(value, str | int | float | list | tuple)
