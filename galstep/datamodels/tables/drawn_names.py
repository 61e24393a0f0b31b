"""Names of galaxies and filters as matplotlib is to write them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from galstep.datamodels.galaxy import GalaxyModel

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["with_plain_names"]


def with_plain_names(model: GalaxyModel) -> GalaxyModel:
    r"""The model with names that are drawn as they are: a ``$`` would begin a formula.

    Parameters
    ----------
    model : GalaxyModel

    Returns
    -------
    GalaxyModel
        ``model`` itself if no name has a ``$``; else another that shares its arrays.
    """
    names = {name: _plain(name) for name in model.bands}
    if all(old == new for old, new in names.items()) and "$" not in model.meta.name:
        return model
    bands = {names[n]: _renamed(band, names[n]) for n, band in model.bands.items()}
    base = model.meta.base_filter
    meta = replace(model.meta, name=_plain(model.meta.name), base_filter=names.get(base, base))
    joint = _with_filters(model.joint, "filters", names.get)
    injections = _with_filters(model.injections, "filter", names.get)
    return GalaxyModel(meta, bands, joint, injections)


def _plain(name):
    return name.replace("$", r"\$")


def _renamed(band, name):
    return replace(band, name=name)


def _with_filters(record, field, new_name: Callable):
    """A record whose field holds names of filters."""
    if record is None:
        return None
    renamed = [new_name(str(name), str(name)) for name in getattr(record, field)]
    changed: dict[str, Any] = {field: tuple(renamed)}
    if isinstance(getattr(record, "summary", None), dict):
        changed["summary"] = {new_name(k, k): value for k, value in record.summary.items()}
    return replace(record, **changed)
