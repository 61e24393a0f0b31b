"""The tables of a model: one row per filter and component, filter, star and filter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import Column as TextColumn
from astropy.table import QTable

from galstep import __version__
from galstep.datamodels.tables import columns
from galstep.datamodels.tables.amplitude import amplitude_and_error
from galstep.datamodels.tables.aperture_rows import aperture_part, aperture_rows
from galstep.datamodels.tables.colors import matched_color, total_color
from galstep.datamodels.tables.frames import to_table_frame
from galstep.datamodels.tables.main_magnitudes import LIMIT_SIGMA, galaxy_limit, main_fluxes
from galstep.datamodels.tables.totals import total_flux
from galstep.flags import BandFlag, StarFlag
from galstep.mapped_records import mapped_sersic, mapped_stars
from galstep.units import ab_magnitude, flux_limits, flux_unit

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel

__all__ = [
    "aperture_table",
    "completeness_table",
    "forced_table",
    "injection_table",
    "knot_table",
    "make_tables",
    "phot_table",
    "sersic_table",
    "star_table",
]

_FORCED_ARRAYS = ("star_id", "flux", "flux_err", "flux_limit", "chi2_reduced", "flags")
_SERSIC_WITH_ERROR = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")


def make_tables(model: GalaxyModel) -> dict[str, QTable]:
    """All tables of a model.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    dict of str to `astropy.table.QTable`
        Keys as in `galstep.datamodels.tables.columns.COLUMNS`.
    """
    tables = {
        "sersic": sersic_table(model),
        "phot": phot_table(model),
        "stars": star_table(model),
        "knots": knot_table(model),
    }
    if any(band.aperture is not None for band in model.bands.values()):
        tables["apertures"] = aperture_table(model)
    if any(band.forced is not None for band in model.bands.values()):
        tables["forced"] = forced_table(model)
    if model.injections is not None:
        tables["injection"] = injection_table(model)
        tables["completeness"] = completeness_table(model)
    return tables


def sersic_table(model: GalaxyModel) -> QTable:
    """One row per filter, galaxy and Sersic component; the target has the ``galaxy_id`` 0.

    A filter without a fit has one row of NaN, with its flags. Centres and shapes
    are in the base filter's input frame, brightness and flux per pixel of the
    filter itself.
    """
    rows = []
    for band in model.bands.values():
        components = band.fit.sersic if band.fitted else ()
        numbers = Counter()
        for fit in components:
            row = _sersic_row(model, band, numbers[fit.galaxy_id], fit)
            rows.append(row | (_whole_galaxy(band) if fit is components[0] else {}))
            numbers[fit.galaxy_id] += 1
        if not components:
            nothing = {"galaxy_id": 0, "component": 0, "flags": band.all_flags}
            rows.append({"filter": band.name} | nothing)
    return _build(model, "sersic", rows, BandFlag)


def phot_table(model: GalaxyModel) -> QTable:
    """One row per filter: total flux, sky, PSF, aperture photometry and colour.

    Numbers that no step has measured are NaN.
    """
    rows = []
    for band in model.bands.values():
        row = {"filter": band.name, "flags": band.all_flags}
        row |= dict.fromkeys(("n_stars", "n_knots", "n_core_found"), 0)
        if band.psf_kernel is not None:
            row["psf_fwhm"] = band.psf_kernel.fwhm
        if band.fitted:
            row |= _total_part(band) | {
                **_place(band),
                "sky": band.fit.sky.level,
                "sky_err": band.fit.sky.level_err,
                "n_stars": len(band.fit.stars),
                "noise_corr": band.fit.noise_corr,
                "matched_flux": band.fit.matched_flux,
                "matched_flux_err": band.fit.matched_flux_err,
                "matched_radius": band.fit.matched_radius,
                **_half_light(band),
            }
        if band.aperture is not None:
            row |= aperture_part(model, band)
        row["color"], row["color_err"] = total_color(model, band)
        row["color_matched"], row["color_matched_err"] = matched_color(model, band)
        rows.append(row)
    return _build(model, "phot", rows, BandFlag)


def aperture_table(model: GalaxyModel) -> QTable:
    """One row per filter and aperture; positions in the input frame."""
    return _build(model, "apertures", aperture_rows(model), BandFlag)


def _place(band):
    """Where the target is; NaN without a WCS."""
    if not band.fit.target:
        return {}
    params = band.fit.target[0].params
    ra, dec = band.sky_position(params.x_0, params.y_0)
    return {"ra": ra, "dec": dec}


def _total_part(band):
    """The columns of the table ``phot`` that say what the target's light consists of."""
    fit = band.fit
    flux, error = total_flux(band)
    mag, mag_err = ab_magnitude(flux, error, band.unit, band.pixel_area_sr)
    return {
        "total_flux": flux,
        "total_flux_err": error,
        "total_mag_ab": mag,
        "total_mag_ab_err": mag_err,
        "total_mag_ab_limit": galaxy_limit(flux, error, band),
        "knot_flux": fit.knot_flux,
        "n_knots": len(fit.knots),
        "core_star_share": fit.core_star_share,
        "n_core_found": fit.n_core_found,
        "n_core_expected": fit.n_core_expected,
    }


