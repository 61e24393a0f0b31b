"""Numbers in a WCS header that say how much memory and time reading it takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_wcs_header"]

_MOST_AXES = 9
# astropy makes a matrix of (order + 1)^2; the SIP convention has orders of one digit
_SIP_ORDERS = ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER")
_HIGHEST_ORDER = 9
# wcslib keeps as many parameters as the largest m of PVi_m and PSi_m says
_PARAMETER = re.compile(r"P[VS]\d+_(\d+)[A-Z]?")
_MOST_PARAMETERS = 99
# a header of cards: what the largest SIP and TPV headers have, many times over
_MOST_CARDS = 20_000


def check_wcs_header(header: Mapping, what: str) -> None:
    """Raise `InputError` for what wcslib or astropy would not end with.

    Parameters
    ----------
    header : mapping
        Keyword to value, or a ``astropy.io.fits.Header``.
    what : str
        Where it stands, as messages call it.
    """
    if len(header) > _MOST_CARDS:
        raise InputError(f"{what}: the header has more than {_MOST_CARDS} cards")
    axes = header.get("WCSAXES", 2)
    if not _is_count(axes) or not 0 < axes <= _MOST_AXES:
        raise InputError(f"{what}: WCSAXES must be 1 to {_MOST_AXES}, got {axes!r}")
    for key in _SIP_ORDERS:
        order = header.get(key, 0)
        if not _is_count(order) or not 0 <= order <= _HIGHEST_ORDER:
            raise InputError(f"{what}: {key} must be 0 to {_HIGHEST_ORDER}, got {order!r}")
    for key in header:
        parameter = _PARAMETER.fullmatch(str(key))
        if parameter and int(parameter[1]) > _MOST_PARAMETERS:
            raise InputError(f"{what}: {key} must be one of {_MOST_PARAMETERS} parameters at most")


def _is_count(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
