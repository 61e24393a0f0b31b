"""Parameters of steps as keywords: nested, with dots, or bare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galstep.batch.nested import merged, nested
from galstep.batch.parameters import SAID_OTHERWISE
from galstep.exceptions import ParameterError
from galstep.pipeline import GalPipeline
from galstep.steps import LoadCrop
from galstep.steps.framework.validation import suggestion

__all__ = ["pipeline_parameters"]


def pipeline_parameters(
    steps: Mapping[str, Any] | None, keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters as `galstep.pipeline.GalPipeline.call` takes them.

    Parameters
    ----------
    steps : mapping, optional
        ``{"basefit": {"iter_basefit": 5}}`` or ``{"basefit.iter_basefit": 5}``.
    keywords : mapping
        ``basefit={"iter_basefit": 5}``, ``**{"basefit.iter_basefit": 5}``, and bare names
        of the pipeline's own parameters and of LoadCrop's.

    Returns
    -------
    dict
        Nested; whether the names below a step are right is for the pipeline to tell.

    Raises
    ------
    ParameterError
        If a name is that of no step and no such parameter, or a parameter says where files
        go: none are written.
    """
    result: dict[str, Any] = {}
    if steps is not None and not isinstance(steps, Mapping):
        raise ParameterError(f"steps must be a dict of steps, got {type(steps).__name__}")
    for name, value in (steps or {}).items():
        result = merged(result, nested({("steps", *str(name).split(".")): value}))
    for name, value in keywords.items():
        result = merged(result, nested({_place(name): value}))
    for key, parameters in result.get("steps", {}).items():
        _check_step(key)
        if not isinstance(parameters, Mapping):
            raise ParameterError(f"{key} is a step: give its parameters as a dict")
        _check_files(f"{key}.", parameters)
    return result


def _place(name):
    """Where a keyword stands among the parameters of the pipeline."""
    parts = tuple(name.removeprefix("steps.").split("."))
    if len(parts) > 1 or parts[0] in GalPipeline.step_defs:
        return ("steps", *parts)
    _check_files("", parts)
    own, loading = GalPipeline.load_spec_file().scalars, LoadCrop.load_spec_file().scalars
    if name in own:
        return parts
    if name in loading:
        return ("steps", "loadcrop", name)
    raise ParameterError(
        f"unknown argument {name}{_of_steps(name) or suggestion(name, [*own, *loading])}"
    )


def _of_steps(name):
    """Where a bare name belongs, if steps have a parameter of it."""
    found = [
        f"{key}.{name}" for key, step in GalPipeline.step_defs.items()
        if name in step.load_spec_file().scalars
    ]  # fmt: skip
    if not found:
        return ""
    example = found[0].partition(".")[0]
    return f" (it belongs to a step: {' or '.join(found)}; give {example}={{{name!r}: ...}})"


def _check_step(key):
    if key not in GalPipeline.step_defs:
        raise ParameterError(f"{key!r} is not a step{suggestion(key, GalPipeline.step_defs)}")


def _check_files(before, names):
    for name in names:
        if name in SAID_OTHERWISE:
            raise ParameterError(
                f"{before}{name}: no files are read or written here: give the image, and save "
                "with result.save(folder)"
            )
