"""What a galaxy is measured with: parameters from a list, checked and hashed."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING

from configobj import ConfigObj, ConfigObjError
from stpipe import config_parser

from galstep.batch.hashing import text_hash
from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import LoadCrop
from galstep.steps.parameter_files import absolute_paths, plain
from galstep.steps.validation import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.hints import PathLike

__all__ = [
    "merged",
    "nested",
    "parameter_path",
    "parameters_hash",
    "read_value",
    "with_absolute_paths",
]

# where the result goes is no part of what is measured
_NOT_MEASURED_WITH = ("output_dir", "output_file", "input_dir", "input_file", "save_results")


def parameter_path(name: str) -> tuple[str, ...] | None:
    """Where the parameter of this name stands among those of the pipeline.

    Parameters
    ----------
    name : str
        ``step.parameter`` (``basefit.th_min``, ``psfcalibrate.blur_psf.F150W``),
        with or without ``steps.`` before it; or without any dot one of the
        pipeline's own, or of LoadCrop's (``psf_file``).

    Returns
    -------
    tuple of str or None
        None if the name has no dot and is neither.

    Raises
    ------
    ParameterError
        If the name has a dot and what stands before it is no step.
    """
    parts = tuple(name.removeprefix("steps.").split("."))
    if len(parts) > 1:
        if parts[0] not in GalPipeline.step_defs:
            raise ParameterError(
                f"{name}: {parts[0]!r} is not a step{suggestion(parts[0], GalPipeline.step_defs)}"
            )
        return ("steps", *parts)
    if name in GalPipeline.load_spec_file().scalars:
        return parts
    if name in LoadCrop.load_spec_file():
        return ("steps", "loadcrop", name)
    return None


def read_value(name: str, text: str) -> str | list[str]:
    """A value as it is written on the command line: text, or a list with commas.

    Parameters
    ----------
    name : str
        The parameter, for the message.
    text : str

    Returns
    -------
    str or list of str
    """
    try:
        return ConfigObj([f"value = {text}"], interpolation=False)["value"]
    except ConfigObjError as error:
        raise ParameterError(f"{name}: the value {text!r} cannot be read") from error


def nested(values: dict) -> dict:
    """``{("steps", "basefit", "th_min"): 4}`` as ``{"steps": {"basefit": {"th_min": 4}}}``."""
    result = {}
    for path, value in values.items():
        section = result
        for part in path[:-1]:
            section = section.setdefault(part, {})
        section[path[-1]] = value
    return result


def merged(first: dict, second: dict) -> dict:
    """Nested parameters, those of ``second`` winning."""
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def with_absolute_paths(parameters: dict, folder: PathLike) -> dict:
    """Nested parameters with the relative paths among them taken from ``folder``."""
    config = config_parser.ConfigObj()
    config_parser.merge_config(config, parameters)
    absolute_paths(config, GalPipeline.load_spec_file(), folder)
    return plain(config)


def parameters_hash(config_file: PathLike | None, parameters: dict, file_hash: Callable) -> str:
    """The hash of all that a galaxy is measured with, the data aside.

    Every parameter counts with the value it will have, defaults included;
    files count by their content, and so does the source of classes that are
    not galstep's.

    Parameters
    ----------
    config_file : path-like or None
        A parameter file.
    parameters : dict
        Nested parameters that win over it.
    file_hash : callable
        `galstep.batch.hashing.FileHashes`.

    Returns
    -------
    str

    Raises
    ------
    GalstepError
        If the pipeline refuses the parameters.
    """
    given = {"config_file": os.fspath(config_file)} if config_file else {}
    config, path = GalPipeline.build_config(None, **given, **parameters)
    config.pop("class", None)
    pipeline = GalPipeline.from_config_section(config, config_file=path)
    values = _content(pipeline.get_pars(), pipeline.load_spec_file(), file_hash)
    steps = {key: _source(getattr(pipeline, key), file_hash) for key in pipeline.step_defs}
    return text_hash([values, steps])


def _content(values, spec, file_hash):
    """Parameters with the hash of a file in place of its path."""
    result = {}
    for key, value in values.items():
        check = spec.get(key, spec.get("__many__", ""))
        if key in _NOT_MEASURED_WITH:
            continue
        if isinstance(value, dict):
            value = _content(value, check if isinstance(check, dict) else {}, file_hash)
        elif value and isinstance(check, str) and check.startswith("input_file("):
            value = file_hash(value)
        result[key] = value
    return result


def _source(step, file_hash):
    """The class of a step; for one that is not galstep's with the hash of its module."""
    name = f"{type(step).__module__}.{type(step).__qualname__}"
    return name if name.startswith("galstep.") else [name, file_hash(inspect.getfile(type(step)))]
