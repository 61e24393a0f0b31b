"""Options written once: the field of a frozen record carries all there is to say of it.

A record whose fields are made by `option` knows the default of each, what it may be and what
it means. Nothing else says it again: its docstring, the ``spec`` of the steps that offer it
(`galstep.steps.framework.option_spec`), their ``--help`` and the tables of the documentation are made
from the fields, and the step hands the record on as it is.

>>> from galstep.options import option, options, parameters_of
>>> @options
... class Search:
...     \"\"\"How things are looked for.\"\"\"
...
...     threshold: float = option(default=5.0, help="Lowest threshold (sigma)", least=1)
>>> Search().threshold
5.0
>>> [parameter.name for parameter in parameters_of(Search)]
['threshold']
"""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from galstep.exceptions import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "Parameter",
    "check_bounds",
    "detail",
    "from_parameters",
    "option",
    "options",
    "parameters_of",
]

_KEY = "galstep option"
Record = TypeVar("Record")


@dataclass(frozen=True)
class Parameter:
    """An option as a user gives it.

    Parameters
    ----------
    name : str
        Of the parameter; the field may have another one.
    default : object
        As a user would write it.
    help : str
        Meaning and unit, one line.
    kind : str
        float, integer, boolean, string, option, or a list of one of these
        (float_list), as the checks of configobj are called.
    least, most : float, optional
        Bounds, both allowed; of a list: its number of entries.
    choices : tuple of str
        What an ``option`` may be.
    read : callable, optional
        What makes the field's value of the parameter's: ``read(value)``.
    path : tuple of str
        Where the field is: the names of the records it is in, and its own.
    """

    name: str
    default: Any
    help: str
    kind: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    read: Callable[[Any], Any] | None = None
    path: tuple[str, ...] = ()

    def value(self, given: Any) -> Any:
        """The field's value of what a user gave; lists become tuples."""
        if isinstance(given, list):
            given = tuple(given)
        return given if self.read is None else self.read(given)


def option(
    *,
    default: Any,
    help: str,
    name: str = "",
    kind: str = "",
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    read: Callable[[Any], Any] | None = None,
) -> Any:
    """A field that users may set.

    Parameters
    ----------
    default : object
        As a user would write it; the field has ``read(default)``.
    help : str
        Meaning and unit, one line.
    name : str, optional
        What users call it; default: as the field is called.
    kind : str, optional
        Default: by ``choices`` and the type of ``default``.
    least, most : float, optional
        Bounds; of a list: its number of entries.
    choices : tuple of str, optional
    read : callable, optional
        What makes the field's value of the parameter's.

    Returns
    -------
    `dataclasses.Field`
    """
    kind = kind or _kind(default, choices)
    parameter = Parameter(name, default, help, kind, least, most, choices, read)
    return field(default=parameter.value(default), metadata={_KEY: parameter})


def detail(*, default: Any, help: str) -> Any:
    """A field that only the program sets, or another record of options.

    Parameters
    ----------
    default : object
    help : str
        Meaning and unit.

    Returns
    -------
    `dataclasses.Field`
    """
    return field(default=default, metadata={_KEY: help})


def _kind(default, choices):
    if choices:
        return "option"
    if isinstance(default, tuple):
        return {int: "int_list", float: "float_list"}[type(default[0])]
    return {bool: "boolean", int: "integer", float: "float", str: "string"}[type(default)]


@dataclass_transform(frozen_default=True, field_specifiers=(option, detail))
def options(record: type[Record]) -> type[Record]:
    """Make a class a frozen record of options, its fields in its docstring.

    Parameters
    ----------
    record : type
        With annotated fields, made by `option` or `detail`.

    Returns
    -------
    type
    """
    made = dataclass(frozen=True)(record)
    # a section ("Raises", say) stands below the parameters
    head, rule, tail = cleandoc(made.__doc__ or "").partition("\nRaises\n")
    lines = [head.rstrip(), "", "Parameters", "----------"]
    for own in fields(made):  # type: ignore[arg-type]
        about = own.metadata[_KEY]
        text = about if isinstance(about, str) else _described(own.name, about)
        kind = (
            own.type if isinstance(own.type, str) else getattr(own.type, "__name__", f"{own.type}")
        )
        lines.append(f"{own.name} : {kind}")
        lines.append(textwrap.indent(textwrap.fill(text, 88), "    "))
    made.__doc__ = "\n".join(lines) + (f"\n{rule}{tail}" if rule else "")
    return made


def _described(name, parameter):
    called = f"The parameter ``{parameter.name}``. " if parameter.name not in ("", name) else ""
    return f"{called}{parameter.help}."


def parameters_of(record: type, path: tuple[str, ...] = ()) -> Iterator[Parameter]:
    """The parameters of a record, those of records in it included.

    Parameters
    ----------
    record : type
        Made by `options`.
    path : tuple of str, optional
        Where it is in another one.

    Yields
    ------
    `Parameter`
    """
    for own in fields(record):
        about, place = own.metadata.get(_KEY), (*path, own.name)
        if isinstance(about, Parameter):
            yield dataclasses.replace(about, name=about.name or own.name, path=place)
        elif own.default is not MISSING and is_dataclass(own.default):
            yield from parameters_of(type(own.default), place)


def from_parameters(record: Record, values: Mapping[str, Any]) -> Record:
    """A record with what a user gave.

    Parameters
    ----------
    record : object
        A record, with what holds where nothing is given.
    values : mapping of str to object
        Parameters by their names; others are not looked at.

    Returns
    -------
    object
        Of the same type.

    Raises
    ------
    ParameterError
        If a value cannot be.
    """
    changed: dict[str, Any] = {}
    for own in fields(record):  # type: ignore[arg-type]
        about, before = own.metadata.get(_KEY), getattr(record, own.name)
        if isinstance(about, Parameter):
            name = about.name or own.name
            if name in values:
                changed[own.name] = _read(about, name, values[name])
        elif is_dataclass(before) and not isinstance(before, type):
            changed[own.name] = from_parameters(before, values)
    return dataclasses.replace(record, **changed)  # type: ignore[type-var]


def check_bounds(record: object) -> None:
    """Whether every option of a record is what it may be; for its ``__post_init__``.

    Parameters
    ----------
    record : object
        Made by `options`. Numbers in lists are left to it.

    Raises
    ------
    ParameterError
        NaN is within no bounds.
    """
    for own in fields(record):  # type: ignore[arg-type]
        about, value = own.metadata.get(_KEY), getattr(record, own.name)
        if not isinstance(about, Parameter) or isinstance(value, tuple):
            continue
        if about.choices and value not in about.choices:
            raise ParameterError(
                f"{own.name} must be one of {', '.join(about.choices)}, got {value!r}"
            )
        if about.least is not None and not value >= about.least:
            raise ParameterError(f"{own.name} must be at least {about.least}, got {value}")
        if about.most is not None and not value <= about.most:
            raise ParameterError(f"{own.name} must be at most {about.most}, got {value}")


def _read(parameter, name, value):
    try:
        return parameter.value(value)
    except ParameterError as error:
        raise ParameterError(f"{name} {error}") from error
