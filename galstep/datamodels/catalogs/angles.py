"""Angles as people write them: numbers of degrees, sexagesimal text, astropy's objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from galstep.exceptions import InputError

__all__ = ["degrees_of", "degrees_of_text", "sky_place"]

# text that holds one of these is sexagesimal, other text a number of degrees
_SEXAGESIMAL = (":", "h", "d", "m", " ")


def degrees_of_text(text: str | bytes, hours: bool) -> float:
    """Degrees of a text.

    Parameters
    ----------
    text : str or bytes
        ``"150.1"``, ``"10:00:27.3"``, ``"10h00m27.3s"``, ``"10 00 27.3"``.
    hours : bool
        Whether sexagesimal text without a unit is in hours, as right ascensions are.

    Returns
    -------
    float
        NaN for an empty text, ``nan``, ``--`` and ``none``.

    Raises
    ------
    ValueError
        If it is no angle; also what astropy raises of its own kinds of that.
    """
    from astropy.coordinates import Angle

    text = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    text = text.strip()
    if text.lower() in ("", "nan", "--", "none"):
        return np.nan
    sexagesimal = any(letter in text.lower() for letter in _SEXAGESIMAL)
    return float(Angle(text, unit=u.hourangle if hours and sexagesimal else u.deg).deg)


def degrees_of(value: Any, hours: bool, what: str) -> float:
    """Degrees of one angle, however it is given.

    Parameters
    ----------
    value : float, str, Quantity or Angle
        Plain numbers are degrees.
    hours : bool
        See `degrees_of_text`.
    what : str
        What messages call it.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is no angle.
    """
    try:
        if isinstance(value, str | bytes):
            return degrees_of_text(value, hours)
        degrees = value.to_value(u.deg) if hasattr(value, "to_value") else value
        return float(degrees)
    except (ValueError, TypeError, u.UnitsError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{what} must be an angle (degrees, 10:00:27.3, 10h00m27.3s), got {value!r} ({reason})"
        ) from error


def sky_place(position: Any, what: str = "position") -> tuple[float, float]:
    """Right ascension and declination of one position.

    Parameters
    ----------
    position : SkyCoord, str, or pair
        A scalar ``SkyCoord`` of any frame; text such as ``"10:00:27.3 +02:13:42"``, or two
        numbers of degrees; a pair of whatever `degrees_of` takes.
    what : str, optional
        What messages call it.

    Returns
    -------
    (float, float)
        ICRS, degrees.

    Raises
    ------
    InputError
        If it is no single position.
    """
    from astropy.coordinates import SkyCoord

    if isinstance(position, SkyCoord):
        if position.size != 1:
            raise InputError(f"{what} must be one position, got a SkyCoord of {position.size}")
        icrs = position.icrs.reshape(())
        return float(icrs.ra.deg), float(icrs.dec.deg)
    if isinstance(position, str):
        parts = position.replace(",", " ").split()
        if len(parts) < 2 or len(parts) % 2:
            raise InputError(
                f"{what} must be right ascension and declination, such as "
                f"'10:00:27.3 +02:13:42', got {position!r}"
            )
        half = len(parts) // 2
        position = " ".join(parts[:half]), " ".join(parts[half:])
    pair = tuple(position) if isinstance(position, tuple | list | np.ndarray) else ()
    if len(pair) != 2:
        raise InputError(
            f"{what} must be a SkyCoord, text, or (ra, dec), got {type(position).__name__}"
        )
    ra, dec = (
        degrees_of(angle, hours, f"{what}: {name}")
        for angle, hours, name in zip(pair, (True, False), ("ra", "dec"), strict=True)
    )
    if not (np.isfinite(ra) and -90 <= dec <= 90):
        raise InputError(f"{what} must have a declination in [-90, 90], got {ra} and {dec} degrees")
    return ra, dec
