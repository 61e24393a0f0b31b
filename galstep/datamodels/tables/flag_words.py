"""The flags of a galaxy in words, filters with the same flag together, with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from galstep.flags import BandFlag

if TYPE_CHECKING:
    from galstep.datamodels import BandData, GalaxyModel

__all__ = ["FlagWords", "flag_words"]

_BOUND = " at the bound"


class FlagWords(NamedTuple):
    """One flag: its name in words, the filters that have it, what it is, what to do."""

    name: str
    filters: tuple[str, ...]
    text: str
    remedy: str


def flag_words(model: GalaxyModel) -> list[FlagWords]:
    """Every flag that a filter of the galaxy has, in order of the bits.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    list of FlagWords
        ``at bound`` names the parameters in its text. Empty if there are no flags.
    """
    found = []
    for flag in BandFlag:
        flagged = [band for band in model.bands.values() if band.all_flags & flag]
        if not flagged:
            continue
        text = flag.text
        if flag == BandFlag.AT_BOUND and (names := _at_bound(flagged)):
            text = f"{text}: {', '.join(names)}"
        name = flag.name.lower().replace("_", " ")
        found.append(FlagWords(name, tuple(band.name for band in flagged), text, flag.remedy))
    return found


def _at_bound(bands: list[BandData]) -> list[str]:
    """Names of the parameters at their bounds, as the reasons of the fits have them."""
    names = {}
    for band in bands:
        reason = band.fit.reason if band.fitted else ""
        for part in reason.split("; "):
            if part.endswith(_BOUND):
                names |= dict.fromkeys(part.removesuffix(_BOUND).split(", "))
    return list(names)
