"""A parameter file as a galaxy of a list: it names the data and sets parameters, no more.

What ``strun`` would run for it (its ``class``, step classes of other modules, hooks)
is not run: whoever measures a folder of files has not read each of them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from galstep.batch.parameters import RUN_AS_CODE, SAID_OTHERWISE, with_absolute_paths
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline
from galstep.steps.framework.parameter_files import load_parameters, plain

if TYPE_CHECKING:
    from galstep.batch.entry import Entry

__all__ = ["entry_of_parameter_file"]


def entry_of_parameter_file(entry: Entry) -> Entry:
    """The galaxy that a parameter file describes.

    Parameters
    ----------
    entry : Entry
        Its input is the file.

    Returns
    -------
    Entry
        Its input is the file's ``input_file``, its ``of_file`` what else the file says.

    Raises
    ------
    GalstepError
        If the file cannot be used, names no data, or something to be run.
    """
    path = entry.paths[0]
    parameters = plain(load_parameters(path))
    _check_class(parameters.pop("class", ""), "GalPipeline", GalPipeline, path)
    parameters.pop("name", None)
    _check_parameters(parameters, "", path)
    for key, section in (parameters.get("steps") or {}).items():
        if key in GalPipeline.step_defs:
            _check_class(section.pop("class", ""), key, GalPipeline.step_defs[key], path)
        _check_parameters(section, f"steps/{key}/", path)
        for name in ("name", *SAID_OTHERWISE):
            section.pop(name, None)
    parameters = with_absolute_paths(parameters, os.path.dirname(path))
    data = parameters.pop("input_file", None)
    if not data:
        raise InputError(f"input {path}: a parameter file, which names no data (input_file)")
    for name in SAID_OTHERWISE:
        parameters.pop(name, None)
    return replace(entry, input=data, of_file=parameters)


def _check_class(name, key, expected, path):
    own = {f"{expected.__module__}.{expected.__qualname__}", expected.class_alias}
    # the name by which it is exported
    own.add(f"{expected.__module__.rpartition('.')[0]}.{expected.__qualname__}")
    if name and name not in own:
        raise InputError(
            f"input {path}: an input of a batch is data: class {str(name)!r} of {key} is not run; "
            "classes stand in the file of --config"
        )


def _check_parameters(section, where, path):
    for name in RUN_AS_CODE:
        if section.pop(name, None):
            raise InputError(
                f"input {path}: an input of a batch is data: {where}{name} is not run; "
                "it may stand in the file of --config"
            )
