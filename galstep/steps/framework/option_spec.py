"""The ``spec`` of a step, made from the records of options that core has.

What an option is, its default, its bounds and its meaning are written once, at the field
of a record (`galstep.options`). An `OptionSet` says which of them a step offers, under which
name, and what is different there; it writes the lines of the ``spec`` and makes the record
of the parameters that a user has given.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from galstep.options import from_parameters, parameters_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from galstep.options import Parameter

__all__ = ["OptionSet", "per_filter_spec", "spec_line"]

Record = TypeVar("Record")
_LINE = re.compile(r"^ *(\w+) = (\w+)\((.*)\) +# (.*)$")


class OptionSet(Generic[Record]):
    """The options of a record that a step offers.

    Parameters
    ----------
    record : object
        An instance: what it has holds for all that the step does not offer.
    only, without : iterable of str, optional
        Names of parameters: which are offered, and which not.
    **changed
        Name of a parameter to a mapping of what is different in this step: ``name``,
        ``default``, ``help`` or a bound (see `galstep.options.Parameter`).
    """

    def __init__(
        self,
        record: Record,
        only: Iterable[str] | None = None,
        without: Iterable[str] = (),
        **changed: Mapping[str, Any],
    ) -> None:
        known = {parameter.name: parameter for parameter in parameters_of(type(record))}
        wanted = list(known if only is None else only)
        unknown = sorted({*wanted, *without, *changed} - set(known))
        if unknown:
            raise KeyError(f"no parameters of {type(record).__name__}: {', '.join(unknown)}")
        self.record = record
        self.parameters: dict[str, Parameter] = {
            name: replace(known[name], **changed.get(name, {}))
            for name in wanted
            if name not in set(without)
        }

    @property
    def spec(self) -> str:
        """Lines of a ``spec``, one a parameter."""
        return self.lines(*self.parameters)

    def lines(self, *names: str) -> str:
        """Lines of a ``spec`` for these parameters."""
        return "".join(f"    {spec_line(self.parameters[name])}\n" for name in names)

    def record_of(self, step: Any, options: Any = None) -> Record:
        """The record that the parameters of a step ask for.

        Parameters
        ----------
        step : object
            With an attribute for every parameter, or for some: what it lacks is as
            it is in the record.
        options : object, optional
            Where values are looked for first (`galstep.steps.galaxy.per_filter.for_filter`).

        Returns
        -------
        object
            Of the type of ``record``.

        Raises
        ------
        ParameterError
            If a value cannot be.
        """
        values = {}
        for name, parameter in self.parameters.items():
            for source in (options, step):
                if hasattr(source, parameter.name):
                    values[name] = getattr(source, parameter.name)
                    break
        return from_parameters(self.record, values)


def spec_line(parameter: Parameter) -> str:
    """The line of a ``spec`` that tells of a parameter.

    Parameters
    ----------
    parameter : `galstep.options.Parameter`

    Returns
    -------
    str
    """
    arguments = [repr(choice) for choice in parameter.choices]
    for word, bound in (("min", parameter.least), ("max", parameter.most)):
        arguments += [] if bound is None else [f"{word}={_text(bound)}"]
    arguments.append(f"default={_text(parameter.default)}")
    check = f"{parameter.name} = {parameter.kind}({', '.join(arguments)})"
    return f"{check:<43} # {parameter.help}"


def _text(value):
    if isinstance(value, tuple):
        return f"list({', '.join(str(entry) for entry in value)})"
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value)


def per_filter_spec(spec: str) -> str:
    """Lines for a section ``[per_filter]`` with ``[[__many__]]``: without defaults.

    Parameters that are lists are the same in all filters. What a parameter means is not said
    again, only the unit of a number.

    Parameters
    ----------
    spec : str
        Lines of a ``spec``.

    Returns
    -------
    str
    """
    lines = []
    for line in filter(None, spec.splitlines()):
        found = _LINE.match(line)
        if found is None or found[2].endswith("_list"):
            continue
        name, kind, arguments, text = found.groups()
        check = re.sub(r"default=.*$", "default=None", arguments)
        unit = re.search(r" \([^()]+\)", text) if kind in ("float", "integer") else None
        lines.append(
            f"    {name} = {kind}({check})  # {name} of this filter{unit[0] if unit else ''}"
        )
    return "\n".join(lines) + "\n"
