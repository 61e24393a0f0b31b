"""What is wrong with the parameters, said so that it can be put right.

stpipe validates a configuration against the ``spec`` of a step. It names only
the first unknown parameter, without a hint at the right name, and breaks on a
mapping where a single value is needed. Both are looked for here beforehand.
"""

from __future__ import annotations

import difflib
import logging
import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from configobj import ConfigObjError
from stpipe.exceptions import ValidationError

from galstep.exceptions import GalstepError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["check_structure", "explained", "reported", "suggestion"]

log = logging.getLogger("stpipe.galstep.parameters")

# the help of a parameter says what infinity means, or it means nothing
_TAKES_INFINITY = re.compile(r"\binf\b")


def check_structure(config: Mapping, spec: Mapping) -> None:
    """Raise `ParameterError` for every name and section that ``spec`` lacks.

    Parameters
    ----------
    config : mapping
        The parameters, sections as nested mappings.
    spec : mapping
        The specification: checks as strings, sections as nested mappings; a
        section ``__many__`` stands for any name.
    """
    problems = list(_problems(config, spec, spec, ()))
    if problems:
        raise ParameterError("; ".join(problems))


def _problems(config, spec, whole_spec, where):
    for key, value in config.items():
        path = "/".join((*where, str(key)))
        check = spec.get(key, spec.get("__many__"))
        if check is None:
            kind = "step" if where == ("steps",) else "parameter"
            yield f"unknown {kind} {path}{_hint(key, spec, whole_spec)}"
        elif isinstance(check, dict) and not isinstance(value, dict):
            yield f"parameter {path}: a mapping is needed, got {value!r}"
        elif isinstance(value, dict) and not isinstance(check, dict):
            yield f"parameter {path}: a single value is needed, got the mapping {dict(value)!r}"
        elif isinstance(check, dict):
            yield from _problems(value, check, whole_spec, (*where, str(key)))
        elif check.lstrip().startswith("float"):
            yield from _not_numbers(path, value, _help(key, spec))


def _not_numbers(path, value, text):
    """NaN, and infinity where the help has no word for it.

    No bound of a specification stops a NaN, since every comparison is false, and a
    parameter without a largest value takes infinity.
    """
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    numbers = [number for number in map(_number, parts) if number is not None]
    if any(math.isnan(number) for number in numbers):
        yield f"parameter {path}: a number is needed, got {value!r}"
    elif any(math.isinf(number) for number in numbers) and not _TAKES_INFINITY.search(text):
        yield f"parameter {path}: a finite number is needed, got {value!r}"


def _number(part):
    try:
        return float(part)
    except (TypeError, ValueError, OverflowError):
        return None  # what it is instead is for the specification to say


def _help(key, spec):
    """The comment on a parameter in its specification."""
    comments = getattr(spec, "inline_comments", {})
    return comments.get(key) or comments.get("__many__") or ""


def _hint(key, spec, whole_spec):
    """The nearest name in the same section, else where else the name belongs."""
    near = suggestion(key, spec)
    if near:
        return near
    elsewhere = [repr(path) for path in _paths_of(key, whole_spec, ())]
    return f" (did you mean {' or '.join(elsewhere)}?)" if elsewhere else ""


def _paths_of(key, spec, where):
    for name, check in spec.items():
        if name == key:
            yield "/".join((*where, name))
        elif isinstance(check, dict):
            yield from _paths_of(key, check, (*where, name))


def suggestion(name: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with the name in ``known`` nearest to ``name``, or ``""``."""
    near = difflib.get_close_matches(str(name), [k for k in known if k != "__many__"], 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


@contextmanager
def explained(spec: Mapping | None = None, config: Mapping | None = None) -> Iterator[None]:
    """Turn stpipe's validation errors into `ParameterError`.

    Parameters
    ----------
    spec, config : mapping, optional
        Checked by `check_structure` first.
    """
    try:
        if config is not None:
            check_structure(config, spec)
        yield
    except ValidationError as error:
        lines = [_with_need(line, spec) for line in str(error).splitlines()]
        raise ParameterError("; ".join(lines)) from error
    except ConfigObjError as error:
        raise ParameterError(f"a parameter cannot be read: {error}") from error


def _with_need(line, spec):
    """stpipe's line with what the specification asks for."""
    named = re.search(r"Config parameter '([^']+)'", line)
    if named is None or spec is None:
        return line
    check = spec
    for part in named.group(1).split("/"):
        if not isinstance(check, dict):
            return line
        check = check.get(part, check.get("__many__"))
    if not isinstance(check, str):
        return line
    # the check as it stands in the spec, without its default
    needed = re.sub(r",?\s*default=[^)]*", "", check.split("#")[0]).strip()
    return f"{line.rstrip('.')} (needed: {needed})"


@contextmanager
def reported() -> Iterator[None]:
    """Log a `GalstepError` that is raised before ``run``.

    There ``strun`` takes the exit code from it and says nothing.
    """
    try:
        yield
    except GalstepError as error:
        if not getattr(error, "is_reported", False):
            log.error("%s", error)
            error.is_reported = True
        raise
