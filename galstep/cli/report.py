"""``galstep report``: a page to look at many galaxies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Write one HTML page of a folder of products: a row for each galaxy with pictures,
magnitudes and flags, to be sorted and filtered in a browser, without a server or
a network. With the summary of a batch in the folder, failed galaxies have rows
with their reason.
"""
_PICTURES = {"auto": None, "embed": True, "folder": False}


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser(
        "report", help="write a page of many galaxies", description=DESCRIPTION
    )
    parser.add_argument("folder", metavar="DIR", help="folder with products, at any depth")
    parser.add_argument(
        "--output", metavar="FILE", help="the page (default: report.html in that folder)"
    )
    parser.add_argument(
        "--pictures",
        choices=list(_PICTURES),
        default="auto",
        help="where the small pictures are: in the page (embed), which is then one file to send, "
        "or in a folder beside it; auto embeds those of up to 100 galaxies (default: auto)",
    )
    parser.set_defaults(run=_run)


def _run(options):
    from galstep.batch.run import SUMMARY_NAME
    from galstep.batch.summary import read_rows
    from galstep.report import write_report

    summary = Path(options.folder) / SUMMARY_NAME
    rows = read_rows(summary) if summary.is_file() else None
    path = write_report(
        options.folder, options.output, rows, _PICTURES[options.pictures],
        lambda line: print(line, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(f"{path}", file=sys.stderr)
    return 0
