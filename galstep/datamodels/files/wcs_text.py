"""World coordinates as text: a FITS header in one string, and back."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from galstep.datamodels.files.messages import one_line
from galstep.datamodels.files.wcs_bounds import check_wcs_header
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from astropy.wcs import WCS

__all__ = ["wcs_from_text", "wcs_to_text"]

# 20000 cards
_LONGEST = 1_600_000


def wcs_from_text(text: str | bytes, what: str) -> WCS:
    """The WCS that a FITS header describes.

    Parameters
    ----------
    text : str or bytes
        Cards of 80 characters one after the other, or one card per line.
    what : str
        Where it stands, as messages call it.

    Returns
    -------
    `astropy.wcs.WCS`

    Raises
    ------
    InputError
        If it is no header of a celestial WCS in two dimensions.
    """
    from astropy.io.fits import Header
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    if len(text) > _LONGEST:
        raise InputError(f"{what}: the WCS must be a FITS header, got {len(text)} characters")
    if isinstance(text, bytes):
        text = text.decode("ascii", errors="replace")
    try:
        with warnings.catch_warnings():
            # headers of real instruments break small FITS rules that change nothing here
            warnings.simplefilter("ignore", AstropyWarning)
            header = Header.fromstring(text, sep="\n" if "\n" in text else "")
            check_wcs_header(header, what)
            wcs = WCS(header, naxis=2)
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"{what}: the WCS cannot be read ({one_line(error)})") from error
    if not wcs.has_celestial:
        raise InputError(f"{what}: the WCS must be celestial, got axes {list(wcs.wcs.ctype)}")
    return wcs


def wcs_to_text(wcs: Any) -> str:
    """The WCS as one string of FITS cards; the inverse of `wcs_from_text`."""
    return wcs.to_header(relax=True).tostring(endcard=False, padding=False)
