"""The spec of a step from a record of options: default, limits and help stand in one place."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

__all__ = ["options_from", "options_spec"]


def options_spec(record: type, without: tuple[str, ...] = ()) -> str:
    """Lines of a spec for the fields of a frozen dataclass.

    Parameters
    ----------
    record : type
        Its fields have ``help``, ``min``, ``max`` and ``choices`` in their metadata.
    without : tuple of str, optional
        Fields that are left out.

    Returns
    -------
    str
    """
    return "".join(
        f"\n    {field.name} = {_check(field)}  # {field.metadata['help']}"
        for field in fields(record)
        if field.name not in without and "help" in field.metadata
    )


def _check(field):
    default, meta = field.default, field.metadata
    if meta.get("choices"):
        choices = ", ".join(repr(choice) for choice in meta["choices"])
        return f"option({choices}, default={default!r})"
    if isinstance(default, bool):
        return f"boolean(default={default})"
    if isinstance(default, tuple):
        # limits of the numbers are checked by the record
        count = len(default)
        return f"float_list(min={count}, max={count}, default=list{default})"
    kind = {int: "integer", float: "float", str: "string"}.get(type(default), "float")
    if default is None or (isinstance(default, float) and math.isinf(default)):
        default = None
    limits = [
        f"{name}={meta[name]}" for name in ("min", "max") if meta.get(name) is not None
    ]  # fmt: skip
    return f"{kind}({', '.join([*limits, f'default={default}'])})"


def options_from(record: type, step: Any, without: tuple[str, ...] = (), **values: Any) -> Any:
    """The record with the values of a step's parameters.

    Parameters
    ----------
    record : type
    step : object
        With an attribute for each field; None leaves the field at its default.
    without : tuple of str, optional
        Fields that the step does not have.
    **values
        Fields that are given here.

    Returns
    -------
    record
    """
    for field in fields(record):
        if field.name in values or field.name in without or "help" not in field.metadata:
            continue
        value = getattr(step, field.name)
        if value is not None:
            # stpipe hands on its own kinds of strings and numbers
            value = str(value) if isinstance(value, str) else value
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return record(**values)