def _half_light(band):
    return _main_magnitude(band, "half", "matched_mag_ab")


def _main_magnitude(band, kind, column):
    mag, err = ab_magnitude(*main_fluxes(band)[kind], band.unit, band.pixel_area_sr)
    return {column: mag, f"{column}_err": err}


def star_table(model: GalaxyModel) -> QTable:
    """One row per star and filter; positions in the base filter's input frame."""
    return _point_table(model, "stars")


def knot_table(model: GalaxyModel) -> QTable:
    """As `star_table`, of what is point-like and counts as the galaxy's light."""
    return _point_table(model, "knots")


def _point_table(model, kind):
    rows = []
    for band in model.bands.values():
        if not band.fitted:
            continue
        own = getattr(band.fit, kind)
        placed = mapped_stars(to_table_frame(model, band), own)
        part = {name: getattr(placed, name) for name in placed.__dataclass_fields__}
        limit = flux_limits(own.flux, own.flux_err, LIMIT_SIGMA)
        rows += _rows_of(band, part | _brightness(band, own, limit))
    return _build(model, kind, rows, StarFlag)


def forced_table(model: GalaxyModel) -> QTable:
    """One row per given position and filter; positions in the base filter's input frame.

    How each filter was fitted and where its positions are from is in ``meta["sources"]``.
    """
    rows, sources = [], {}
    for band in model.bands.values():
        forced = band.forced
        if forced is None:
            continue
        frame = to_table_frame(model, band)
        part = {name: getattr(forced, name) for name in _FORCED_ARRAYS}
        part["catalog_id"] = forced.name
        part["x"], part["y"] = frame.points(forced.x, forced.y)
        part["x_given"], part["y_given"] = frame.points(forced.x_given, forced.y_given)
        part["x_err"], part["y_err"] = frame.position_errors(forced.x_err, forced.y_err)
        part["n_sigma"] = np.full(len(forced), forced.n_sigma)
        rows += _rows_of(band, part | _brightness(band, forced, forced.flux_limit))
        sources[band.name] = f"{forced.mode}: {forced.source}"
    table = _build(model, "forced", rows, StarFlag)
    table.meta["sources"] = sources
    return table


def _brightness(band, stars, limit):
    """Sky positions, magnitudes and S/N of stars in a filter's own pixels."""
    ra, dec = band.sky_position(stars.x, stars.y)
    calibration = band.unit, band.pixel_area_sr
    mag, mag_err = ab_magnitude(stars.flux, stars.flux_err, *calibration)
    return {
        "ra": ra,
        "dec": dec,
        "mag_ab": mag,
        "mag_ab_err": mag_err,
        "mag_ab_limit": ab_magnitude(limit, np.zeros(len(limit)), *calibration)[0],
        "snr": _ratio(stars.flux, stars.flux_err),
    }


def _rows_of(band, part):
    """Rows of the arrays of a filter."""
    count = len(part["flux"])
    return [
        {"filter": band.name, **{name: values[i] for name, values in part.items()}}
        for i in range(count)
    ]


