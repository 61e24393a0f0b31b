"""The result of a field as a few lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from galstep.datamodels.field.field_text import field_counts, field_flags, field_table
from galstep.execution.duration import duration

if TYPE_CHECKING:
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["field_summary_lines"]


def field_summary_lines(model: FieldModel) -> list[str]:
    """What a field came to: sources by type, a line per band, flags, times.

    Parameters
    ----------
    model : FieldModel

    Returns
    -------
    list of str
    """
    lines = [field_counts(model), *field_table(model), *field_flags(model)]
    if model.meta.timings:
        times = ", ".join(f"{key} {duration(s)}" for key, s in model.meta.timings.items())
        lines.append(f"times: {times}")
    return lines
