"""Fields of stars and galaxies against their truth: bias, pulls, time.

    python benchmarks/field.py FOLDER ... [--block_size 100] [--rounds 6] [--no-detect]

FOLDER holds a field as the generators of the acceptance tests write it: ``{g,r,i}.fits`` with
FILTER ZP_AUTO SKYSIG EGAIN SATURATE, ``cat.csv``, ``truth.csv``, the true PSF in
``psfos_{band}.npy`` (4 x) or ``psf_{band}.npy`` (1 x), or on a grid in ``psfgrid_{band}.npy``.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from astropy.io import ascii as text
from astropy.io import fits
from astropy.wcs import WCS

from galstep.core.field.options import FieldOptions
from galstep.core.field.records import ArrayPixels, FieldBand, FieldSources, SourceType
from galstep.core.field.rounds import fit_field
from galstep.core.field.scene_sources import ellipticity, shape_vectors
from galstep.core.scene.psf_map import GridLaw, PsfMap

NAMES = ("g", "r", "i")
ZP_REF, SATURATION_DIVISOR = 25.0, 1.3


def true_psf(folder, name):
    """The PSF that the field was drawn with."""
    if (folder / "psfgrid_xy.npy").exists():
        places = np.load(folder / "psfgrid_xy.npy")
        values = np.load(folder / f"psfgrid_{name}.npy").astype(float)
        side = len(places)
        return PsfMap(GridLaw(values.reshape(side, side, *values.shape[1:]), places, places, 4))
    if (folder / f"psfos_{name}.npy").exists():
        return PsfMap.single(np.load(folder / f"psfos_{name}.npy"), 4)
    return PsfMap.single(np.load(folder / f"psf_{name}.npy"), 1)


def bands_of(folder):
    """The images on the common scale."""
    bands = []
    for name in NAMES:
        raw, header = fits.getdata(folder / f"{name}.fits"), fits.getheader(folder / f"{name}.fits")
        scale = 10 ** (-0.4 * (header["ZP_AUTO"] - ZP_REF))
        mask = ~np.isfinite(raw) | (raw >= header["SATURATE"] / SATURATION_DIVISOR)
        pixels = ArrayPixels(raw.astype(float) * scale, mask)
        sigma, unit = header["SKYSIG"] * scale, scale / header["EGAIN"]
        bands.append(FieldBand(name, pixels, sigma, unit, true_psf(folder, name)))
    return bands, WCS(header)


def _column(table, name):
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)


def catalogue_of(folder, wcs):
    """The input catalogue, and the names of its rows."""
    table = text.read(folder / "cat.csv", converters={"ID": str})
    x, y = wcs.all_world2pix(_column(table, "RA"), _column(table, "DEC"), 0)
    star = np.array(table["TYPE"]) == "STAR"
    sources = FieldSources.make(
        x, y, len(NAMES), kind=np.where(star, SourceType.STAR, SourceType.SERSIC),
        r_eff=_column(table, "Re"), ellip=_column(table, "ELL"),
        theta=np.deg2rad(_column(table, "THETA")),
    )  # fmt: skip
    return sources, np.array(table["ID"], dtype=str)


def truth_of(folder):
    """Names, whether a star, vectors, fluxes."""
    table = text.read(folder / "truth.csv", converters={"ID": str})
    star = np.array(table["kind"]) == "STAR"
    q = _column(table, "q")
    e1, e2 = ellipticity(1 - q, np.deg2rad(_column(table, "pa")))
    z = np.column_stack(
        [_column(table, "x"), _column(table, "y"), np.log(_column(table, "re")), e1, e2,
         np.log(_column(table, "n"))]
    )  # fmt: skip
    z[star, 2:] = 0.0
    flux = np.column_stack([_column(table, f"F_{name}") for name in NAMES])
    return np.array(table["ID"], dtype=str), star, z, flux


def robust(values):
    """1.48 times the median absolute deviation, column by column."""
    return 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def report(title, change, errors, truth=None):
    """One block of the table: changes, stated errors, and the truth where it is a flux."""
    pull = change / errors
    inside = [round(float((np.abs(pull) < k).mean()), 3) for k in (1, 2)]
    bias = "" if truth is None else f"dF/F % {np.round(100 * np.median(change / truth, 0), 3)} "
    print(
        f"{title:9s} N {len(change):5d} {bias}pull std {np.round(pull.std(0), 2)} "
        f"robust {np.round(robust(pull), 2)} mean {np.round(pull.mean(0), 2)} "
        f"inside 1, 2 sigma {inside} worst {np.abs(pull).max():.1f}"
    )


def measure(folder, options):
    """Fit a field and print its lines of the table."""
    bands, wcs = bands_of(folder)
    sources, names = catalogue_of(folder, wcs)
    fit_field(bands, sources.rows(np.arange(3)), FieldOptions(rounds=1, detect=False))  # compiles
    begun = time.process_time()
    result = fit_field(bands, sources, options, report=lambda record: print("  ", record))
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{folder.name}: {len(sources)} sources, {len(result.blocks)} blocks, {seconds:.1f} CPU s, "
        f"{seconds / len(sources):.4f} s per source, peak {peak:.0f} MB, "
        f"{len(result.sources) - len(sources)} added, "
        f"{np.count_nonzero(~result.converged)} not converged"
    )
    ids, star, z, flux = truth_of(folder)
    place = {name: k for k, name in enumerate(names)}
    rows = np.array([place[name] for name in ids])
    own, errors = result.sources.flux[rows], result.errors.flux[rows]
    for title, chosen in (("stars", star), ("galaxies", ~star)):
        change = (own - flux)[chosen]
        report(title, change, errors[chosen], flux[chosen])
    fitted = shape_vectors(result.sources, options)[rows] - z
    sigma = np.array([np.sqrt(np.diag(result.covariance[k])[:2]) for k in rows])
    report("x, y", fitted[:, :2], sigma)
    shape = np.array([np.sqrt(np.diag(result.covariance[k])[2:6]) for k in rows[~star]])
    report("ln r e n", fitted[~star, 2:], shape)


def main():
    """Measure the fields that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--block_size", type=int, default=FieldOptions().block_size)
    parser.add_argument("--rounds", type=int, default=FieldOptions().rounds)
    parser.add_argument("--no-detect", action="store_true")
    given = parser.parse_args()
    options = FieldOptions(
        block_size=given.block_size, rounds=given.rounds, detect=not given.no_detect
    )
    for folder in given.folders:
        measure(folder, options)


if __name__ == "__main__":
    main()
