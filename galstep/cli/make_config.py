"""``galstep make-config``: write a commented parameter file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Write a parameter file for strun and galstep batch with every parameter, its
default value, and what it means.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser(
        "make-config", help="write a commented parameter file", description=DESCRIPTION
    )
    parser.add_argument(
        "target", nargs="?", metavar="FILE", help="an .asdf file (default: standard output)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.configuration.writer import parameter_text, write_parameter_file

    if options.target is None:
        sys.stdout.write(parameter_text())
    else:
        write_parameter_file(Path(options.target), overwrite=options.overwrite)
    return 0
