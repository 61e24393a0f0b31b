"""What a fit has found, as the catalogue, covariances and blocks of a `FieldModel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from galstep.core.field.records import SourceType
from galstep.core.field.sky_errors import angular_errors
from galstep.core.field.zero_points import calibrated
from galstep.datamodels.field.field_catalog import empty_start
from galstep.datamodels.field.field_data import FieldBlock
from galstep.datamodels.field.field_tables import field_table, say_reliable
from galstep.flags import FieldFlag
from galstep.sky_frame import sky_of_pixels
from galstep.steps.field.field_bands import fwhm_at
from galstep.steps.field.field_rows import append_rows, rows_of

if TYPE_CHECKING:
    from galstep.core.field.results import FieldResult
    from galstep.datamodels.field.field_model import FieldModel

__all__ = ["put_joint", "put_single"]

_SHAPE = ("x", "y", "r_eff", "n", "ellip", "theta")


def put_joint(model: FieldModel, result: FieldResult) -> None:
    """Take the result of a fit of all bands together, in place.

    Parameters
    ----------
    model : FieldModel
        Rows that the fit has added come behind those that it has.
    result : `galstep.core.field.results.FieldResult`
    """
    bands = list(model.bands)
    _add_rows(model, result.sources, bands)
    values = _shared(model, result)
    for index, band in enumerate(bands):
        values |= _of_band(model, result, index, band)
    _finish(model, values, bands, result.issues)
    model.covariance = [np.asarray(own) for own in result.covariance]
    model.covariance_names = [
        result.names(i, bands) if len(own) else [] for i, own in enumerate(result.covariance)
    ]
    for own, sky in zip(model.bands.values(), result.skies, strict=True):
        own.sky_scale, own.sky_factors = float(sky.scale), np.array(sky.factors, dtype=float)
    model.blocks = [_block(own) for own in result.blocks]
    model.meta.rounds = [_round(own, "") for own in result.rounds]


def put_single(model: FieldModel, results: dict[str, FieldResult]) -> None:
    """Take the results of fits of each band alone, in place.

    The columns of all bands together are those of the band in which the source has the largest
    S/N; flags are those of all bands together.

    Parameters
    ----------
    model : FieldModel
    results : dict of str to FieldResult
        By band. What one band has added the others do not know: such rows have that band only.
    """
    bands, first = list(model.bands), len(model)
    parts, counts = {}, {}
    for band, result in results.items():
        counts[band] = len(result.sources) - first
        _add_rows(model, result.sources, [band], first)
    total = len(model)
    values: dict[str, Any] = {}
    snr = np.full((len(bands), total), -np.inf)
    where = {}
    begin = first
    for index, (band, result) in enumerate(results.items()):
        rows = np.concatenate([np.arange(first), np.arange(begin, begin + counts[band])])
        begin += counts[band]
        where[band] = rows
        own = _shared(model, result, rows)
        parts[band] = own
        flux, err = result.sources.flux[:, 0], result.errors.flux[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            snr[index, rows] = np.nan_to_num(flux / err, nan=-np.inf)
        for name, column in _of_band(model, result, 0, band, rows).items():
            values[name] = _spread(column, rows, total)
        for name in _SHAPE:
            for end in ("", "_err"):
                values[f"{name}_{band}{end}"] = _spread(own[f"{name}{end}"], rows, total)
    best = np.argmax(snr, axis=0)
    for name in next(iter(parts.values())):
        chosen = [_spread(parts[band][name], where[band], total) for band in bands]
        values[name] = np.choose(best, chosen) if len(bands) < 32 else _chosen(best, chosen)
    flags = np.zeros(total, dtype=np.int64)
    for band in bands:
        flags[where[band]] |= parts[band]["flags"]
    values["flags"] = flags
    reasons = [""] * total
    for band, result in results.items():
        for row, text in zip(where[band], result.issues, strict=True):
            if text:
                reasons[row] = "; ".join(filter(None, [reasons[row], f"{band}: {text}"]))
    _finish(model, values, bands, reasons, single=True)
    _put_single_covariances(model, results, where, best, bands)
    for band, result in results.items():
        (sky,) = result.skies
        own = model.bands[band]
        own.sky_scale, own.sky_factors = float(sky.scale), np.array(sky.factors, dtype=float)
    model.blocks = [_block(own, band) for band, r in results.items() for own in r.blocks]
    model.meta.rounds = [_round(own, band) for band, r in results.items() for own in r.rounds]


def _put_single_covariances(model, results, where, best, bands):
    model.covariance = [np.zeros((0, 0))] * len(model)
    model.covariance_names = [[] for _ in range(len(model))]
    for index, band in enumerate(bands):
        result = results[band]
        for i, row in enumerate(where[band]):
            if best[row] == index and len(result.covariance[i]):
                model.covariance[row] = np.asarray(result.covariance[i])
                model.covariance_names[row] = result.names(i, [band])


def _chosen(best, columns):
    return np.array([columns[b][i] for i, b in enumerate(best)])


def _spread(column, rows, total):
    """A column of some rows as one of all: NaN, False or empty elsewhere."""
    column = np.asarray(column)
    fill = {"f": np.nan, "U": "", "b": False, "i": -1}[column.dtype.kind]
    spread = np.full(total, fill, dtype=column.dtype if column.dtype.kind != "U" else "U80")
    spread[rows] = column
    return spread


def _add_rows(model, sources, bands, first=None):
    """Rows for what the fit has found beside what it was given."""
    first = len(model) if first is None else first
    found = sources.rows(np.arange(first, len(sources)))
    rows = rows_of(found, bands, "new_", model.start["id"])
    full = empty_start(len(rows), list(model.bands))
    for name in rows.colnames:
        full[name] = rows[name]
    full["flags"] = int(FieldFlag.ADDED)
    append_rows(model, full)


def _shared(model, result, rows=None):
    """Columns of all bands together: plain numbers."""
    rows = np.arange(len(model)) if rows is None else rows
    sources, errors = result.sources, result.errors
    start = model.start[rows]
    fitted = np.asarray(sources.fit, dtype=bool)
    values: dict[str, Any] = {
        name: np.asarray(start[name]) for name in ("id", "row", "reference_id")
    }
    values |= {"x_input": start["x"], "y_input": start["y"], "type_input": start["type"]}
    names = np.array([kind.name for kind in SourceType])
    values["type"] = np.where(fitted, names[np.asarray(sources.kind)], "")
    is_star = np.asarray(sources.kind) == SourceType.STAR
    for name in _SHAPE:
        extended = name not in ("x", "y")
        known = fitted & ~is_star if extended else fitted
        value = np.where(known, getattr(sources, name), np.nan)
        error = np.where(known, getattr(errors, name), np.nan)
        turn = np.degrees if name == "theta" else np.asarray
        values[name], values[f"{name}_err"] = turn(value), turn(error)
    values["theta"] = np.mod(values["theta"] + 90.0, 180.0) - 90.0
    values |= _on_sky(model.reference, values)
    values |= {
        "flags": np.asarray(sources.flags, dtype=np.int64),
        "at_bound": np.array(result.at_bound, dtype=str),
        "n_iterations": np.asarray(result.n_iterations, dtype=int),
        "converged": np.asarray(result.converged, dtype=bool),
        "block": np.asarray(result.block, dtype=int),
        "blend": np.asarray(result.blend, dtype=float),
    }
    for index, name in enumerate(("star", "exp", "dev", "sersic")):
        values[f"chi2_{name}"] = np.asarray(result.type_chi2)[:, index]
    return values


def _on_sky(band, values):
    count = len(values["x"])
    nothing = np.full(count, np.nan)
    found = dict.fromkeys(("ra", "ra_err", "dec", "dec_err", "r_eff_sky", "r_eff_sky_err"), nothing)
    known = np.isfinite(values["x"]) & np.isfinite(values["y"])
    if band.wcs is None or not known.any():
        return found
    found = {name: nothing.copy() for name in found}
    x, y = values["x"][known], values["y"][known]
    found["ra"][known], found["dec"][known] = sky_of_pixels(band.wcs, x, y)
    found["ra_err"][known], found["dec_err"][known], side = angular_errors(
        lambda x, y: sky_of_pixels(band.wcs, x, y), x, y, values["x_err"][known],
        values["y_err"][known],
    )  # fmt: skip
    for end in ("", "_err"):
        found[f"r_eff_sky{end}"][known] = values[f"r_eff{end}"][known] * side * 3600.0
    return found


def _of_band(model, result, index, band, rows=None):
    """Columns of one band."""
    own = model.bands[band]
    fitted = np.asarray(result.sources.fit, dtype=bool)
    flux = np.where(fitted, result.sources.flux[:, index], np.nan)
    error = np.where(fitted, result.errors.flux[:, index], np.nan)
    magnitude, magnitude_err, limit = calibrated(flux, error, model.meta.zp_ref)
    return {
        f"flux_{band}": flux,
        f"flux_{band}_err": error,
        f"mag_{band}": magnitude,
        f"mag_{band}_err": magnitude_err,
        f"mag_{band}_limit": limit,
        f"chi2_reduced_{band}": np.asarray(result.chi2)[:, index],
        f"sky_{band}": np.asarray(result.sky)[:, index],
        f"frac_in_mask_{band}": np.asarray(result.frac_masked)[:, index],
        f"psf_n_stars_{band}": np.full(len(flux), own.psf.n_stars),
        f"psf_fwhm_{band}": fwhm_at(own, result.sources.x, result.sources.y),
    }


def _finish(model, values, bands, reasons, single=False):
    model.catalog = field_table(values, len(model), bands, single)
    earlier = [str(text) for text in model.start["reason"]]
    words = ["; ".join(filter(None, pair)) for pair in zip(earlier, reasons, strict=True)]
    say_reliable(model.catalog, words)


def _block(record, band=""):
    box = record.box
    return FieldBlock(
        int(record.block), box.x0, box.y0, box.x1, box.y1, np.asarray(record.rows),
        int(record.n_iterations), np.asarray(record.chi2, dtype=float), np.asarray(record.n_pixels),
        _sky(record.sky), float(record.seconds), str(record.reason), band,
    )  # fmt: skip


def _sky(sky):
    """Coefficients of all bands as one array, short ones filled with NaN."""
    rows = [np.ravel(np.asarray(own, dtype=float)) for own in sky]
    width = max((len(row) for row in rows), default=0)
    filled = np.full((len(rows), width), np.nan)
    for row, own in zip(filled, rows, strict=True):
        row[: len(own)] = own
    return filled


def _round(record, band):
    own = {name: getattr(record, name) for name in record.__dataclass_fields__}
    own["n_not_searched"] = len(own.pop("not_searched"))
    return {k: float(v) if isinstance(v, float) else int(v) for k, v in own.items()} | {
        "band": band
    }
