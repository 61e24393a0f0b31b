"""A configuration of sphot as a parameter file."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configobj import ConfigObj
from stpipe import config_parser

from galstep.configuration.parameters import PIPELINE
from galstep.configuration.sphot_keys import ALWAYS_WRITTEN, KEYS, SECTIONS, found_targets
from galstep.configuration.writer import write_parameter_file
from galstep.datamodels.files.regular_file import check_regular
from galstep.exceptions import InputError, ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps.framework.validation import explained, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from galstep.configuration.parameters import Parameter
    from galstep.hints import PathLike

__all__ = ["Conversion", "convert_config", "problem_with"]


@dataclass
class Conversion:
    """What came of a configuration.

    Parameters
    ----------
    values : dict of str to object
        ``step.parameter`` to value.
    changed : dict of str to str
        Converted keys that mean something else here, and what.
    absent : dict of str to str
        Keys that no step has, and what is there instead.
    refused : dict of str to str
        Keys whose value a step does not take, and why.
    unknown : dict of str to str
        Keys that sphot does not have either, and what may be meant.
    """

    values: dict = field(default_factory=dict)
    changed: dict = field(default_factory=dict)
    absent: dict = field(default_factory=dict)
    refused: dict = field(default_factory=dict)
    unknown: dict = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """What a user should know, one line each."""
        for kind, found in (
            ("unknown", self.unknown),
            ("refused", self.refused),
            ("not there", self.absent),
            ("changed", self.changed),
        ):
            for name, text in found.items():
                yield f"{kind}: {name}{': ' if text else ''}{text}"


def convert_config(source: PathLike, target: PathLike, overwrite: bool = False) -> Conversion:
    """Turn ``sphot_config.toml`` into a parameter file.

    Parameters
    ----------
    source, target : path-like
        The file of sphot, and the ``.asdf`` file to be written.
    overwrite : bool, optional
        Replace an existing ``target``.

    Returns
    -------
    Conversion

    Raises
    ------
    InputError
        If ``source`` is not TOML with sphot's sections, or ``target`` cannot
        be written.
    """
    source, target = Path(source), Path(target)
    conversion = Conversion()
    content = _read(source)
    for key in KEYS:
        if key.full_name in ALWAYS_WRITTEN and key.name not in content.get(key.section, {}):
            conversion.values |= {own.name: key.default for own in found_targets(key)}
    for section, entries in content.items():
        for name, value in entries.items():
            _convert(conversion, section, name, value)
    _move_psf_file(conversion.values, source, target)
    notes = {
        parameter.name: f"sphot {key.full_name}: {conversion.changed[key.full_name]}"
        for key in KEYS
        if key.full_name in conversion.changed
        for parameter in found_targets(key)
    }
    write_parameter_file(target, conversion.values, notes, overwrite)
    return conversion


def _read(source):
    check_regular(source, "configuration")
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    # a number of thousands of digits is a ValueError, as what is no TOML and no text
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid TOML: {error}") from error
    for section, entries in content.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise InputError(
                f"{source}: {section!r} is no section of sphot, which has "
                f"{', '.join(SECTIONS)}{suggestion(section, SECTIONS)}"
            )
    return content


def _convert(conversion, section, name, value):
    known = {key.name: key for key in KEYS if key.section == section}
    key = known.get(name)
    if key is None:
        conversion.unknown[f"[{section}] {name}"] = suggestion(name, known).strip()
        return
    targets = found_targets(key)
    if not targets:
        conversion.absent[key.full_name] = key.note
    for target in targets:
        given, own = _value_for(target, key, value)
        if not given:
            continue
        problem = problem_with(target, own)
        if problem:
            conversion.refused[key.full_name] = problem
            continue
        conversion.values[target.name] = own
        if key.note:
            conversion.changed[key.full_name] = key.note


def _value_for(target, key, value):
    """Whether a key gives a parameter a value, and which."""
    if key.name in target.path[:-1]:
        # what sphot has as one mapping are several parameters here
        name = target.path[-1]
        given = isinstance(value, dict) and name in value
        return given, value[name] if given else None
    if target.kind.startswith("option") and isinstance(value, bool | int):
        # options are text, also where one of them is "true" or "2"
        value = str(value).lower()
    return True, value


def problem_with(target: Parameter, value: Any, pipeline: Any = GalPipeline) -> str:
    """Why a step would not take a value; an empty text if it would.

    Parameters
    ----------
    target : Parameter
    value : object
    pipeline : type, optional
        Whose parameter it is.
    """
    if target.kind == "input_file":
        return "" if isinstance(value, str) else f"a path is needed, got {value!r}"
    whole = pipeline.load_spec_file()
    spec = whole if target.step == PIPELINE else whole["steps"][target.step]
    for part in target.path:
        spec = spec[part]
    config, check = ConfigObj(), ConfigObj()
    config_parser.merge_config(config, {"value": value})
    config_parser.merge_config(check, {"value": spec})
    try:
        with explained(check, config):
            config_parser.validate(config, check)
    except ParameterError as error:
        return str(error).removeprefix("Config parameter 'value': ")
    return ""


def _move_psf_file(values, source, target):
    """The path of the PSFs, relative to the new file as it was to the old one."""
    path = values.get("loadcrop.psf_file")
    if path is not None and not os.path.isabs(path):
        moved = os.path.relpath(source.absolute().parent / path, target.absolute().parent)
        values["loadcrop.psf_file"] = moved
