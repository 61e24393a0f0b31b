"""Associations: the lists (.json) of the exposures of one product, as jwst's pipelines take them.

::

    {"products": [{"name": "m51", "members": [
        {"expname": "a_cal.fits", "exptype": "science",
         "tweakreg_catalog": "a.ecsv", "group_id": "1"}]}]}
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.regular_file import check_regular
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from galstep.hints import PathLike

__all__ = ["Member", "is_association", "members_of", "read_association"]

log = logging.getLogger("stpipe.galstep.association")

SCIENCE = "science"
# Bytes: an association of ten thousand exposures has one or two million.
LARGEST_FILE = 64_000_000


@dataclass(frozen=True)
class Member:
    """One exposure of an association.

    Parameters
    ----------
    path : `pathlib.Path`
    group_id : str or None
        None where the association does not say.
    catalog : str or None
        Catalogue of the stars of the image; "" where the association says that
        there is none, None where it says nothing.
    """

    path: Path
    group_id: str | None = None
    catalog: str | None = None


def is_association(source: Any) -> bool:
    """Whether ``source`` is the path of an association: its name ends in ``.json``."""
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".json"


def read_association(path: PathLike) -> list[Member]:
    """The science exposures of an association.

    Parameters
    ----------
    path : path-like
        File names in it are relative to its folder.

    Returns
    -------
    list of `Member`
        Those of the first product; other products and exposures of another
        type are named in the log.

    Raises
    ------
    InputError
        If the file cannot be read, is no association, or names no exposure.
    """
    check_regular(path, "association")
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"association {path}: more than {LARGEST_FILE} bytes")
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"association {path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"association {path}: is not JSON ({error})") from error
    members = members_of(tree, f"association {path}")
    others = [m["expname"] for m in members if _type(m) != SCIENCE]
    if others:
        log.info("association %s: not science, left out: %s", path, ", ".join(others))
    found = [_member(m, path.parent) for m in members if _type(m) == SCIENCE]
    if not found:
        raise InputError(f"association {path}: no member is of exptype {SCIENCE!r}")
    return found


def members_of(tree: Any, where: str) -> list[dict]:
    """The members of the first product of an association that has been parsed.

    Parameters
    ----------
    tree : object
    where : str
        What messages call it.

    Returns
    -------
    list of dict
        Each with ``expname``.

    Raises
    ------
    InputError
        If it has not the form of an association.
    """
    products = tree.get("products") if hasattr(tree, "get") else None
    if not isinstance(products, list | tuple) or not products:
        raise InputError(f"{where}: is no association: it has no list 'products'")
    if len(products) > 1:
        log.warning("%s: it has %d products, the first is used", where, len(products))
    members = products[0].get("members") if hasattr(products[0], "get") else None
    if not isinstance(members, list | tuple) or not members:
        raise InputError(f"{where}: its product has no list 'members'")
    for number, member in enumerate(members):
        name = member.get("expname") if hasattr(member, "get") else None
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{where}: member {number} has no file name 'expname'")
    return list(members)


def _type(member):
    return str(member.get("exptype") or SCIENCE).strip().lower()


def _member(member, folder):
    group = member.get("group_id")
    return Member(
        folder / member["expname"],
        None if group is None or str(group).strip() == "" else str(group),
        catalog_of(member, folder),
    )


def catalog_of(member: Any, folder: PathLike | None) -> str | None:
    """``tweakreg_catalog`` of a member: see `Member`."""
    if "tweakreg_catalog" not in member:
        return None
    name = str(member["tweakreg_catalog"] or "").strip()
    return str(Path(folder) / name) if name and folder is not None else name
