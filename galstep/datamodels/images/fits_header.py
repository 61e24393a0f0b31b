"""What the keywords of FITS headers say: filter, calibration, pixel size."""

from __future__ import annotations

import re
from math import degrees, isfinite, sqrt
from typing import TYPE_CHECKING, Any

from galstep.datamodels.images.image_source import Calibration
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "calibration_of",
    "combined_filter",
    "filter_in_text",
    "filter_of_header",
    "pixel_scale_of",
    "positive",
]

# names of wide, medium and narrow filters: F090W, F150W2, F555W, F1130W, F850LP, FR914M
_FILTER = r"F[RQ]?\d{3,4}(?:LP|[WMNX])\d?"
_IN_TEXT = re.compile(rf"(?<![A-Z0-9]){_FILTER}(?![A-Z0-9])", re.IGNORECASE)
_FILTER_KEYWORDS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "BAND")
_NO_FILTER = ("CLEAR", "OPEN", "NONE", "N/A", "MASK", "GR", "FND", "WL")
_AB_ZERO_POINTS = (
    "ABZP", "ABZPT", "ABMAG", "ABMAGZP", "ABMAG_ZP", "ABMAGZPT", "AB_ZP", "ZP_AB", "ZPAB",
    "MAGZPAB",
)  # fmt: skip
_PIXEL_SIDES = ("PIXSCALE", "PIXELSCL", "PIXSCAL1", "SECPIX")
_ARCSEC_PER_RADIAN = 3600 * degrees(1)


def filter_of_header(header: Mapping) -> str | None:
    """Name of the filter, None if no keyword tells.

    Parameters
    ----------
    header : mapping
        Keywords in capitals.

    Notes
    -----
    Where two wheels hold a filter each (NIRCam's and NIRISS's ``PUPIL``), the
    narrower one counts, which stands in ``PUPIL``.
    """
    pupil = str(header.get("PUPIL", "")).strip()
    return combined_filter(pupil, *(str(header.get(k, "")).strip() for k in _FILTER_KEYWORDS))


def combined_filter(pupil: str | None, *others: Any) -> str | None:
    """The filter in the light's path, None if there is none.

    Parameters
    ----------
    pupil : str or None
        Element in the pupil wheel.
    *others : str or None
        Elements in the filter wheels; those that are clear do not count.
    """
    if pupil and re.fullmatch(_FILTER, pupil, re.IGNORECASE):
        return pupil.upper()
    names = [name for name in others if name and not name.upper().startswith(_NO_FILTER)]
    return "+".join(dict.fromkeys(names)) or None


def filter_in_text(text: str) -> str | None:
    """The one filter that a file or extension name holds, in capitals; None if not one."""
    found = {name.upper() for name in _IN_TEXT.findall(text.replace("_", " "))}
    return found.pop() if len(found) == 1 else None


def calibration_of(header: Mapping, what: str) -> Calibration:
    """The flux calibration that keywords give.

    Parameters
    ----------
    header : mapping
    what : str
        The file and extension, as messages call it.

    Raises
    ------
    InputError
        If a keyword holds no positive number (a magnitude: no finite one).
    """
    return Calibration(
        megajansky_per_sr=positive(header, "PHOTMJSR", what),
        flam=positive(header, "PHOTFLAM", what),
        pivot=positive(header, "PHOTPLAM", what),
        fnu=positive(header, "PHOTFNU", what),
        ab_zero_point=_zero_point(header, what),
        exposure_time=positive(header, "EXPTIME", what),
    )


def pixel_scale_of(header: Mapping, what: str) -> float | None:
    """Side of a pixel (arcsec) from keywords other than the WCS; None if none tells."""
    area = positive(header, "PIXAR_SR", what)
    if area is not None:
        return sqrt(area) * _ARCSEC_PER_RADIAN
    area = positive(header, "PIXAR_A2", what)
    if area is not None:
        return sqrt(area)
    sides = [positive(header, keyword, what) for keyword in _PIXEL_SIDES]
    return next((side for side in sides if side is not None), None)


def positive(header: Mapping, keyword: str, what: str) -> float | None:
    """The value of a keyword that must be a positive number; None if it is not there.

    0 stands for "not known" in the headers of some archives.
    """
    value = header.get(keyword)
    if value is None or value == "" or value == 0:
        return None
    number = _number(value, keyword, what)
    if number < 0:
        raise InputError(f"{what}: {keyword} must be positive, got {value}")
    return number


def _zero_point(header, what):
    found = [keyword for keyword in _AB_ZERO_POINTS if header.get(keyword) not in (None, "")]
    return _number(header[found[0]], found[0], what) if found else None


def _number(value, keyword, what):
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        raise InputError(f"{what}: {keyword} must be a number, got {value!r}")
    return number
