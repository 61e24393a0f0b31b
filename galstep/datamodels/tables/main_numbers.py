"""The numbers of a filter that are looked at first: half-light, Kron and total magnitude.

What shows a model in one place (its ``repr``, the page of ``galstep report``) takes them
from here; they are those of the tables ``_phot``, ``_apertures`` and ``_sersic``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.datamodels.tables.colors import total_color
from galstep.datamodels.tables.frames import to_table_frame
from galstep.datamodels.tables.main_magnitudes import main_magnitudes
from galstep.flags import decode
from galstep.mapped_records import mapped_sersic

if TYPE_CHECKING:
    from galstep.datamodels.galaxy import GalaxyModel

__all__ = ["KINDS", "FilterNumbers", "Magnitude", "main_numbers"]

#: The magnitudes, in the order in which they are shown.
KINDS = {
    "half": "inside the base filter's half-light ellipse",
    "kron": "inside the Kron ellipse",
    "total": "all of the galaxy's light",
}


@dataclass(frozen=True)
class Magnitude:
    """An AB magnitude with its 1-sigma error, NaN where there is none.

    Parameters
    ----------
    value, error : float
    limit : float, optional
        The upper limit of a galaxy that is not detected, else NaN.
    """

    value: float = np.nan
    error: float = np.nan
    limit: float = np.nan

    def __str__(self) -> str:
        if np.isfinite(self.limit):
            return f"> {self.limit:.2f}"
        if not np.isfinite(self.value):
            return "-"
        error = f"{self.error:.3f}" if np.isfinite(self.error) else "-"
        return f"{self.value:.3f} ± {error}"

    @property
    def sort_value(self) -> float:
        """What a table is sorted by: the limit where there is one."""
        return self.limit if np.isfinite(self.limit) else self.value


@dataclass(frozen=True)
class FilterNumbers:
    """What is shown of the target in one filter.

    Parameters
    ----------
    filter : str
    half, kron, total : Magnitude
        See `KINDS`. An upper limit stands there only with the flag ``faint``.
    color, color_err : float
        This filter minus the base filter, total magnitudes.
    r_eff, n : float
        Of the first Sersic component, base filter's pixels.
    n_stars : int
    chi2 : float
        Reduced chi-squared of the fit.
    flags : int
        `galstep.flags.BandFlag` bits.
    """

    filter: str
    half: Magnitude
    kron: Magnitude
    total: Magnitude
    color: float
    color_err: float
    r_eff: float
    n: float
    n_stars: int
    chi2: float
    flags: int

    @property
    def words(self) -> list[str]:
        """The flags by name, without underscores."""
        return [name.replace("_", " ") for name in decode(self.flags)]


def main_numbers(model: GalaxyModel) -> list[FilterNumbers]:
    """The main numbers of every filter, in the model's order.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    list of FilterNumbers
    """
    return [_of_filter(model, band) for band in model.bands.values()]


def _of_filter(model, band):
    color, color_err = total_color(model, band)
    first = band.fit.target[0] if band.fitted and band.fit.target else None
    shape = None if first is None else mapped_sersic(to_table_frame(model, band), first).params
    return FilterNumbers(
        band.name,
        **_magnitudes(band),
        color=float(color),
        color_err=float(color_err),
        r_eff=np.nan if shape is None else float(shape.r_eff),
        n=np.nan if shape is None else float(shape.n),
        n_stars=len(band.fit.stars) if band.fitted else 0,
        chi2=float(band.fit.chi2_reduced) if band.fitted else np.nan,
        flags=band.all_flags,
    )


def _magnitudes(band):
    found = main_magnitudes(band)
    return {kind: Magnitude(*found[kind]) for kind in KINDS}
