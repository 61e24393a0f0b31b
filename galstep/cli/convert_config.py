"""``galstep convert-config``: turn a configuration of sphot or tract7dt into a parameter file."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Turn sphot_config.toml into a parameter file for strun and galstep batch, or a
configuration of tract7dt (.yaml) into one for strun gal_field. Keys that are
unknown, refused, not there or of another meaning are named. The exit code is 1
if keys of sphot are unknown or their values refused; the others are written. An
unknown key of tract7dt is an error.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser(
        "convert-config", help="read a configuration of sphot or tract7dt", description=DESCRIPTION
    )
    parser.add_argument(
        "source", metavar="FILE", help="the configuration: sphot_config.toml, or .yaml of tract7dt"
    )
    parser.add_argument("target", metavar="ASDF", help="the parameter file, such as config.asdf")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.configuration import convert_config, convert_tract7dt

    is_yaml = options.source.lower().endswith((".yaml", ".yml"))
    convert = convert_tract7dt if is_yaml else convert_config
    conversion = convert(options.source, options.target, options.overwrite)
    for line in conversion.lines():
        print(line, file=sys.stderr)
    print(
        f"{len(conversion.values)} parameters written to {options.target}", file=sys.stderr
    )  # fmt: skip
    return 1 if conversion.unknown or conversion.refused else 0
