"""Every parameter of the pipeline, as the specs of the steps have it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from stpipe import config_parser

from galstep.exceptions import ParameterError
from galstep.pipeline import FieldPipeline, GalPipeline
from galstep.steps import GalStep, StarPhot
from galstep.steps.framework.short_help import MOST_USED
from galstep.steps.framework.validation import suggestion

__all__ = [
    "FIELD",
    "PIPELINE",
    "PIPELINES",
    "Parameter",
    "parameters_of",
    "pipeline_parameters",
    "section_comment",
]

#: What stands for the pipeline itself where a step's key is expected.
PIPELINE = "pipeline"

#: What stands for the pipeline of fields there.
FIELD = "field"

#: What a parameter file can be for.
PIPELINES = {"galaxy": GalPipeline, "field": FieldPipeline}

_PIPELINE_COMMON = ("input_file", "output_dir", "output_ext")
_STEP_COMMON = ("skip", "save_results")
# steps that are run on their own
_ALONE = {"starphot": StarPhot}
# units stand in parentheses, before what else is to be said there
_WITHOUT_UNIT = ("boolean", "option", "string")
_PARENTHESES = re.compile(r"\(([^()]*)\)")
_UNIT = re.compile(
    r"\b(square pixels|pixels|arcsec|sigma|FWHM|degrees|radians|mag|samples|errors|seconds|"
    r"image unit|r_eff|boxes)\b(?! /)"
)


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

    @property
    def unit(self) -> str:
        """The unit, as the comment has it; empty for what has none."""
        for inside in _PARENTHESES.findall(self.text):
            found = _UNIT.search(re.split("[;:]", inside)[0])
            if found is not None and not self.kind.startswith(_WITHOUT_UNIT):
                return found[1]
        return ""


def parameters_of(step: str | None = None, only_most_used: bool = False) -> list[Parameter]:
    """The parameters of the pipeline with all its steps, or of one step.

    Parameters
    ----------
    step : str, optional
        Its key in its pipeline, `PIPELINE`, ``starphot``, or ``field``: all of
        `FieldPipeline`.
    only_most_used : bool, optional
        Those that ``--help`` shows.

    Returns
    -------
    list of Parameter

    Raises
    ------
    ParameterError
        If there is no such step.
    """
    known = (PIPELINE, *GalPipeline.step_defs, *_ALONE, FIELD, *FieldPipeline.step_defs)
    if step is not None and step not in known:
        raise ParameterError(
            f"step must be one of {', '.join(known)}, got {step!r}{suggestion(step, known)}"
        )
    of_field = step == FIELD or step in FieldPipeline.step_defs
    found = list(pipeline_parameters(FieldPipeline if of_field else GalPipeline))
    if step in _ALONE:
        found = list(_alone(step))
    elif step not in (None, FIELD):
        found = [parameter for parameter in found if parameter.step == step]
    if not only_most_used:
        return found
    if step in (None, PIPELINE, FIELD):
        alias = "gal_field" if step == FIELD else "gal_pipeline"
        names = [_full_name(name) for name in MOST_USED[alias]]
    else:
        names = [f"{step}.{name}" for name in MOST_USED[f"gal_{step}"]]
    by_name = {parameter.name: parameter for parameter in found}
    return [by_name[name] for name in names if name in by_name]


def _full_name(name):
    """``steps.basefit.th_min`` of a command line as it is called here."""
    return name.removeprefix("steps.") if "." in name else f"{PIPELINE}.{name}"


def _alone(key):
    step_class = _ALONE[key]
    hidden = (set(GalStep.load_spec_file()) - {"save_results", *_PIPELINE_COMMON}) | {"name"}
    for parameter in _of_step(key, step_class.load_spec_file(), step_class().get_pars(), hidden):
        text = parameter.text or section_comment(step_class, parameter.path[0])
        yield replace(parameter, text=text)


@cache
def pipeline_parameters(pipeline: Any = GalPipeline) -> tuple[Parameter, ...]:
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
