"""`Card`: what the page shows of one galaxy, as plain numbers and texts."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from galstep.datamodels.tables.galaxy_tables import phot_table
from galstep.datamodels.tables.main_numbers import KINDS, FilterNumbers, Magnitude, main_numbers
from galstep.filters import filter_wavelength

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["FAILED", "OK", "Card"]

OK, FAILED = "ok", "failed"


@dataclass
class Card:
    """One galaxy.

    Parameters
    ----------
    name : str
    status : str
        ``ok``, ``failed``, ``pending``.
    reason : str, optional
        Why it failed.
    folder : str, optional
        Of its files, relative to the folder that is reported on; with ``/``.
    ra, dec : float, optional
        ICRS, degrees; NaN where not known.
    base_filter, fit_step, version : str, optional
    r_eff_arcsec : float, optional
        Half-light radius along the major axis.
    filters : list of FilterNumbers, optional
        By wavelength.
    reasons : dict of str to list of str, optional
        Why flags are set, by filter.
    pictures : dict of str to bytes, optional
        `galstep.plotting.thumbnails.thumbnails`.
    """

    name: str
    status: str = OK
    reason: str = ""
    folder: str = ""
    ra: float = math.nan
    dec: float = math.nan
    base_filter: str = ""
    fit_step: str = ""
    version: str = ""
    r_eff_arcsec: float = math.nan
    filters: list[FilterNumbers] = field(default_factory=list)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of_model(cls, model: GalaxyModel, name: str, pictures: dict[str, bytes]) -> Self:
        """The card of a measured galaxy.

        Parameters
        ----------
        model : `galstep.datamodels.GalaxyModel`
        name : str
            What its files begin with.
        pictures : dict of str to bytes

        Returns
        -------
        Card
        """
        filters = sorted(main_numbers(model), key=_wavelength)
        base = model.bands.get(model.meta.base_filter or "")
        ra, dec = _place(base)
        own = [numbers for numbers in filters if base is not None and numbers.filter == base.name]
        return cls(
            name,
            ra=ra,
            dec=dec,
            base_filter=model.meta.base_filter or "",
            fit_step=model.meta.fit_step or "",
            version=model.meta.version or "",
            r_eff_arcsec=own[0].r_eff * base.pixel_scale if own else math.nan,
            filters=filters,
            reasons=dict(phot_table(model).meta["reasons"]),
            pictures=pictures,
        )

    @property
    def numbers(self) -> FilterNumbers | None:
        """Those of the base filter."""
        return next((own for own in self.filters if own.filter == self.base_filter), None)

    def to_json(self) -> str:
        """The card as text, its pictures aside."""
        values = asdict(self)
        del values["pictures"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The card that `to_json` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it is none.
        """
        values: dict[str, Any] = json.loads(text)
        values["filters"] = [_numbers(own) for own in values["filters"]]
        return cls(**values)


def _numbers(values):
    return FilterNumbers(**{k: Magnitude(**v) if k in KINDS else v for k, v in values.items()})


def _wavelength(numbers):
    """Filters whose names tell no wavelength stay in their order, behind the others."""
    found = filter_wavelength(numbers.filter)
    return math.inf if found is None else found


def _place(band):
    """Right ascension and declination of the galaxy in its base filter."""
    if band is None or not band.fitted or not band.fit.target:
        return math.nan, math.nan
    params = band.fit.target[0].params
    ra, dec = band.sky_position(params.x_0, params.y_0)
    return float(ra), float(dec)
