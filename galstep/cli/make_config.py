"""``galstep make-config``: write a commented parameter file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Write a parameter file for strun and galstep batch with every parameter, its
default value, and what it means; with --field one for strun gal_field.
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
    parser.add_argument(
        "--field", action="store_true", help="parameters of FieldPipeline, not of GalPipeline"
    )
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.configuration.parameters import PIPELINES
    from galstep.configuration.writer import parameter_text, write_parameter_file

    pipeline = PIPELINES["field" if options.field else "galaxy"]
    if options.target is None:
        sys.stdout.write(parameter_text(pipeline=pipeline))
    else:
        path = Path(options.target)
        write_parameter_file(path, overwrite=options.overwrite, pipeline=pipeline)
    return 0
