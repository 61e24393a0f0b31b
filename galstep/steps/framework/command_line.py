"""What ``strun`` makes of a value on the command line: from ``#`` on it is a comment.

stpipe cuts it off before any class of ours is asked, so that ``--output_dir=run#2``
would write to the neighbour ``run``.
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_not_cut"]


def check_not_cut(config: Mapping, arguments: Sequence[str] | None = None) -> None:
    """Raise `ParameterError` for a value of the command line that lost its end.

    Parameters
    ----------
    config : mapping
        The parameters, those of the command line in stpipe's private kind of str.
    arguments : sequence of str, optional
        By default those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for option, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, text = option.removeprefix("--").partition("=")
        text = text if equals else following
        if not option.startswith("--") or "#" not in text:
            continue
        value = _at(config, name.split("."))
        is_given = isinstance(value, str) and type(value) is not str
        if is_given and value == text.partition("#")[0].strip():
            raise ParameterError(
                f"--{name}: from '#' on a value on the command line is a comment, so {value!r} is "
                f"left of {text!r}: quote it twice, --{name}='\"{text}\"'"
            )


def _at(config, path):
    for part in path:
        config = config.get(part) if hasattr(config, "get") else None
    return config
