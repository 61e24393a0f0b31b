"""Nested parameters as plain dicts: put together, taken apart."""

from __future__ import annotations

__all__ = ["merged", "nested", "without"]


def nested(values: dict) -> dict:
    """``{("steps", "basefit", "th_min"): 4}`` as ``{"steps": {"basefit": {"th_min": 4}}}``."""
    result = {}
    for path, value in values.items():
        section = result
        for part in path[:-1]:
            section = section.setdefault(part, {})
        section[path[-1]] = value
    return result


def merged(first: dict, second: dict) -> dict:
    """Nested parameters, those of ``second`` winning."""
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def without(first: dict, second: dict) -> dict:
    """Nested parameters of ``first`` that ``second`` does not have."""
    result = {}
    for key, value in first.items():
        other = second.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result[key] = without(value, other)
        elif key not in second:
            result[key] = value
    return result
