"""Units of images as archives and people spell them.

``ELECTRONS/S``, ``counts/s``, ``e-/s``, ``MJY/SR``: what astropy does not know is
respelled, word by word. The prefix of a jansky keeps its case, because ``mJy`` and
``MJy`` differ by 10^9; where a text has lost it (``mjy``) there is no telling.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from astropy import units as u

from galstep.exceptions import InputError
from galstep.unit_bounds import check_unit_scale, check_unit_text

if TYPE_CHECKING:
    from astropy.units import UnitBase

__all__ = ["parse_unit"]

# lower case -> what astropy knows
_WORDS = {
    **dict.fromkeys(("electron", "electrons", "e"), "electron"),
    **dict.fromkeys(("count", "counts", "ct", "cts", "cnt", "cnts"), "count"),
    **dict.fromkeys(("cps", "counts/s"), "count/s"),
    **dict.fromkeys(("dn", "dns"), "DN"),
    **dict.fromkeys(("adu", "adus"), "adu"),
    **dict.fromkeys(("photon", "photons", "ph"), "photon"),
    # a capital S is a siemens to astropy, and never that in an image
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("pix", "pixel", "pixels"), "pix"),
    **dict.fromkeys(("sr", "ster", "sterad", "steradian", "steradians"), "sr"),
    **dict.fromkeys(("arcsec", "arcsecs", "arcsecond", "arcseconds", "asec"), "arcsec"),
    **dict.fromkeys(("beam", "beams"), "beam"),
    **dict.fromkeys(("hz", "hertz"), "Hz"),
    **dict.fromkeys(("erg", "ergs"), "erg"),
    **dict.fromkeys(("angstrom", "angstroms", "aa"), "AA"),
    **dict.fromkeys(("nanomaggy", "nanomaggies"), "nmgy"),
    "cm": "cm",
}
_PREFIXES = {"micro": "u", "milli": "m", "nano": "n", "kilo": "k", "mega": "M", "giga": "G"}
# letters that mean one thing in either case; of the letters m and p only the case tells
_LETTERS = {"u": "u", "\u00b5": "u", "\u03bc": "u", "n": "n", "k": "k", "g": "G"}
_JANSKY = re.compile(
    rf"({'|'.join(_PREFIXES)}|[munkgp\u00b5\u03bc])?[ -]?(jy|jansky|janskys|janskies)",
    re.IGNORECASE,
)
# the exponent of a number is no word
_WORD = re.compile(r"\d\.?[eE][+-]?\d+|[A-Za-z\u00b5\u03bc]+")
_ELECTRON = re.compile(r"(?<![A-Za-z0-9])[eE]-(?![\d.])")


def parse_unit(text: Any, what: str) -> UnitBase:
    """The unit that a keyword names, in astropy's spelling or that of archives.

    Parameters
    ----------
    text : str, bytes or `astropy.units.Unit`
    what : str
        Where it stands, as messages call it.

    Returns
    -------
    `astropy.units.UnitBase`

    Raises
    ------
    InputError
        If it is not a unit, may be one of two, or has no positive scale.
    """
    if isinstance(text, bytes):
        text = text.decode("ascii", errors="replace")
    if not isinstance(text, u.UnitBase):
        check_unit_text(str(text), what)
    unit = text if isinstance(text, u.UnitBase) else _parsed(str(text).strip(), what)
    if unit is None:
        raise InputError(
            f"{what}: unit must be one that astropy knows, got {str(text)!r}: such as MJy/sr, "
            "nJy/pixel, electron/s"
        )
    # mag(AB), dex(Jy), a pair of units: none of them a number times a unit
    if not isinstance(unit, u.UnitBase) or {u.mag, u.dex, u.dB} & set(unit.bases):
        raise InputError(f"{what}: unit must be linear in the light, got {unit.to_string()!r}")
    check_unit_scale(unit, what)
    return unit


def _parsed(text, what):
    for spelling in (_respelled(text, what), text):
        try:
            with warnings.catch_warnings():
                # a second slash, which everybody reads in one way
                warnings.simplefilter("ignore", u.UnitsWarning)
                return u.Unit(spelling)
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _respelled(text, what):
    """``ELECTRONS/S`` as ``electron/s``, word by word."""
    text = _ELECTRON.sub("electron", text)
    text = re.sub(r"\bper\b", "/", text, flags=re.IGNORECASE)
    text = re.sub(rf"\b({'|'.join(_PREFIXES)})[ -](?=j)", r"\1", text, flags=re.IGNORECASE)
    return _WORD.sub(lambda match: _word(match[0], text, what), text)


def _word(word, text, what):
    known = _WORDS.get(word.lower())
    if known is not None:
        return known
    jansky = _JANSKY.fullmatch(word)
    if jansky is None:
        return word
    prefix = jansky[1] or ""
    name = prefix.lower()
    # a keyword in capitals is MJy, as archives write it; nobody has an image in petajansky
    if (name == "m" and word.islower()) or (name == "p" and word.isupper()):
        factor = "1e9" if name == "m" else "1e27"
        raise InputError(
            f"{what}: unit {text!r} may be {name}Jy or {name.upper()}Jy, which differ by {factor}: "
            "write the one meant"
        )
    return _PREFIXES.get(name, _LETTERS.get(name, prefix)) + "Jy"
