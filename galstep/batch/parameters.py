"""What a galaxy is measured with: parameters from a list, checked and hashed."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING

from configobj import ConfigObj, ConfigObjError
from stpipe import config_parser

from galstep.datamodels.input.hashing import text_hash
from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import LoadCrop
from galstep.steps.framework.parameter_files import absolute_paths, load_parameters, plain
from galstep.steps.framework.validation import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from galstep.hints import PathLike

__all__ = [
    "RUN_AS_CODE",
    "SAID_OTHERWISE",
    "make_pipeline",
    "parameter_path",
    "parameters_hash",
    "parameters_in",
    "read_value",
    "with_absolute_paths",
]

#: What makes a step of another class, or runs something beside it.
RUN_AS_CODE = ("class", "config_file", "pre_hooks", "post_hooks")
#: What the batch itself says: where the data are and where the result goes.
SAID_OTHERWISE = (
    "input_file", "input_dir", "output_file", "output_dir", "output_use_model",
    "output_use_index", "search_output_file", "save_results", "overwrite",
)  # fmt: skip
# where the result goes is no part of what is measured
_NOT_MEASURED_WITH = SAID_OTHERWISE


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
        If the name has a dot and what stands before it is no step, or it is none that
        measures: what a step is (``class``), what is run beside it, where results go.
    """
    parts = tuple(name.removeprefix("steps.").split("."))
    _check_measures(name, parts)
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


def _check_measures(name, parts):
    """Refuse what is no parameter of a measurement."""
    # a column called class alone is a morphology
    refused = (*RUN_AS_CODE[1:], *SAID_OTHERWISE) if len(parts) == 1 else None
    last = parts[0] if len(parts) == 1 else parts[1]
    if last in (refused or (*RUN_AS_CODE, "name", *SAID_OTHERWISE)):
        where = "the file of --config" if last in RUN_AS_CODE else "options of the batch"
        raise ParameterError(
            f"{name}: a list and --set give parameters of the measurement only, for {last!r} "
            f"see {where}"
        )


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
        `galstep.datamodels.input.hashing.FileHashes`.

    Returns
    -------
    str

    Raises
    ------
    GalstepError
        If the pipeline refuses the parameters.
    """
    pipeline = make_pipeline(config_file, parameters)
    values = _content(pipeline.get_pars(), pipeline.load_spec_file(), file_hash)
    steps = {key: _source(getattr(pipeline, key), file_hash) for key in pipeline.step_defs}
    return text_hash([values, steps])


def parameters_in(config_file: PathLike | None) -> dict:
    """What a parameter file says, nested; nothing for None."""
    return {} if config_file is None else plain(load_parameters(config_file))


def make_pipeline(config_file: PathLike | None, parameters: dict) -> GalPipeline:
    """The pipeline that a galaxy is measured with.

    Parameters
    ----------
    config_file : path-like or None
        A parameter file.
    parameters : dict
        Nested parameters that win over it.

    Returns
    -------
    `galstep.pipeline.GalPipeline`

    Raises
    ------
    GalstepError
        If the pipeline refuses the parameters.
    """
    given = {"config_file": os.fspath(config_file)} if config_file else {}
    config, path = GalPipeline.build_config(None, **given, **parameters)
    config.pop("class", None)
    return GalPipeline.from_config_section(config, config_file=path)


def _content(values, spec, file_hash):
    """Parameters with the hash of a file in place of its path."""
    result = {}
    for key, value in values.items():
        check = spec.get(key, spec.get("__many__", ""))
        if key in _NOT_MEASURED_WITH:
            continue
        if isinstance(value, dict):
            value = _content(value, check if isinstance(check, dict) else {}, file_hash)
        elif isinstance(value, list | tuple):
            value = [_with_content(item, "", file_hash) for item in value]
        else:
            value = _with_content(value, check if isinstance(check, str) else "", file_hash)
        result[key] = value
    return result


def _with_content(value, check, file_hash):
    """A value, for one that names a file the hash of that and of the files named in it."""
    if not value or not isinstance(value, str):
        return value
    if check.startswith("input_file("):
        return file_hash.of_named(value)
    # catalogues are given as text: some names stand for no file
    return [value, file_hash.of_named(value)] if _is_there(value) else value


def _is_there(value):
    try:
        return os.path.isfile(value) or (os.path.isabs(value) and os.path.isdir(value))
    except ValueError:  # a null byte
        return False


def _source(step, file_hash):
    """The classes of a step; for those that are not galstep's with the hash of their modules."""
    names = []
    for base in type(step).__mro__:
        name = f"{base.__module__}.{base.__qualname__}"
        if base.__module__.partition(".")[0] in ("galstep", "stpipe", "builtins", "abc"):
            names.append(name)
            if name.startswith("galstep."):
                break
        else:
            names.append([name, file_hash(inspect.getfile(base))])
    return names
