"""The ASDF schemas of the products, as resources that ``asdf`` can look up by URI."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELD_SCHEMA_URI", "GALAXY_SCHEMA_URI", "resource_mappings"]

_URI_PREFIX = "asdf://galstep/schemas/"

#: The schema of ``<name>_gal.asdf``.
GALAXY_SCHEMA_URI = f"{_URI_PREFIX}galaxy-1.0.0"
#: The schema of ``<name>_field.asdf``.
FIELD_SCHEMA_URI = f"{_URI_PREFIX}field-1.0.0"


def resource_mappings() -> list[Mapping]:
    """What the entry point ``asdf.resource_mappings`` gives: schema URI to content.

    Returns
    -------
    list of mapping
        One; a schema is read from its file when it is asked for.
    """
    from asdf.resource import DirectoryResourceMapping

    return [DirectoryResourceMapping(files(__name__), _URI_PREFIX)]
