"""The model as HDF5 in the layout of sphot, for scripts that read that.

Root: ``name``, ``filters``, ``crop_x0`` and ``crop_y0`` (centre of the crop in
the input frame, pixels), ``crop_size``; where an aperture was measured
``aper_sci_positions``, ``aper_sci_a``, ``aper_sci_b``, ``aper_sci_theta`` (crop
pixels, radians). Text is JSON in bytes, as there.

One group per filter with images, the parameters of the first Sersic component
under astropy's names, ``sersic_params_physical``, ``kernel_params``, the star
table ``psf_table`` and the magnitudes; ``forced_table`` and ``completeness_table``
are the rows of the tables of these names. Units stand in attributes. What was not
measured is left out. Two names differ in meaning: fluxes in ``psf_table`` are
true totals (sphot's were multiplied by oversample^2), and ``psf_sub_data`` still
holds the sky. ``sersic_modelimg`` and ``psf_modelimg`` are the galaxy's Sersic
components and the stars; ``knots_modelimg`` and ``companions_modelimg`` what else
counts as galaxies, with the rows of ``_knots`` and ``_sersic`` in ``knots_table`` and
``companions_table``; ``total_flux`` is all the galaxy's light, ``knot_flux`` that of
its knots. The file is for reading elsewhere; galstep reads images and PSFs back, not
what was fitted.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from galstep import __version__
from galstep.datamodels.files.hdf5_access import new_hdf5
from galstep.datamodels.files.safe_name import safe_name
from galstep.datamodels.files.wcs_text import wcs_to_text
from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.datamodels.tables.totals import total_flux

if TYPE_CHECKING:
    from galstep.datamodels import GalaxyModel
    from galstep.hints import PathLike

__all__ = ["write_hdf5"]

_STAR_COLUMNS = {  # photutils' names, which sphot's tables have
    "id": "star_id",
    "x_fit": "x",
    "y_fit": "y",
    "flux_fit": "flux",
    "x_err": "x_err",
    "y_err": "y_err",
    "flux_err": "flux_err",
    "reduced_chi2": "chi2_reduced",
    "flags": "flags",
}
_WHOLE_TABLES = ("forced", "completeness", "knots")
_MAGNITUDES = {
    "mag_raw": "aper_mag_ab",
    "mag_raw_err": "aper_mag_ab_err",
    "mag_corr": "mag_corr",
    "mag_corr_err": "mag_corr_err",
    "aper_petro": "petrosian_radius",
    "aper_frac_enclosed": "frac_enclosed",
}


def write_hdf5(model: GalaxyModel, path: PathLike) -> None:
    """Write the model to ``path``, whole or not at all.

    Parameters
    ----------
    model : `galstep.datamodels.GalaxyModel`
    path : path-like

    Raises
    ------
    InputError
        If the folder is not there.
    """
    tables = make_tables(model)
    photometry = {str(row["filter"]): row for row in tables["phot"]}
    with new_hdf5(path) as file:
        file.attrs["galstep_version"] = __version__
        _write_all(file, _root(model))
        for name, band in model.bands.items():
            group = file.create_group(safe_name(name))
            group.attrs.update(unit=band.unit, pixel_scale=band.pixel_scale)
            if band.wcs is not None:
                group.attrs["wcs"] = wcs_to_text(band.wcs)
            _write_all(group, _images(band) | _scalars(band) | _fit(band))
            if band.aperture is not None:
                _write_all(group, _aperture(band, photometry[name]))
            for kind in _WHOLE_TABLES:
                if kind in tables:
                    _write_all(group, {f"{kind}_table": _records(tables[kind], name)})
            others = tables["sersic"][tables["sersic"]["galaxy_id"] > 0]
            _write_all(group, {"companions_table": _records(others, name)})


def _write_all(group, values):
    for name, value in values.items():
        if value is not None:
            group.create_dataset(name, data=value)


def _json(value):
    return json.dumps(value).encode()


def _root(model):
    bands = list(model.bands.values())
    first = model.bands.get(model.meta.base_filter) or bands[0]
    ny, nx = first.shape
    root = {
        "name": _json(model.meta.name),
        "filters": _json(list(model.bands)),
        "crop_x0": first.origin[0] + (nx - 1) / 2,
        "crop_y0": first.origin[1] + (ny - 1) / 2,
        "crop_size": max(nx, ny),
    }
    measured = [band.aperture for band in (first, *bands) if band.aperture is not None]
    if measured:
        aperture = measured[0].aperture
        root |= {
            "aper_sci_positions": (aperture.x, aperture.y),
            "aper_sci_a": aperture.a,
            "aper_sci_b": aperture.b,
            "aper_sci_theta": aperture.theta,
        }
    return root


def _images(band):
    return {
        "data": band.data,
        "data_error": band.err,
        "mask": band.mask,
        "psf": band.psf,
        "sersic_modelimg": band.galaxy,
        "knots_modelimg": band.knots,
        "companions_modelimg": band.companions,
        "psf_modelimg": band.stars,
        "psf_sub_data": band.star_subtracted,
        "sky_model": band.sky,
        "residual": band.residual,
    }


def _scalars(band):
    values = {
        "filtername": _json(band.name),
        "psf_oversample": band.oversample,
        "flags": band.all_flags,
    }
    if band.psf_kernel is not None:
        kernel = band.psf_kernel
        values["kernel_family"] = _json(kernel.family)
        values["kernel_params"] = _json([float(value) for value in kernel.parameters])
        values["psf_fwhm"] = kernel.fwhm
    return values


def _fit(band):
    if not band.fitted:
        return {}
    fit = band.fit
    total, total_err = total_flux(band)
    values = {
        "_bkg_level": fit.sky.level,
        "psf_table": _star_records(fit.stars),
        "total_flux": total,
        "total_flux_err": total_err,
        "knot_flux": fit.knot_flux,
    }
    if fit.target:
        shape = {name: float(value) for name, value in asdict(fit.target[0].params).items()}
        values |= shape | {
            "sersic_flux": fit.target[0].flux,
            "sersic_flux_err": fit.target[0].flux_err,
            "sersic_params_physical": _json(shape),
            "galaxy_size_sersic": shape["r_eff"],
        }
    return values


def _star_records(stars):
    """The star list as one compound array, a row per star."""
    columns = {name: np.asarray(getattr(stars, field)) for name, field in _STAR_COLUMNS.items()}
    table = np.empty(len(stars), dtype=[(name, c.dtype) for name, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


def _records(table, name):
    """The rows of a filter as one compound array, text as bytes; None without any."""
    own = table[np.asarray(table["filter"]) == name]
    if not len(own):
        return None
    columns = {key: np.asarray(getattr(own[key], "value", own[key])) for key in own.colnames}
    columns = {k: np.char.encode(c) if c.dtype.kind == "U" else c for k, c in columns.items()}
    records = np.empty(len(own), dtype=[(key, column.dtype) for key, column in columns.items()])
    for key, column in columns.items():
        records[key] = column
    return records


def _aperture(band, row):
    values = {name: float(getattr(row[c], "value", row[c])) for name, c in _MAGNITUDES.items()}
    values["dmag_PSFcorr"] = band.aperture.psf_correction
    values["dmag_PSFcorr_err"] = band.aperture.psf_correction_err
    return values
