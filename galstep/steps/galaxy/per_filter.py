"""Parameters that have another value in some filters.

A step that allows it has a section ``[per_filter]`` with ``[[__many__]]`` in
its ``spec``: the name of a filter, and under it those parameters of the step
that may differ, each with the same check and no default. In a parameter file::

    per_filter: {F160W: {th_min: 6}}
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from galstep.steps.framework.validation import suggestion

if TYPE_CHECKING:
    import logging

    from galstep.datamodels import GalaxyModel
    from galstep.steps.framework.base import GalStep

__all__ = ["check_filters", "for_filter"]

SECTION = "per_filter"


def for_filter(step: GalStep, name: str) -> SimpleNamespace:
    """The parameters of a step as they are for one filter.

    Parameters
    ----------
    step : GalStep
        With the section ``per_filter`` in its ``spec``.
    name : str
        The filter.

    Returns
    -------
    `types.SimpleNamespace`
        An attribute for every parameter that may differ: the filter's value,
        or else the step's.
    """
    may_differ = step.load_spec_file()[SECTION]["__many__"]
    own = (getattr(step, SECTION) or {}).get(name) or {}
    values = {key: own.get(key) for key in may_differ}
    return SimpleNamespace(
        **{key: getattr(step, key) if value is None else value for key, value in values.items()}
    )


def check_filters(step: GalStep, model: GalaxyModel, logger: logging.Logger) -> None:
    """Warn of values for filters that the galaxy does not have.

    No error: many galaxies may share a parameter file, and not all have all
    filters.

    Parameters
    ----------
    step : GalStep
    model : GalaxyModel
    logger : `logging.Logger`
    """
    for name in getattr(step, SECTION) or {}:
        if name not in model.bands:
            logger.warning(
                "%s: per_filter: %s is not among the filters %s%s",
                step.key, name, ", ".join(model.bands), suggestion(name, model.bands),
            )  # fmt: skip
