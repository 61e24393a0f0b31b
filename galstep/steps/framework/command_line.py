"""What ``strun`` makes of the command line: options that are misspelt, values that are cut.

Of a value it takes what stands before a ``#``: the rest is a comment.

stpipe cuts it off before any class of ours is asked, so that ``--output_dir=run#2``
would write to the neighbour ``run``.
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

from galstep.datamodels.files.regular_file import alike
from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_not_cut", "check_options"]

# options of strun itself
_OF_STRUN = (
    "help", "debug", "save-parameters", "disable-crds-steppars", "logcfg", "verbose", "log-level",
    "log-file", "log-stream",
)  # fmt: skip


_ANY = "__many__"


def check_options(spec: Mapping, arguments: Sequence[str] | None = None) -> None:
    """Raise `ParameterError` for an option that is misspelt.

    argparse would print all options there are, some 400 lines, and then the wrong one. What has
    nothing alike is left to it.

    Parameters
    ----------
    spec : mapping
        All parameters, sections as nested mappings.
    arguments : sequence of str, optional
        By default those of the process, without the program.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    names = [option[2:].partition("=")[0] for option in arguments if option[:2] == "--"]
    known: list[str] = []
    for name in filter(None, names):
        known = known or [*_OF_STRUN, *_names(spec)]
        # a beginning is enough for argparse; reference files and filters have names of their own
        if any(own.startswith(name) for own in known) or "override_" in name:
            continue
        if any(name.startswith(own.partition(_ANY)[0]) for own in known if _ANY in own):
            continue
        for near in alike(name, known):
            raise ParameterError(
                f"unknown option --{name} (did you mean --{near}?); galstep params --all lists them"
            )


def _names(spec, before=""):
    for key, check in spec.items():
        if isinstance(check, dict):
            yield from _names(check, f"{before}{key}.")
        else:
            yield f"{before}{key}"


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
