"""Where two trees of mappings, lists, arrays and numbers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["differences"]


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Say where two trees differ, to the last bit; NaN equals NaN.

    Parameters
    ----------
    first, second : object
        Nested mappings and sequences of arrays, numbers and text.
    where : str, optional
        The place in the tree, for the text.

    Yields
    ------
    str
        A line for every difference.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in {**first, **second}:
            place = f"{where}/{key}"
            if key not in first or key not in second:
                yield f"{place}: only in the {'first' if key in first else 'second'}"
            else:
                yield from differences(first[key], second[key], place)
    elif _is_list(first) and _is_list(second):
        if len(first) != len(second):
            yield f"{where}: {len(first)} and {len(second)} entries"
        for i, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from differences(one, other, f"{where}/{i}")
    elif isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        yield from _array_differences(np.asarray(first), np.asarray(second), where)
    elif not (first == second or (_is_nan(first) and _is_nan(second))):
        yield f"{where}: {first!r} and {second!r}"


def _is_list(value):
    return isinstance(value, list | tuple)


def _is_nan(value):
    return isinstance(value, float | np.floating) and np.isnan(value)


def _array_differences(first, second, where):
    if first.shape != second.shape:
        yield f"{where}: shapes {first.shape} and {second.shape}"
        return
    differs = first != second
    if first.dtype.kind in "fc" and second.dtype.kind in "fc":
        differs &= ~(np.isnan(first) & np.isnan(second))
    if differs.any():
        yield f"{where}: {np.count_nonzero(differs)} of {first.size} elements"
