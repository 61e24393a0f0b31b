"""Records as plain trees (dicts, lists, strings, numbers, arrays) and back.

The tree of a record has a key per field, named as the field. Nothing in it
needs galstep to be read.
"""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from galstep import records
from galstep.pixel_map import PixelMap

__all__ = ["LATER", "plain", "record_from_tree"]

# fields that hold a record, or a tuple of records, of their own
_NESTED = {
    ("ApertureFlux", "aperture"): records.Aperture,
    ("ApertureFlux", "others"): records.ApertureFlux,
    ("BandFit", "knots"): records.StarList,
    ("BandFit", "pixel_map"): PixelMap,
    ("BandFit", "sersic"): records.SersicFit,
    ("BandFit", "sky"): records.SkyModel,
    ("BandFit", "stars"): records.StarList,
    ("PsfKernel", "correction"): records.PsfCorrection,
    ("SersicFit", "params"): records.SersicParams,
}

#: Fields that products of earlier versions do not have: their defaults stand for them.
LATER = {
    "BandFit": (
        "knots", "total_flux", "total_flux_err", "knot_flux",
        "core_star_share", "n_core_found", "n_core_expected",
    ),
    "PsfKernel": ("covariance", "correction"),
    "SersicFit": ("galaxy_id",),
    "StarList": ("group_id", "group_size", "star_probability", "blend_err"),
}  # fmt: skip


def plain(value: Any) -> Any:
    """Anything a model holds, in types that every ASDF reader knows.

    Records and mappings become dicts, tuples and sets lists, numpy scalars
    Python numbers, paths strings; arrays stay arrays. What is none of these (a class
    given as a hook, say) is kept as its ``repr``: it documents, and is not
    needed to read the product.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    for kind in (int, float, str):  # an IntFlag is an int that YAML does not take
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, np.ndarray):
        # of a view, asdf would write the whole array behind it; an array that several fields
        # share, as those of an empty list do, would be several when read back
        whole = value.base is None and value.size
        return np.ascontiguousarray(value) if whole else value.copy()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return repr(value)


def record_from_tree(cls, tree: dict | None) -> Any:
    """The record that `plain` made ``tree`` of.

    Parameters
    ----------
    cls : type
        A class of `galstep.records`.
    tree : dict or None
        None gives None.

    Returns
    -------
    cls
        Sequences as tuples; inside a free mapping (``ApertureFlux.extra``) as lists.

    Raises
    ------
    KeyError
        If a field is missing, unless it is one of `LATER`.
    """
    if tree is None:
        return None
    names = [field.name for field in fields(cls)]
    later = LATER.get(cls.__name__, ())
    present = [name for name in names if name in tree or name not in later]
    return cls(**{name: _field(cls, name, tree[name]) for name in present})


def _field(cls, name, value):
    nested = _NESTED.get((cls.__name__, name))
    if nested is not None and isinstance(value, list):
        return tuple(record_from_tree(nested, item) for item in value)
    if nested is not None:
        return record_from_tree(nested, value)
    return plain(value) if isinstance(value, dict) else _own(value)


def _own(value):
    """Arrays of the reader's as numpy arrays of ours, lists as tuples."""
    if isinstance(value, list):
        return tuple(_own(item) for item in value)
    if hasattr(value, "__array__"):
        return np.array(value)
    return value
