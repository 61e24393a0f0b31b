"""A configuration of tract7dt as a parameter file of `galstep.pipeline.FieldPipeline`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from galstep.configuration.convert import Conversion, problem_with
from galstep.configuration.parameters import pipeline_parameters
from galstep.configuration.tract7dt_keys import TRACT7DT_KEYS
from galstep.configuration.writer import write_parameter_file
from galstep.datamodels.files.regular_file import check_regular
from galstep.datamodels.files.yaml_bounds import check_yaml
from galstep.exceptions import InputError
from galstep.pipeline import FieldPipeline
from galstep.steps.framework.validation import suggestion

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["convert_tract7dt"]

_PATHS = ("inputs.input_catalog", "inputs.image_list_file", "inputs.gaiaxp_synphot_csv",
          "outputs.work_dir")  # fmt: skip
_MAGNITUDES = ("zp.gaia_mag_min", "zp.gaia_mag_max")


def convert_tract7dt(source: PathLike, target: PathLike, overwrite: bool = False) -> Conversion:
    """Turn a YAML configuration of tract7dt into a parameter file.

    Parameters
    ----------
    source, target : path-like
        The configuration, and the ``.asdf`` file to be written.
    overwrite : bool, optional
        Replace an existing ``target``.

    Returns
    -------
    `galstep.configuration.convert.Conversion`
        ``absent`` has the superseded keys with their reasons.

    Raises
    ------
    InputError
        If ``source`` is no YAML mapping, has a key that tract7dt does not have, or a value that
        no parameter takes; or if ``target`` cannot be written.
    """
    source, target = Path(source), Path(target)
    values = _flat(_read(source), source)
    conversion = Conversion()
    for key in TRACT7DT_KEYS:
        if key.name in values and key.name not in _MAGNITUDES:
            _convert(conversion, key, values[key.name], source, target)
    _put_magnitudes(conversion, values, source)
    # what tract7dt does without a key
    conversion.values.setdefault("zeropoint.error_in_magnitudes", True)
    notes = {
        parameter: f"tract7dt {key.name}: {key.note}"
        for key in TRACT7DT_KEYS
        if key.name in values and key.note
        for parameter in key.targets
    }
    write_parameter_file(target, conversion.values, notes, overwrite, FieldPipeline)
    return conversion


def _read(source):
    check_regular(source, "configuration")
    try:
        text = source.read_bytes()
        check_yaml(text, f"configuration {source}")
        content = yaml.safe_load(text) or {}
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{source}: a mapping of sections is needed, got {type(content).__name__}")
    return content


def _flat(content, source):
    """Key with its sections, dotted, to value; every one of them known."""
    known = {key.name for key in TRACT7DT_KEYS}
    sections = {name.rsplit(".", n)[0] for name in known for n in range(1, name.count(".") + 1)}
    flat, waiting = {}, [("", content)]
    while waiting:
        where, own = waiting.pop()
        for name, value in own.items():
            full = f"{where}{name}"
            if full in sections and isinstance(value, dict):
                waiting.append((f"{full}.", value))
            elif full in sections and value is None:
                continue  # a section without a key
            elif full in known:
                flat[full] = value
            else:
                raise InputError(
                    f"{source}: unknown key {full!r}: tract7dt has none"
                    f"{suggestion(full, sorted(known | sections))}"
                )
    return flat


def _convert(conversion, key, value, source, target):
    if key.is_superseded:
        conversion.absent[key.name] = key.note
        return
    own = value if key.rule is None else _ruled(key, value, source)
    if own is None:
        return
    if key.name in _PATHS:
        own = _moved(own, source, target)
    for name in key.targets:
        _check(name, own, key.name, source)
        # a section that is switched off wins over what it says beside that
        if name in conversion.values and key.name.endswith((".margin", ".radius_pix")):
            continue
        conversion.values[name] = own
    if key.note:
        conversion.changed[key.name] = key.note


def _ruled(key, value, source):
    try:
        return key.rule(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {key.name} cannot be {value!r}: {error}") from error


def _check(name, value, key, source):
    parameter = next(p for p in pipeline_parameters(FieldPipeline) if p.name == name)
    problem = problem_with(parameter, value, FieldPipeline)
    if problem:
        raise InputError(f"{source}: {key} = {value!r}: {problem}")


def _put_magnitudes(conversion, values, source):
    """Two keys that are one parameter."""
    if not any(name in values for name in _MAGNITUDES):
        return
    defaults = {key.name: key.default for key in TRACT7DT_KEYS}
    own = [values.get(name, defaults[name]) for name in _MAGNITUDES]
    _check("maskfield.reference_mag", own, "zp.gaia_mag_min, zp.gaia_mag_max", source)
    conversion.values["maskfield.reference_mag"] = [float(v) for v in own]


def _moved(path, source, target):
    """A path relative to the new file as it was to the old one."""
    path = os.path.expanduser(str(path))
    if os.path.isabs(path):
        return path
    return os.path.relpath(source.absolute().parent / path, target.absolute().parent)
