"""Files of a synthetic galaxy: the package's input layout, and the truth as ECSV."""

from pathlib import Path

import h5py
import numpy as np
from astropy.table import QTable, Table

_STORAGE = {"compression": "gzip", "compression_opts": 9, "shuffle": True, "track_times": False}


def write_images(path, data, err, wcs):
    """A dataset per filter, in the order given, and the group ``error`` of those in ``err``.

    A filter in ``wcs`` has it as an attribute, a FITS header as one string.
    """
    with h5py.File(path, "w", track_order=True) as file:
        for name in data:
            file.create_dataset(name, data=np.float32(data[name]), **_STORAGE)
            if name in err:
                file.create_dataset(f"error/{name}", data=np.float32(err[name]), **_STORAGE)
            if name in wcs:
                file[name].attrs["wcs"] = wcs[name].to_header_string(relax=True)
    return Path(path)


def write_psfs(path, arrays, oversample):
    """A dataset per filter and the root attribute ``oversample``."""
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["oversample"] = oversample
        for name, array in arrays.items():
            file.create_dataset(name, data=np.float32(array), **_STORAGE)
    return Path(path)


def write_table(path, table):
    """ECSV; an existing file is replaced."""
    table.write(path, format="ascii.ecsv", overwrite=True)
    return Path(path)


def galaxy_table(truth):
    """One row per filter; names and units as in the product ``_sersic.ecsv``."""
    shape, rows = truth.sersic, []
    for name in truth.filters:
        dx, dy = truth.offsets[name]
        rows.append(
            {
                "filter": name,
                "x_0": shape.x_0 + dx,
                "y_0": shape.y_0 + dy,
                "r_eff": shape.r_eff,
                "n": shape.n,
                "ellip": shape.ellip,
                "theta": shape.theta,
                "flux": truth.fluxes[name],
                "mag_ab": truth.mag_ab(name),
                "sky": truth.sky[name].level,
                "noise_sigma": truth.noise_sigma[name],
                "psf_fwhm": truth.psfs[name].fwhm,
                "psf_blur": truth.psf_blur[name],
                "n_stars": len(truth.stars),
            }
        )
    table = QTable(rows)
    units = dict.fromkeys(("x_0", "y_0", "r_eff", "psf_fwhm", "psf_blur"), "pix")
    units |= {"theta": "rad", "flux": "MJy pix / sr", "sky": "MJy/sr", "noise_sigma": "MJy/sr"}
    for column, unit in units.items():
        table[column].unit = unit
    table.meta = _meta(truth)
    return table


def structured_table(synthetic):
    """One row per filter: totals, sky, noise, and the light inside 1 and 2 half-light ellipses."""
    truth, rows = synthetic.truth, []
    ellipse, r_half = truth.ellipse, truth.r_half
    weights = {k: ellipse.weights(k * r_half, truth.shape) for k in (1, 2)}
    for name in truth.filters:
        target, others = synthetic.galaxy[name], synthetic.companions[name]
        row = {"filter": name, "x": ellipse.x, "y": ellipse.y, "ellip": ellipse.ellip}
        row |= {"theta": ellipse.theta, "r_half": r_half, "flux": truth.fluxes[name]}
        for part in truth.galaxy.parts:
            row[f"flux_{part.name}"] = part.fluxes[name]
        for k, weight in weights.items():
            row[f"flux_{k}_r_half"] = float(np.sum(weight * target))
            row[f"companions_{k}_r_half"] = float(np.sum(weight * others))
        row |= {"sky": truth.sky[name].level, "noise_sigma": truth.noise_sigma[name]}
        row |= {"psf_fwhm": truth.psfs[name].fwhm, "psf_blur": truth.psf_blur[name]}
        rows.append(row)
    table = QTable(rows)
    units = dict.fromkeys(("x", "y", "r_half", "psf_fwhm", "psf_blur"), "pix")
    units |= {"theta": "rad", "sky": "MJy/sr", "noise_sigma": "MJy/sr"}
    for column in table.colnames:
        if column.startswith(("flux", "companions")):
            units[column] = "MJy pix / sr"
    for column, unit in units.items():
        table[column].unit = unit
    table.meta = {"kind": truth.kind, "base_filter": truth.base} | _meta(truth)
    return table


def star_table(truth):
    """One row per star, with the flux and the S/N in each filter."""
    table = Table(truth.stars, copy=True)
    table["x"].unit = table["y"].unit = "pix"
    for name in truth.filters:
        table[f"flux_{name}"].unit = "MJy pix / sr"
    table.meta = _meta(truth)
    return table


def _meta(truth):
    return {
        "seed": truth.seed,
        "shape": list(truth.shape),
        "pixel_scale_arcsec": truth.pixel_scale,
        "noise": truth.noise,
        "oversample": truth.oversample,
    }
