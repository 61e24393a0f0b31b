"""What the log of a run says in place of stpipe's lines on every step and every parameter.

stpipe logs all parameters of all steps, about 390 lines, and four lines for each step. In a
run of galstep these are for the level DEBUG; instead stand version, input and the parameters
that differ from their defaults. Nothing is changed for other users of stpipe: what demotes
its lines is there only while a step of galstep runs, and only for the thread that runs it.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from configobj import ConfigObj
from stpipe import config_parser

from galstep import __version__
from galstep.steps.framework.parameter_files import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stpipe import Step

__all__ = [
    "announce",
    "differing_parameters",
    "framework_lines_demoted",
    "say_always",
]

log = logging.getLogger("stpipe.galstep.run")

# how the lines of stpipe.step begin that are for DEBUG; "Saved model in" and all else stays
_DEMOTED = (
    "%s instance created",
    "Step %s running with args",
    "Step %s parameters are",
    "Step %s done",
    "Step skipped",
    "Step run as standalone",
)
# told otherwise: the input, where results go and under which name
_HIDDEN = ("input_file", "save_results", "output_file", "name", "class", "config_file")


class _Demoting(logging.Filter):
    """Makes lines of the host framework DEBUG, in the thread that made this filter."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        mine = record.thread == self._thread and record.levelno == logging.INFO
        if not mine or not str(record.msg).startswith(_DEMOTED):
            return True
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


@contextmanager
def framework_lines_demoted() -> Iterator[None]:
    """What stpipe says of steps and parameters is DEBUG for the time being."""
    logger, demoting = logging.getLogger("stpipe.step"), _Demoting()
    logger.addFilter(demoting)
    try:
        yield
    finally:
        logger.removeFilter(demoting)


def announce(step: Step, args: Sequence) -> None:
    """Say version, input, and which parameters differ from their defaults.

    Parameters
    ----------
    step : Step
        That is about to run.
    args : sequence
        Its input.
    """
    log.info("galstep %s, %s: %s", __version__, step.name, _inputs(args))
    different = differing_parameters(type(step), step.get_pars())
    for key, values in _by_step(different).items():
        said = ", ".join(f"{name} = {_short(value)}" for name, value in values.items())
        log.info("not the default: %s%s", f"{key}: " if key else "", said)


def differing_parameters(step_class: type[Step], values: Mapping) -> dict[str, Any]:
    """Parameters that do not have the value of the spec.

    Parameters
    ----------
    step_class : type
        A Step or Pipeline.
    values : mapping
        As of ``get_pars``.

    Returns
    -------
    dict of str to object
        ``steps.basefit.th_min`` and its value, in the order of the spec.
    """
    spec = step_class.load_spec_file()
    defaults = ConfigObj()
    config_parser.validate(defaults, spec)
    return dict(_differences(plain(defaults), plain(values)))


def _differences(defaults, values, where=()):
    for name, value in values.items():
        default = defaults.get(name)
        if (not where and name in _HIDDEN) or name in ("name", "class", "config_file"):
            continue
        if isinstance(value, dict) and isinstance(default, dict) and default:
            yield from _differences(default, value, (*where, name))
        elif value != default and not (_is_empty(value) and _is_empty(default)):
            yield ".".join((*where, name)), value


def _is_empty(value):
    return value is None or value in ("", [], {})


def _by_step(different):
    """Parameters of each step together; under ``""`` those of the step that runs."""
    grouped = {}
    for name, value in different.items():
        key, _, own = name.removeprefix("steps.").partition(".")
        place = (key, own) if name.startswith("steps.") else ("", name)
        grouped.setdefault(place[0], {})[place[1]] = value
    return grouped


def say_always(logger: logging.Logger, line: str) -> None:
    """Log a line of the result, at every level of a log that somebody reads.

    That is one with a handler of stpipe's own for a stream or a file (``strun``, ``call``, a
    batch); to others, as to any logger, it is INFO.

    Parameters
    ----------
    logger : `logging.Logger`
        Below ``stpipe``.
    line : str
    """
    level = logging.INFO
    if any(isinstance(h, logging.StreamHandler) for h in logging.getLogger("stpipe").handlers):
        level = max(level, logger.getEffectiveLevel())
    if not logger.isEnabledFor(level):
        return
    record = logger.makeRecord(logger.name, level, "", 0, "%s", (line,), None)
    if level > logging.INFO:
        # not a warning, whatever the level that lets it through
        record.levelname = "RESULT"
    logger.handle(record)


def _inputs(args):
    told = []
    for argument in args:
        if isinstance(argument, str | os.PathLike):
            told.append(os.fspath(argument))
        elif isinstance(argument, list) and len(argument) > 3:
            told.append(f"{_inputs(argument[:2])} and {len(argument) - 2} more")
        elif isinstance(argument, list):
            told.append(_inputs(argument))
        else:
            told.append(type(argument).__name__)
    return ", ".join(told) or "no input"


def _short(value):
    text = f"{value}"
    return text if len(text) <= 200 else f"{text[:200]} ..."