def injection_table(model: GalaxyModel) -> QTable:
    """One row per injected source and filter; positions in the input frame.

    The statistics of each filter are in ``meta["summary"]``.
    """
    injections = model.injections
    names = [column.name for column in columns.COLUMNS["injection"]]
    rows = []
    for index in range(len(injections)):
        row = {name: getattr(injections, name)[index] for name in names}
        x_min, y_min = model.bands[row["filter"]].origin
        for axis, first in (("x", x_min), ("y", y_min)):
            row[axis], row[f"{axis}_true"] = row[axis] + first, row[f"{axis}_true"] + first
        rows.append(row)
    table = _build(model, "injection", rows, BandFlag)
    table.meta["summary"] = injections.summary
    return table


def completeness_table(model: GalaxyModel) -> QTable:
    """One row per filter and bin of S/N: what share of stars is found, and is real."""
    rows = [
        {"filter": name, **share}
        for name, own in model.injections.summary.items()
        for share in own.get("stars", {}).get("bins", ())
    ]
    return _build(model, "completeness", rows, StarFlag)


def _whole_galaxy(band):
    """What the first row of the target says of all of it."""
    return _half_light(band) | _main_magnitude(band, "kron", "kron_mag_ab")


def _sersic_row(model, band, component, fit):
    placed = mapped_sersic(to_table_frame(model, band), fit)
    ra, dec = band.sky_position(fit.params.x_0, fit.params.y_0)
    row = {
        "filter": band.name,
        "galaxy_id": fit.galaxy_id,
        "component": component,
        "ra": ra,
        "dec": dec,
        "flux": fit.flux,
        "flux_err": fit.flux_err,
        "mag_ab_limit": galaxy_limit(fit.flux, fit.flux_err, band),
        "chi2_reduced": band.fit.chi2_reduced,
        "flags": band.all_flags,
    }
    for name in _SERSIC_WITH_ERROR:
        row[name], row[f"{name}_err"] = getattr(placed.params, name), getattr(placed, f"{name}_err")
    row["amplitude"], row["amplitude_err"] = amplitude_and_error(fit)
    row["mag_ab"], row["mag_ab_err"] = ab_magnitude(
        fit.flux, fit.flux_err, band.unit, band.pixel_area_sr
    )
    return row


def _ratio(value, error):
    """value / error, NaN where the error is not known or not positive."""
    error = np.asarray(error, dtype=float)
    return np.asarray(value) / np.where(error > 0, error, np.nan)


def _build(model, table, rows, registry):
    """A `QTable` with the columns of ``table`` from a list of row dicts.

    What a row does not name is NaN. Fluxes and brightnesses of filters in other
    units are converted to that of the first filter.
    """
    first = next(iter(model.bands.values()))
    to_first = {name: u.Unit(b.unit).to(first.unit) for name, b in model.bands.items()}
    result = QTable(meta=_meta(model, registry))
    for column in columns.COLUMNS[table]:
        values = [row.get(column.name, np.nan) for row in rows]
        if column.unit is None:
            values = np.array(values, dtype=column.dtype)
            result[column.name] = TextColumn(values, description=column.text)
            continue
        unit = _unit(column.unit, first.unit)
        if column.unit in ("image", columns.FLUX):
            values = [v * to_first[row["filter"]] for v, row in zip(values, rows, strict=True)]
        values = np.array(values, dtype=float)
        values[np.isnan(values)] = np.nan  # files read back have NaN of the other sign
        result[column.name] = u.Quantity(values, unit)
        result[column.name].info.description = column.text
    return result


def _unit(name, image_unit):
    """The astropy unit that a column's ``unit`` stands for."""
    if name == columns.FLUX:
        return flux_unit(image_unit)
    return u.Unit(image_unit) if name == "image" else u.Unit(name)


def _meta(model, registry):
    """What a table says of itself: whose it is, what made it, what the flags mean."""
    return {
        "galaxy": model.meta.name,
        "galstep_version": __version__,
        "fit_step": model.meta.fit_step,
        "base_filter": model.meta.base_filter,
        "position_frame": "input frame of the base filter, 0-based pixels, centres at integers",
        "flags": {int(flag): f"{flag.name.lower()}: {flag.text}" for flag in registry},
        "reasons": {name: _reasons(band) for name, band in model.bands.items() if _reasons(band)},
    }


def _reasons(band):
    """Why the flags of a filter are set, in words, each once."""
    results = (band.psf_kernel, band.fit, band.aperture)
    reasons = [*band.reasons, *(result.reason for result in results if result is not None)]
    return [str(reason) for reason in dict.fromkeys(reasons) if reason]
