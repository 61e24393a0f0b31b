"""Values as people write them, brought to what the specifications of the steps ask for.

A single value where a list is wanted is a list of one (``radii=5``). Right ascension and
declination may be sexagesimal, or angles of astropy. What a value may be is checked
afterwards, by stpipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galstep.datamodels.catalogs.angles import degrees_of
from galstep.exceptions import InputError, ParameterError
from galstep.steps.framework.given_tables import GivenTable

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

__all__ = ["respelled", "without_marks"]

#: Parameters that are angles on the sky, and whether sexagesimal text is in hours.
_SKY_ANGLES = {"ra": True, "dec": False}


def respelled(config: MutableMapping, spec: Mapping) -> None:
    """Bring values to the type that ``spec`` asks for, in place.

    Parameters
    ----------
    config : mapping
        The parameters, sections as nested mappings.
    spec : mapping
        The specification: checks as strings, sections as nested mappings.

    Raises
    ------
    ParameterError
        If an angle is none.
    """
    for key, value in config.items():
        check = spec.get(key)
        if isinstance(check, dict):
            if isinstance(value, dict):
                respelled(value, check)
        elif isinstance(check, str):
            config[key] = _respelled(key, value, check.partition("(")[0].strip())


def _respelled(key, value, kind):
    if kind.endswith("_list") and kind != "force_list" and isinstance(value, str | int | float):
        if value == "None":  # what stpipe reads as nothing
            return value
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    if kind == "float" and key in _SKY_ANGLES and _is_angle(value):
        try:
            return degrees_of(value, _SKY_ANGLES[key], key)
        except InputError as error:
            raise ParameterError(str(error)) from error
    return value


def _is_angle(value):
    """Whether it is more than a number: text that is none, or an object with a unit."""
    if hasattr(value, "to_value"):
        return True
    if not isinstance(value, str) or value in ("", "None"):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def without_marks(value: Any) -> Any:
    """``value`` with text as plain ``str``, in lists as well.

    stpipe marks text from the command line by a private kind of ``str``, which as the
    name of a filter reaches products that know none but ``str``.

    Parameters
    ----------
    value : object

    Returns
    -------
    object
    """
    if isinstance(value, GivenTable):
        return value
    if isinstance(value, str):
        return str(value)
    if type(value) is list:
        return [without_marks(item) for item in value]
    return value
