"""A parameter file with what each parameter means beside it.

Comments are part of YAML, so that ``strun`` reads the file as any other.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import yaml

from galstep import __version__
from galstep.configuration.parameters import PIPELINE, pipeline_parameters
from galstep.datamodels.files.atomic import replacing
from galstep.exceptions import InputError
from galstep.pipeline import GalPipeline

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["parameter_text", "write_parameter_file"]

_WIDTH = 96


def write_parameter_file(
    path: Path,
    values: dict[str, Any] | None = None,
    notes: dict[str, str] | None = None,
    overwrite: bool = False,
    pipeline: Any = GalPipeline,
) -> None:
    """Write a commented parameter file for a pipeline.

    Parameters
    ----------
    path : `pathlib.Path`
        An ``.asdf`` file.
    values : dict of str to object, optional
        ``step.parameter`` to value: these are written, and no others. By
        default all are, with their default values.
    notes : dict of str to str, optional
        ``step.parameter`` to a remark.
    overwrite : bool, optional
        Replace an existing file.
    pipeline : type, optional
        `GalPipeline`, or another class of `galstep.pipeline`.

    Raises
    ------
    InputError
        If the extension is another, or the file exists and ``overwrite`` is
        not set.
    """
    if path.suffix.lower() != ".asdf":
        raise InputError(f"parameter file {path}: the extension must be .asdf")
    if path.exists() and not overwrite:
        raise InputError(f"parameter file {path}: it exists already, and overwrite is not set")
    with replacing(path) as temporary:
        temporary.write_text(parameter_text(values, notes, pipeline), encoding="utf-8")


def parameter_text(
    values: dict | None = None, notes: dict[str, str] | None = None, pipeline: Any = GalPipeline
) -> str:
    """The text of the file; see `write_parameter_file`."""
    by_step = {}
    for parameter in pipeline_parameters(pipeline):
        if values is None or parameter.name in values:
            by_step.setdefault(parameter.step, []).append(parameter)
    lines = [
        "#ASDF 1.0.0",
        "%YAML 1.1",
        "---",
        f"# Parameters of galstep {__version__}. Paths are relative to this file.",
        f"class: galstep.pipeline.{pipeline.__name__}",
        f"name: {pipeline.__name__}",
        *_parameters(by_step.get(PIPELINE, ()), values or {}, notes or {}, 1),
    ]
    if any(step != PIPELINE for step in by_step):
        lines.append("steps:")
    for key, step_class in pipeline.step_defs.items():
        if key in by_step:
            name = f"galstep.steps.{step_class.__name__}"
            lines += ["", f"- class: {name}", f"  name: {key}"]
            lines += _parameters(by_step[key], values or {}, notes or {}, 2)
    return "\n".join([*lines, "...", ""])


def _parameters(parameters, values, notes, level):
    """The lines of one ``parameters`` mapping."""
    indent = "  " * (level - 1)
    if not parameters:
        return [f"{indent}parameters: {{}}"]
    lines, section = [f"{indent}parameters:"], ()
    indent = "  " * level
    for parameter in parameters:
        if parameter.path[:-1] != section:
            section = parameter.path[:-1]
            lines += [f"{indent}{'  ' * i}{name}:" for i, name in enumerate(section)]
        inner = indent + "  " * len(section)
        remarks = [f"{parameter.text} [{parameter.kind}]", notes.get(parameter.name)]
        for remark in filter(None, remarks):
            lines += textwrap.wrap(
                remark, _WIDTH, initial_indent=f"{inner}# ", subsequent_indent=f"{inner}#   "
            )
        value = values.get(parameter.name, parameter.default)
        lines.append(f"{inner}{parameter.path[-1]}: {_yaml(value)}")
    return lines


def _yaml(value):
    """A value on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
