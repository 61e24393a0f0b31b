"""``galstep convert-config``: turn a configuration of sphot into a parameter file."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Turn sphot_config.toml into a parameter file for strun and galstep batch. Keys
that are unknown, refused, not there or of another meaning are named. The exit
code is 1 if keys are unknown or their values refused; the others are written.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser(
        "convert-config", help="read a configuration of sphot", description=DESCRIPTION
    )
    parser.add_argument("source", metavar="TOML", help="the configuration, sphot_config.toml")
    parser.add_argument("target", metavar="FILE", help="the parameter file, such as config.asdf")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.configuration import convert_config

    conversion = convert_config(options.source, options.target, options.overwrite)
    for line in conversion.lines():
        print(line, file=sys.stderr)
    print(
        f"{len(conversion.values)} parameters written to {options.target}", file=sys.stderr
    )  # fmt: skip
    return 1 if conversion.unknown or conversion.refused else 0
