"""Entry point of the command ``galstep``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from galstep import __version__
from galstep.cli import batch, convert_config, make_config, params, report

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# what shells give a command that an interrupt has ended
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0 all went well, 1 something failed, 2 wrong usage or files
        that cannot be used, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    # not above: --help needs none of the libraries
    from galstep.exceptions import GalstepError

    try:
        return options.run(options)
    except GalstepError as error:
        print(f"galstep: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("galstep: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser():
    parser = argparse.ArgumentParser(
        prog="galstep",
        description="Galaxies measured through crowded star fields. One galaxy is measured "
        "with strun gal_pipeline.",
    )
    parser.add_argument("--version", action="version", version=f"galstep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (batch, report, params, make_config, convert_config):
        command.add_parser(commands)
    return parser
