"""Every parameter of the pipeline, as the specs of the steps have it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from stpipe import config_parser

from galstep.pipeline import FieldPipeline, GalPipeline
from galstep.steps import GalStep

__all__ = ["PIPELINE", "PIPELINES", "Parameter", "pipeline_parameters", "section_comment"]

#: What stands for the pipeline itself where a step's key is expected.
PIPELINE = "pipeline"

#: What a parameter file can be for.
PIPELINES = {"galaxy": GalPipeline, "field": FieldPipeline}

_PIPELINE_COMMON = ("input_file", "output_dir", "output_ext")
_STEP_COMMON = ("skip", "save_results")


@dataclass(frozen=True)
class Parameter:
    """One parameter, or a section with any names in it.

    Parameters
    ----------
    step : str
        Key of the step, or `PIPELINE`.
    path : tuple of str
        Its name, with the sections it is in.
    default : object
        As Python has it; ``{}`` for a section of any names.
    kind : str
        Type and limits, such as ``float(min=0)``; for a section those of its
        entries.
    text : str
        The comment of the spec.
    """

    step: str
    path: tuple
    default: Any
    kind: str
    text: str

    @property
    def name(self) -> str:
        """``step.parameter``."""
        return ".".join((self.step, *self.path))


@cache
def pipeline_parameters(pipeline: type = GalPipeline) -> tuple[Parameter, ...]:
    """All parameters of a pipeline and its steps, in their order.

    Of what all steps have only ``skip`` and ``save_results`` are listed.

    Parameters
    ----------
    pipeline : type, optional
        `GalPipeline`, or another class of `galstep.pipeline`.

    Returns
    -------
    tuple of Parameter
    """
    values = pipeline().get_pars()
    spec = pipeline.load_spec_file()
    common = set(GalStep.load_spec_file())
    own = set(config_parser.load_spec_file(pipeline)) | set(_PIPELINE_COMMON)
    found = list(_of_step(PIPELINE, spec, values, (common - own) | {"steps"}))
    for key, step_class in pipeline.step_defs.items():
        hidden = (common - set(_STEP_COMMON)) | {"name", "class", "config_file"}
        for parameter in _of_step(key, spec["steps"][key], values["steps"][key], hidden):
            is_section = not parameter.text
            text = section_comment(step_class, parameter.path[0]) if is_section else parameter.text
            found.append(replace(parameter, text=text))
    return tuple(found)


def section_comment(step_class: type, name: str) -> str:
    """The comment beside a section's name in the spec, which stpipe does not keep.

    Parameters
    ----------
    step_class : type
        A Step.
    name : str
        The section.

    Returns
    -------
    str
        Empty if there is none.
    """
    for owner in step_class.__mro__:
        spec = config_parser.load_spec_file(owner) if "spec" in vars(owner) else None
        if spec is not None and name in spec:
            return _text(spec.inline_comments.get(name))
    return ""


def _text(comment):
    return (comment or "").lstrip("# ").replace("%%", "%").strip()


def _of_step(step, spec, values, hidden, where=()):
    for name, check in spec.items():
        if name in hidden:
            continue
        text = _text(spec.inline_comments.get(name))
        path = (*where, name)
        if not isinstance(check, dict):
            yield Parameter(step, path, values[name], _kind(check), text)
        elif "__many__" in check:
            yield Parameter(step, path, {}, _many(check["__many__"]), text)
        else:
            yield from _of_step(step, check, values[name], (), path)


def _many(check):
    """The type of what stands under any name."""
    if isinstance(check, dict):
        return f"by filter: {', '.join(check)}"
    return f"by filter: {_kind(check)}"


def _kind(check):
    """A check of the spec without its default: ``float(min=0)``."""
    name, _, arguments = check.strip().partition("(")
    arguments = re.sub(r",?\s*default=.*$", "", arguments.rsplit(")", 1)[0]).strip()
    return f"{name.strip()}({arguments})" if arguments else name.strip()
