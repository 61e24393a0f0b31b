"""``galstep params``: what can be set, with its default, its unit and what it means."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
List parameters of the pipeline or of one step: the most used, or all of them.
They are given as --steps.basefit.th_min=4 to strun, as --set basefit.th_min=4 to
galstep batch, or in a parameter file (galstep make-config writes one).
"""

_GAP = 2
_NAME, _DEFAULT, _UNIT = 34, 18, 16  # widest columns (characters); longer cells push their row
_NARROW = 72  # a terminal below that is written as if it had so many


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser("params", help="list parameters", description=DESCRIPTION)
    parser.add_argument(
        "step", nargs="?", metavar="STEP", help="such as basefit; default: the pipeline with all"
    )
    parser.add_argument("--all", action="store_true", help="not only the most used")
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.configuration.parameters import parameters_of

    rows = parameters_of(options.step, only_most_used=not options.all)
    width = max(shutil.get_terminal_size((120, 0)).columns, _NARROW)
    for line in _lines(rows, options.step is None, width):
        sys.stdout.write(line + "\n")
    if not options.all:
        own = "" if options.step is None else f" {options.step}"
        print(f"\nthe most used; all of them: galstep params{own} --all")
    return 0


def _lines(rows, with_step, width):
    cells = [("parameter", "default", "unit", "meaning")]
    for row in rows:
        name = row.name if with_step else ".".join(row.path)
        cells.append((name, _default(row.default), row.unit, row.text))
    limits = (_NAME if not with_step else _NAME + 10, _DEFAULT, _UNIT)
    columns = [
        min(max(len(cell[i]) for cell in cells), limit) + _GAP for i, limit in enumerate(limits)
    ]
    indent = sum(columns)
    for *short, text in cells:
        head = ""
        for end, cell in zip((sum(columns[: i + 1]) for i in range(3)), short, strict=True):
            head = f"{head}{cell}".ljust(end) if len(head + cell) < end else f"{head}{cell}  "
        wrapped = textwrap.wrap(text, max(width - indent, 30)) or [""]
        if len(head) > indent:
            yield head.rstrip()
            head = " " * indent
        yield (head + wrapped[0]).rstrip()
        yield from (" " * indent + line for line in wrapped[1:])


def _default(value):
    if value is None or value == "" or value == {}:
        return "-"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)
