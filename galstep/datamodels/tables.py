"""The tables of a model: one row per filter and component, filter, star and filter."""

import numpy as np
from astropy import units as u
from astropy.table import Column as TextColumn
from astropy.table import QTable

from galstep import __version__
from galstep.datamodels import columns
from galstep.datamodels.amplitude import amplitude_and_error
from galstep.flags import BandFlag, StarFlag
from galstep.units import MAG_PER_LN, ab_magnitude, flux_unit

__all__ = ["make_tables", "phot_table", "sersic_table", "star_table"]

_SERSIC_WITH_ERROR = ("r_eff", "n", "ellip", "theta")


def make_tables(model):
    """All tables of a model.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`

    Returns
    -------
    dict of str to `astropy.table.QTable`
        Keys as in `galstep.datamodels.columns.COLUMNS`.
    """
    return {"sersic": sersic_table(model), "phot": phot_table(model), "stars": star_table(model)}


def sersic_table(model):
    """One row per filter and Sersic component.

    A filter without a fit has one row of NaN, with its flags. Centres are in
    the input frame.
    """
    rows = []
    for band in model.bands.values():
        components = band.fit.sersic if band.fitted else ()
        rows += [_sersic_row(band, i, fit) for i, fit in enumerate(components)]
        if not components:
            rows.append({"filter": band.name, "component": 0, "flags": band.all_flags})
    return _build(model, "sersic", rows, BandFlag)


def phot_table(model):
    """One row per filter: sky, PSF, aperture photometry and colour.

    Numbers that no step has measured are NaN.
    """
    rows = []
    for band in model.bands.values():
        row = {"filter": band.name, "n_stars": 0, "flags": band.all_flags}
        if band.psf_kernel is not None:
            row["psf_fwhm"] = band.psf_kernel.fwhm
        if band.fitted:
            row |= {
                "sky": band.fit.sky.level,
                "sky_err": band.fit.sky.level_err,
                "n_stars": len(band.fit.stars),
                "noise_corr": band.fit.noise_corr,
            }
        if band.aperture is not None:
            row |= _aperture_part(band)
        row["color"], row["color_err"] = _color(model, band)
        rows.append(row)
    return _build(model, "phot", rows, BandFlag)


def star_table(model):
    """One row per star and filter; positions in the input frame."""
    rows = []
    for band in model.bands.values():
        if not band.fitted:
            continue
        stars, (x_min, y_min) = band.fit.stars, band.origin
        mag, mag_err = ab_magnitude(stars.flux, stars.flux_err, band.unit, band.pixel_area_sr)
        part = {name: getattr(stars, name) for name in stars.__dataclass_fields__}
        part |= {"x": stars.x + x_min, "y": stars.y + y_min, "mag_ab": mag, "mag_ab_err": mag_err}
        part["snr"] = _ratio(stars.flux, stars.flux_err)
        rows += [
            {"filter": band.name, **{name: values[i] for name, values in part.items()}}
            for i in range(len(stars))
        ]
    return _build(model, "stars", rows, StarFlag)


def _sersic_row(band, component, fit):
    params, (x_min, y_min) = fit.params, band.origin
    row = {
        "filter": band.name,
        "component": component,
        "x_0": params.x_0 + x_min,
        "x_0_err": fit.x_0_err,
        "y_0": params.y_0 + y_min,
        "y_0_err": fit.y_0_err,
        "flux": fit.flux,
        "flux_err": fit.flux_err,
        "chi2_reduced": band.fit.chi2_reduced,
        "flags": band.all_flags,
    }
    for name in _SERSIC_WITH_ERROR:
        row[name], row[f"{name}_err"] = getattr(params, name), getattr(fit, f"{name}_err")
    row["amplitude"], row["amplitude_err"] = amplitude_and_error(fit)
    row["mag_ab"], row["mag_ab_err"] = ab_magnitude(
        fit.flux, fit.flux_err, band.unit, band.pixel_area_sr
    )
    return row


def _aperture_part(band):
    """The columns of `phot_table` that aperture photometry fills."""
    measured = band.aperture
    mag, mag_err = ab_magnitude(measured.flux, measured.flux_err, band.unit, band.pixel_area_sr)
    return {
        "aper_flux": measured.flux,
        "aper_flux_err": measured.flux_err,
        "aper_mag_ab": mag,
        "aper_mag_ab_err": mag_err,
        "mag_corr": mag + measured.psf_correction,
        "mag_corr_err": np.hypot(mag_err, measured.psf_correction_err),
        "aper_a": measured.aperture.a,
        "aper_b": measured.aperture.b,
        "aper_theta": measured.aperture.theta,
        "petrosian_radius": measured.petrosian_radius,
        "frac_enclosed": measured.frac_enclosed,
    }


def _color(model, band):
    """Total magnitude minus that of the base filter, and its error.

    To first order the variance is that of ln(F / F_base). The covariance of the
    two fluxes comes from the joint fit; without one they count as independent.
    """
    base = model.bands.get(model.meta.base_filter)
    if base is None or not (base.fitted and band.fitted):
        return np.nan, np.nan
    (flux, variance), (base_flux, base_variance) = _total(band), _total(base)
    mag, _ = ab_magnitude(flux, 0.0, band.unit, band.pixel_area_sr)
    base_mag, _ = ab_magnitude(base_flux, 0.0, base.unit, base.pixel_area_sr)
    if not np.isfinite(mag - base_mag):
        return np.nan, np.nan
    if band is base:
        return 0.0, 0.0
    joint, cross = model.joint, 0.0
    if joint is not None and {band.name, base.name} <= set(joint.filters):
        i, j = joint.filters.index(band.name), joint.filters.index(base.name)
        matrix = joint.flux_covariance
        variance, base_variance, cross = matrix[i, i], matrix[j, j], matrix[i, j]
    log_variance = (
        variance / flux**2 + base_variance / base_flux**2 - 2 * cross / (flux * base_flux)
    )
    return mag - base_mag, MAG_PER_LN * np.sqrt(max(log_variance, 0.0))


def _total(band):
    """Flux of all components of a filter and its variance, as if independent."""
    components = band.fit.sersic
    return sum(c.flux for c in components), sum(c.flux_err**2 for c in components)


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
        result[column.name] = u.Quantity(np.array(values, dtype=float), unit)
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
        "position_frame": "input frame, 0-based pixels, centres at integers",
        "flags": {int(flag): f"{flag.name.lower()}: {flag.text}" for flag in registry},
        "reasons": {name: _reasons(band) for name, band in model.bands.items() if _reasons(band)},
    }


def _reasons(band):
    """Why the flags of a filter are set, in words, each once."""
    results = (band.psf_kernel, band.fit, band.aperture)
    reasons = [*band.reasons, *(result.reason for result in results if result is not None)]
    return [str(reason) for reason in dict.fromkeys(reasons) if reason]
