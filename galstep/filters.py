"""What the name of a filter says."""

import re

__all__ = ["filter_wavelength"]

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
