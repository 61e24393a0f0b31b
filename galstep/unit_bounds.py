"""What a unit may look like: bounded before astropy computes with it, sane after.

``10**999999999 Jy`` is a valid unit for whose scale Python's integers need hours,
``-1 Jy`` one that turns the sign of an image, ``1e999 Jy`` one that is infinite.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from astropy import units as u

from galstep.exceptions import InputError

__all__ = ["check_unit_scale", "check_unit_text"]

# "1e-20 erg s-1 cm-2 Angstrom-1 arcsec-2" has 40
_LONGEST = 100
# what may be an exponent; 10**9999 takes a microsecond and is no float any more
_EXPONENT = re.compile(r"(?:\*\*|\^|[-+(])\s*[-+(]*\s*(\d+)")
_MOST_DIGITS = 4


def check_unit_text(text: str, what: str) -> None:
    """Raise `InputError` for a text on which astropy's parser would not end.

    Parameters
    ----------
    text : str
        A unit.
    what : str
        Where it stands, as messages call it.
    """
    if len(text) > _LONGEST:
        raise InputError(
            f"{what}: unit must have at most {_LONGEST} characters, got {len(text)}: {text[:20]!r}"
        )
    if any(len(digits) > _MOST_DIGITS for digits in _EXPONENT.findall(text)):
        raise InputError(f"{what}: unit must have sensible exponents, got {text!r}")


def check_unit_scale(unit: Any, what: str) -> None:
    """Raise `InputError` for a unit whose scale is not a positive number.

    Parameters
    ----------
    unit : `astropy.units.UnitBase`
    what : str
        Where it stands, as messages call it.
    """
    if not isinstance(unit, u.UnitBase):
        return
    try:
        decomposed = unit.decompose()
        if u.dex in decomposed.bases:  # a magnitude is a negative number of dex
            return
        scales = (unit.scale, decomposed.scale)
    except (u.UnitsError, OverflowError, ZeroDivisionError) as error:
        raise InputError(f"{what}: unit must have a sensible scale, got '{unit}'") from error
    if not all(np.isreal(scale) and 0 < scale < np.inf for scale in scales):
        raise InputError(f"{what}: unit must have a positive, finite scale, got '{unit}'")
