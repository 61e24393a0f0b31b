"""``galstep batch``: measure many galaxies."""

from __future__ import annotations

import argparse
import sys
from typing import Any

__all__ = ["add_parser"]

DESCRIPTION = """\
Measure every galaxy of a list. Each has its own folder for products and log in
the output folder; summary.ecsv there has a row for each, written as they are
done, and report.html shows them in a browser. The exit code is 1 if any failed.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``galstep``."""
    parser = commands.add_parser(
        "batch", help="measure many galaxies", description=DESCRIPTION
    )  # fmt: skip
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="LIST",
        help="table (.ecsv, .csv) with the column input and optionally name, psf_file and "
        "parameters (basefit.th_min); a table of positions, with --image; or a pattern in "
        "quotes, data files, folders of FITS files",
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="FILE",
        help="image that the galaxies of a table of positions (RA, Dec) are in; once for each "
        "filter unless one file or folder has all",
    )
    parser.add_argument(
        "--psf", metavar="FILE", help="PSFs of all galaxies: short for --set psf_file=FILE"
    )
    parser.add_argument("--config", metavar="FILE", help="parameter file for all galaxies")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter for all galaxies, such as basefit.th_min=4; wins over the file, and "
        "the list over both; may be given several times",
    )
    parser.add_argument(
        "--output-dir",
        default="galstep_batch",
        metavar="DIR",
        help="made if absent (default: ./galstep_batch)",
    )
    _add_running(parser)
    parser.set_defaults(run=_run)


def _add_running(parser):
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="number of worker processes; 0 measures in this process, for debugging (default: 1)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="Dask scheduler that has the workers, such as tcp://host:8786",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="a galaxy that takes longer is given up, its process killed",
    )
    parser.add_argument(
        "--table-format",
        choices=("ecsv", "fits", "both"),
        help="format of the galaxies' tables (default: ecsv); with fits or both there is also "
        "summary.fits at the end",
    )
    parser.add_argument(
        "--no-report",
        action="store_true",
        help="do not write report.html, the page of all galaxies (galstep report writes it later)",
    )
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume",
        action="store_true",
        help="measure only what is missing, has failed, or was made with other data, other "
        "parameters or another version",
    )
    earlier.add_argument(
        "--overwrite", action="store_true", help="measure all again although there is a summary"
    )


def _count(text):
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _run(options):
    from galstep.batch import BatchOptions, run_batch
    from galstep.batch.job import OK

    rows = run_batch(
        options.sources,
        options.output_dir,
        BatchOptions(
            config_file=options.config,
            parameters=_parameters(options.set, options.psf),
            images=options.image,
            workers=options.workers,
            scheduler=options.scheduler,
            time_limit=options.time_limit,
            resume=options.resume,
            overwrite=options.overwrite,
            table_format=options.table_format,
            report=not options.no_report,
        ),
        tell=_say,
    )
    good = sum(row["status"] == OK for row in rows.values())
    _say(f"{good} of {len(rows)} galaxies measured; {options.output_dir}/summary.ecsv")
    return 0 if good == len(rows) else 1


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _parameters(settings, psf_file=None):
    """``NAME=VALUE`` of the command line, and the PSF file, as nested parameters."""
    from galstep.batch.nested import nested
    from galstep.batch.parameters import parameter_path, read_value
    from galstep.exceptions import ParameterError

    values = {} if psf_file is None else {("steps", "loadcrop", "psf_file"): psf_file}
    for setting in settings:
        name, equals, text = setting.partition("=")
        path = parameter_path(name.strip())
        if not equals or path is None:
            raise ParameterError(f"--set needs step.parameter=value, got {setting!r}")
        values[path] = read_value(name, text)
    return nested(values)
