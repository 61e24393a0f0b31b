"""World coordinates as text: a FITS header in one string, and back."""

import warnings

from galstep.exceptions import InputError

__all__ = ["wcs_from_text", "wcs_to_text"]

_CARD_LENGTH = 80


def wcs_from_text(text, what):
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

    if isinstance(text, bytes):
        text = text.decode("ascii", errors="replace")
    try:
        with warnings.catch_warnings():
            # headers of real instruments break small FITS rules that change nothing here
            warnings.simplefilter("ignore", AstropyWarning)
            wcs = WCS(Header.fromstring(text, sep="\n" if "\n" in text else ""), naxis=2)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{what}: the WCS cannot be read ({error})") from error
    if not wcs.has_celestial:
        raise InputError(f"{what}: the WCS must be celestial, got axes {list(wcs.wcs.ctype)}")
    return wcs


def wcs_to_text(wcs):
    """The WCS as one string of FITS cards; the inverse of `wcs_from_text`."""
    return wcs.to_header(relax=True).tostring(endcard=False, padding=False)
