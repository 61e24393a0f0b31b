"""Which filter the others are measured against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from galstep.core.fitting.cutout import central_signal
from galstep.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galstep.datamodels import BandData

__all__ = ["choose_base_filter"]

log = logging.getLogger("stpipe.galstep.base_filter")


def choose_base_filter(bands: Mapping[str, BandData], wanted: str | None) -> str:
    """The filter asked for, or the one in which the galaxy is seen best.

    Parameters
    ----------
    bands : dict of str to galstep.datamodels.BandData
        The filters that can be chosen.
    wanted : str or None
        A filter's name. None, a filter that is not among them, or one without
        usable pixels: the filter with the most signal
        (`galstep.core.fitting.cutout.central_signal`), said in the log.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If no filter has a usable pixel.
    """
    usable = {name: band for name, band in bands.items() if band.usable}
    if wanted in usable:
        return wanted
    if not usable:
        raise InputError(f"base filter: none of {', '.join(bands)} has a usable pixel")
    signal = {name: central_signal(band.data, band.mask) for name, band in usable.items()}
    best = max(signal, key=signal.get)
    if wanted is not None:
        why = "has no usable pixels" if wanted in bands else "is not in the data"
        log.info(
            "base filter %s %s: %s is used, which has the most signal (S/N %.0f)",
            wanted, why, best, signal[best],
        )  # fmt: skip
    return best
