"""A measured galaxy as one row: the shape once, the rest by filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u

from galstep.batch.words import join_words
from galstep.datamodels.tables.galaxy_tables import phot_table, sersic_table
from galstep.datamodels.tables.totals import total_flux
from galstep.units import ab_magnitude, flux_unit

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = ["FILTER_COLUMNS", "SHAPE_COLUMNS", "column_unit", "result_row"]

SHAPE = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")
#: Of the base filter, as in the table ``_sersic``.
SHAPE_COLUMNS = (
    "ra", "dec", *(column for name in SHAPE for column in (name, f"{name}_err")),
)  # fmt: skip

_TOTAL = ("flux", "flux_err", "mag_ab", "mag_ab_err")
_FROM_PHOT = (
    "matched_mag_ab", "matched_mag_ab_err", "kron_mag_ab", "kron_mag_ab_err", "color",
    "color_err", "color_matched", "color_matched_err", "aper_flux", "aper_flux_err",
    "aper_mag_ab", "aper_mag_ab_err", "core_star_share", "n_stars", "flags",
)  # fmt: skip
#: Of each filter, its name appended: the total, knots included, and as in the table ``_phot``.
FILTER_COLUMNS = (*_TOTAL, "chi2_reduced", *_FROM_PHOT)

_MAGNITUDES = ("mag_ab_", "color_", "aper_mag_ab_", "matched_mag_ab_", "kron_mag_ab_")
_UNITS = {
    "ra": "deg", "dec": "deg", "x_0": "pix", "y_0": "pix", "r_eff": "pix", "theta": "rad",
}  # fmt: skip


def column_unit(name: str) -> str | None:
    """The unit of a column whatever the galaxy: None for fluxes and bare numbers."""
    if name in SHAPE_COLUMNS:
        return _UNITS.get(name.removesuffix("_err"))
    return "mag" if name.startswith(_MAGNITUDES) else None


def result_row(model: GalaxyModel) -> dict:
    """The main results of a model.

    The numbers are those of the product tables. The shape is that of the first
    Sersic component of the target; fluxes are its totals, all components and knots.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    dict
        Column to str, int or float. NaN for what was not measured.
    """
    first_unit = next(iter(model.bands.values())).unit
    row = {
        "filters": join_words(model.bands),
        "base_filter": model.meta.base_filter or "",
        "fit_step": model.meta.fit_step or "",
        # fluxes of all filters are in the unit of the first
        "flux_unit": str(flux_unit(first_unit)),
    }
    for line in sersic_table(model):
        of_target = line["galaxy_id"] == 0 and line["component"] == 0
        if line["filter"] == model.meta.base_filter and of_target:
            row |= {name: _bare(line[name]) for name in SHAPE_COLUMNS}
    for line in phot_table(model):
        band = model.bands[line["filter"]]
        values = _total(band, first_unit) | {name: _bare(line[name]) for name in _FROM_PHOT}
        row |= {f"{name}_{band.name}": value for name, value in values.items()}
    return row


def _total(band, unit):
    """The target's total flux, its magnitude, and how well the model fits; NaN without a fit."""
    if not band.fitted:
        return dict.fromkeys((*_TOTAL, "chi2_reduced"), float("nan"))
    flux, error = total_flux(band)
    magnitudes = ab_magnitude(flux, error, band.unit, band.pixel_area_sr)
    factor = u.Unit(band.unit).to(unit)
    total = (factor * flux, factor * error, *magnitudes)
    values = dict(zip(_TOTAL, total, strict=True)) | {"chi2_reduced": band.fit.chi2_reduced}
    return {name: float(value) for name, value in values.items()}


def _bare(value):
    return np.asarray(getattr(value, "value", value)).item()
