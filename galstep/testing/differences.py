"""Where two trees of mappings, lists, arrays and numbers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["differences", "relative_differences"]


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


def relative_differences(
    first: Any, second: Any, where: str = ""
) -> Iterator[tuple[str, float, str]]:
    """Say by how much the values of two trees differ, place by place.

    Parameters
    ----------
    first, second : object
        Nested mappings and sequences of arrays, numbers and text.
    where : str, optional
        The place in the tree.

    Yields
    ------
    (place, size, text)
        For every value that both have, also the equal ones. The size is
        |a - b| over the larger of the two; in an image (an array of two or more
        dimensions) over its largest absolute value, so that a pixel that is
        zero by chance has no say. Infinite where the two cannot be
        compared (a key or entry that one of them lacks, other text, another
        shape, NaN beside a number); the text then says why.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in {**first, **second}:
            place = f"{where}/{key}"
            if key not in first or key not in second:
                yield place, np.inf, f"only in the {'first' if key in first else 'second'}"
            else:
                yield from relative_differences(first[key], second[key], place)
    elif _is_list(first) and _is_list(second):
        if len(first) != len(second):
            yield where, np.inf, f"{len(first)} and {len(second)} entries"
        for i, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from relative_differences(one, other, f"{where}/{i}")
    elif _is_number(first) and _is_number(second):
        yield (where, *_relative(np.asarray(first), np.asarray(second)))
    else:
        equal = type(first) is type(second) and first == second
        yield where, 0.0 if equal else np.inf, "" if equal else f"{first!r} and {second!r}"


def _is_number(value):
    return isinstance(value, np.ndarray | np.generic | int | float | complex)


def _relative(first, second):
    """Largest relative difference of two arrays, and why there is none."""
    if first.shape != second.shape:
        return np.inf, f"shapes {first.shape} and {second.shape}"
    if first.dtype.kind not in "biufc" or second.dtype.kind not in "biufc":
        unequal = np.count_nonzero(first != second)
        return (np.inf, f"{unequal} of {first.size} elements") if unequal else (0.0, "")
    first, second = first.astype(complex), second.astype(complex)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    if same.all():
        return 0.0, ""
    finite = np.isfinite(first) & np.isfinite(second)
    if not (finite | same).all():
        return np.inf, f"{np.count_nonzero(~(finite | same))} of {first.size} not finite in one"
    size = np.maximum(np.abs(first[finite]), np.abs(second[finite]))
    scale = size.max() if first.ndim > 1 else size
    share = np.abs(first[finite] - second[finite]) / np.where(size > 0, scale, 1.0)
    return float(share.max()), f"{np.count_nonzero(~same)} of {first.size} elements"


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
