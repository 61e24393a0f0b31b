"""What the name of a filter says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["by_wavelength", "filter_wavelength"]

# HST optical filters are named in nanometres; HST infrared, JWST and Roman
# filters in hundredths of a micron
# fmt: off
_NANOMETRES = frozenset((
    "F200LP", "F218W", "F225W", "F275W", "F300X", "F330W", "F336W", "F350LP", "F390W",
    "F435W", "F438W", "F475W", "F475X", "F555W", "F600LP", "F606W", "F625W", "F775W",
    "F814W", "F850LP",
))
# fmt: on


def filter_wavelength(name: str) -> float | None:
    """Wavelength (micron) that a filter's name stands for.

    Parameters
    ----------
    name : str
        Such as ``"F150W"`` or ``"F814W"``.

    Returns
    -------
    float or None
        None if the name holds no wavelength.
    """
    match = re.fullmatch(r"F(\d{3,4})[A-Z]{0,2}\d?", name.upper())
    if match is None:
        return None
    return int(match[1]) / (1000 if name.upper() in _NANOMETRES else 100)


def by_wavelength(names: Iterable[str]) -> list[str]:
    """Filters from blue to red; those whose names hold no wavelength last, as they come.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of str
    """
    names = list(names)
    known = [name for name in names if filter_wavelength(name) is not None]
    others = [name for name in names if filter_wavelength(name) is None]
    return sorted(known, key=filter_wavelength) + others
