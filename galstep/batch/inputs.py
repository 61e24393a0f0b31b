"""The list of galaxies: a table, a pattern, or the files themselves."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from galstep.batch.entry import Entry
from galstep.batch.list_table import table_entries
from galstep.batch.parameter_entry import entry_of_parameter_file
from galstep.datamodels.files.distinct_names import distinct_names
from galstep.datamodels.files.regular_file import printable
from galstep.datamodels.files.safe_name import check_text, folded, safe_name
from galstep.datamodels.input.input_name import input_name
from galstep.datamodels.input.open import is_product
from galstep.exceptions import GalstepError, InputError
from galstep.steps.framework.parameter_files import is_parameter_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike

__all__ = ["TABLE_EXTENSIONS", "read_list"]

TABLE_EXTENSIONS = (".ecsv", ".csv")


def read_list(sources: Sequence[PathLike], images: Sequence[PathLike] = ()) -> list[Entry]:
    """The galaxies that a user has named.

    Parameters
    ----------
    sources : sequence of path-like
        Data files, folders of FITS files (one galaxy each), patterns
        (``"data/g*.h5"``) and tables (``.ecsv``, ``.csv``). A table has the column
        ``input``, or with ``images`` positions on the sky, and may have ``name``,
        columns of parameters (``basefit.th_min``, ``psf_file``), and others, which
        are not used. Empty cells count as not given; relative paths are relative to
        the table.
    images : sequence of path-like, optional
        The images that all galaxies of tables without ``input`` are in: one file
        with all filters, or one for each.

    Returns
    -------
    list of Entry
        Files of one name get the names of their folders before it.

    Raises
    ------
    InputError
        If a source is not there or names nothing, or a name in a table is not
        plain or stands twice.
    ParameterError
        If a column ``x.y`` is not a parameter of a step, or none that a list may set.
    """
    entries = []
    for source in sources:
        source = os.fspath(source)
        if source.lower().endswith(TABLE_EXTENSIONS):
            entries += table_entries(source, images)
        else:
            entries += [Entry("", os.path.abspath(path)) for path in _files(source)]
    if not entries:
        raise InputError("no galaxy is named")
    return _named(entries, [_understood(entry) for entry in entries])


def _files(source):
    # a name that looks like a pattern may be one that is there
    if os.path.lexists(source):
        return [source]
    found = sorted(glob.glob(source))
    if not found:
        is_pattern = glob.has_magic(source)
        raise InputError(
            f"{printable(source)!r}: no file {'matches' if is_pattern else 'of this name'}"
        )
    return found


def _understood(entry):
    """The entry with what its file says of itself; what cannot be used is its problem."""
    try:
        for path in entry.paths:
            check_text(path, "input")
        if len(entry.paths) == 1 and is_parameter_file(entry.paths[0]):
            return entry_of_parameter_file(entry)
    except GalstepError as error:
        return entry.with_problem(str(error))
    return entry


def _named(entries, understood):
    """Every entry as understood, with a name that no other has."""
    own = {i for i, entry in enumerate(entries) if not entry.name}
    first = {}
    for i, entry in enumerate(entries):
        if i in own:
            continue
        _check_plain(entry.name)
        other = first.setdefault(folded(entry.name), entry)
        if other is not entry:
            raise InputError(
                f"two galaxies are called {entry.name!r}: {other.source} and {entry.source}"
            )
    names = [_own_name(entry) if i in own else entry.name for i, entry in enumerate(entries)]
    paths = [entry.paths[0] if i in own else None for i, entry in enumerate(entries)]
    distinct = distinct_names(names, paths)
    # names that a table gives stay as they are
    return [
        entry.renamed(safe_name(distinct[i]) if i in own else entry.name)
        for i, entry in enumerate(understood)
    ]


def _check_plain(name):
    if name != safe_name(name) or name.startswith("."):
        raise InputError(f"name must be a plain file name, got {name!r}")


def _own_name(entry):
    source = entry.paths[0] if len(entry.paths) == 1 else list(entry.paths)
    name = input_name(source)[0]
    if len(entry.paths) == 1:
        is_ours = source.lower().endswith(".asdf") or (name.endswith("_gal") and is_product(source))
        name = name.removesuffix("_gal") if is_ours else name
    return name.lstrip(".") or "galaxy"
