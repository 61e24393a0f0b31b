"""Fields as the generators of the acceptance tests write them, read for the benchmarks.

A folder holds ``{g,r,i}.fits`` with FILTER ZP_AUTO SKYSIG EGAIN SATURATE, ``cat.csv``,
``truth.csv``, ``gaia.csv``, the true PSF in ``psfos_{band}.npy`` (4 x) or ``psf_{band}.npy`` (1 x),
or on a grid in ``psfgrid_{band}.npy``.
"""

from dataclasses import dataclass

import numpy as np
from astropy.io import ascii as text
from astropy.io import fits
from astropy.wcs import WCS

from galstep.core.field.records import ArrayPixels, FieldBand, FieldSources, SourceType
from galstep.core.field.scene_sources import ellipticity
from galstep.core.scene.psf_map import GridLaw, PsfMap

NAMES = ("g", "r", "i")
ZP_REF, SATURATION_DIVISOR = 25.0, 1.3
# what the generators put into the magnitudes of the reference stars
ZERO_POINTS = {"g": 25.03, "r": 24.98, "i": 25.05}


@dataclass(frozen=True)
class Truth:
    """Names, whether a star, vectors (N, 6), fluxes (N, 3), the row of a close companion or -1."""

    ids: np.ndarray
    star: np.ndarray
    z: np.ndarray
    flux: np.ndarray
    pair: np.ndarray


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
    """The images on the common scale, and their WCS."""
    bands = []
    for name in NAMES:
        raw, header = fits.getdata(folder / f"{name}.fits"), fits.getheader(folder / f"{name}.fits")
        scale = 10 ** (-0.4 * (header["ZP_AUTO"] - ZP_REF))
        mask = ~np.isfinite(raw) | (raw >= header["SATURATE"] / SATURATION_DIVISOR)
        pixels = ArrayPixels(raw.astype(float) * scale, mask)
        sigma, unit = header["SKYSIG"] * scale, scale / header["EGAIN"]
        bands.append(FieldBand(name, pixels, sigma, unit, true_psf(folder, name)))
    return bands, WCS(header)


def column(table, name):
    """A column as numbers, NaN where it has none."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    return np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)


def catalogue_of(folder, wcs, blind=False):
    """The input catalogue and the names of its rows; ``blind``: places alone."""
    table = text.read(folder / "cat.csv", converters={"ID": str})
    x, y = wcs.all_world2pix(column(table, "RA"), column(table, "DEC"), 0)
    names = np.array(table["ID"], dtype=str)
    if blind:
        return FieldSources.make(x, y, len(NAMES)), names
    star = np.array(table["TYPE"]) == "STAR"
    sources = FieldSources.make(
        x, y, len(NAMES), kind=np.where(star, SourceType.STAR, SourceType.SERSIC),
        r_eff=column(table, "Re"), ellip=column(table, "ELL"),
        theta=np.deg2rad(column(table, "THETA")),
    )  # fmt: skip
    return sources, names


def truth_of(folder):
    """What was put in, saturated and uncatalogued objects apart."""
    table = text.read(folder / "truth.csv", converters={"ID": str})
    star = np.array(table["kind"]) == "STAR"
    e1, e2 = ellipticity(1 - column(table, "q"), np.deg2rad(column(table, "pa")))
    z = np.column_stack(
        [column(table, "x"), column(table, "y"), np.log(column(table, "re")), e1, e2,
         np.log(column(table, "n"))]
    )  # fmt: skip
    z[star, 2:] = 0.0
    flux = np.column_stack([column(table, f"F_{name}") for name in NAMES])
    pair = np.nan_to_num(column(table, "pair"), nan=-1).astype(int)
    return Truth(np.array(table["ID"], dtype=str), star, z, flux, pair)


def rows_of(truth, names):
    """Rows of a catalogue by the truth's names."""
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[name] for name in truth.ids])


def robust(values):
    """1.48 times the median absolute deviation, column by column."""
    return 1.4826 * np.nanmedian(np.abs(values - np.nanmedian(values, axis=0)), axis=0)
