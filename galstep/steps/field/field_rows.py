"""Rows that are added to a field: behind those of the catalogue, which keep their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.field.field_catalog import empty_start, stacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from astropy.table import QTable, Table

    from galstep.core.field.detection import Detections
    from galstep.core.field.records import FieldSources
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["append_rows", "names_of_their_own", "rows_of"]


def append_rows(model: FieldModel, rows: Table) -> None:
    """Put rows behind the others, in place; their columns of the input catalogue are empty.

    Parameters
    ----------
    model : FieldModel
    rows : `astropy.table.Table`
        See `galstep.datamodels.field.field_catalog.empty_start`.
    """
    if not len(rows):
        return
    if len(model.inputs.colnames):
        model.inputs = _with_empty_rows(model.inputs, len(rows))
    model.start = stacked(model.start, rows)


def _with_empty_rows(table: QTable, count: int) -> QTable:
    """The table with masked rows behind: what was added has no such values."""
    from astropy.table import QTable, vstack

    empty = QTable({"_": np.zeros(count)})
    longer = vstack([table, empty], join_type="outer", metadata_conflicts="silent")
    longer.remove_column("_")
    return longer


def rows_of(
    sources: FieldSources | Detections,
    bands: Sequence[str],
    prefix: str,
    taken: Iterable[str],
    first: int = 1,
) -> Table:
    """Rows of a start table for sources that were found.

    Parameters
    ----------
    sources : object
        With ``x`` and ``y``, reference pixels: detections, or sources of a fit. All else the fit
        finds from the image.
    bands : sequence of str
    prefix : str
        Their names are this and a number.
    taken : iterable of str
        Names that are taken.
    first : int, optional
        Number of the first one.
    """
    rows = empty_start(len(sources), bands)
    rows["id"] = names_of_their_own(
        [f"{prefix}{number}" for number in range(first, first + len(sources))], taken
    )
    rows["x"], rows["y"] = sources.x, sources.y
    return rows


def names_of_their_own(names: Sequence[str], taken: Iterable[str]) -> np.ndarray:
    """Names that no other row has, by a number behind where they do.

    Parameters
    ----------
    names : sequence of str
    taken : iterable of str
    """
    known, given = {str(name) for name in taken}, []
    for name in names:
        own, number = name, 1
        while own in known:
            number += 1
            own = f"{name}_{number}"
        known.add(own)
        given.append(own)
    return np.array(given, dtype="U80")
