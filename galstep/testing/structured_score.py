r"""Products of structured galaxies beside their truth: light, star subtraction, stars, colours.

The columns, per galaxy and filter:

==================  =============================================================
dF, pull            total flux of the target against the truth; in quoted errors
e1, e2              data - stars - sky inside the true ellipses of 1 and 2 half-light
                    radii against the true light of all galaxies there, over the
                    target's: what star subtraction and sky cost
s2, noise2          the sky's part of e2; the white pixel noise of e2
false, false_flux   stars of S/N > 5 inside 2 r_half without a true star within 1
                    pixel; their flux over the target's. ``false_knots`` of them
                    within 1 pixel of a knot, ``false_core`` within 2 of the centre
excess              flux of all stars inside 2 r_half minus that of the true ones
                    there, over the target's
missed              true stars of S/N > 10 inside 2 r_half, on good pixels, without a
                    star within 1 pixel; out of ``true_inside``
dcol, dcol1         error of the colour against the base filter (mmag): total, and of
                    data - stars - sky inside 1 r_half
verdict             right: \\|dF\\| < max(3 quoted errors, 3 %); else flagged if the
                    filter carries a flag, else silent
verdict_aper        the same of e2 with max(3 noise2, 3 %)
==================  =============================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asdf
import h5py
import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from galstep.exceptions import InputError
from galstep.records import SkyModel
from galstep.testing import _draw
from galstep.testing.ellipse import Ellipse
from galstep.testing.structured_set import galaxy_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.hints import PathLike
    from galstep.testing.structured import StructuredGalaxy

__all__ = ["VERDICTS", "KnownGalaxy", "known", "missing_products", "read_set", "score_galaxy"]

VERDICTS = ("right", "flagged", "silent")
_TABLES = ("sersic", "phot", "stars")
_FLOOR, _SIGMAS = 0.03, 3.0


@dataclass(frozen=True)
class KnownGalaxy:
    """The truth about one frame, as much of it as is scored.

    ``row`` has the columns of the target in ``galaxies.ecsv``, ``light`` gives
    (target, companions) of a filter, ``sky`` its sky image, ``snr`` the target's
    S/N by filter.
    """

    name: str
    kind: str
    tags: tuple
    filters: tuple
    base: str
    row: dict
    stars: Table
    knots: np.ndarray
    snr: dict
    light: object = field(repr=False)
    sky: object = field(repr=False)

    @property
    def ellipse(self) -> Ellipse:
        """Shape of the target's light."""
        r = self.row
        return Ellipse(*(float(v) for v in (r["x_c"], r["y_c"], 1 - r["q"], r["theta"])))


def read_set(folder: PathLike) -> dict[str, KnownGalaxy]:
    """The truth of a set as `galstep.testing.structured_set` lays it out, by name."""
    truth = Path(folder) / "truth"
    manifest = json.loads((truth / "manifest.json").read_text())
    rows = {str(row["name"]): row for row in Table.read(truth / "galaxies.ecsv")
            if row["component"] == 0}  # fmt: skip
    stars = Table.read(truth / "stars.ecsv")
    return {
        name: _from_files(truth, name, entry, manifest, dict(rows[name]), stars)
        for name, entry in manifest["galaxies"].items()
    }


def _from_files(truth, name, entry, manifest, row, stars):
    def light(filter_name):
        with h5py.File(truth / f"{name}_galaxy.h5") as file:
            target = file[f"target/{filter_name}"][()].astype(float)
            others = f"companions/{filter_name}"
            return target, file[others][()].astype(float) if others in file else 0 * target

    def sky(filter_name):
        terms, shape = entry["sky"][filter_name], light(filter_name)[0].shape
        middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
        terms = terms["c0"], terms["cx"], terms["cy"]
        return _draw.sky_image(SkyModel(terms, 1, *middle, (max(shape) - 1) / 2), shape)

    knots = [np.c_[p["x"], p["y"]] for p in entry["parts"] if p["kind"] == "knots"]
    return KnownGalaxy(
        name,
        entry["kind"],
        tuple(entry["tags"]),
        tuple(manifest["filters"]),
        manifest["base"],
        row,
        stars[stars["name"] == name] if len(stars) else stars,
        np.vstack([np.zeros((0, 2)), *knots]),
        {f: v["gal_snr"] for f, v in entry["info"].items()},
        light,
        sky,
    )


def known(synthetic: StructuredGalaxy, name: str) -> KnownGalaxy:
    """The truth of a galaxy that was made here and now."""
    truth = synthetic.truth
    snr = {
        f: float(np.sqrt(np.nansum((synthetic.galaxy[f] / synthetic.err[f]) ** 2)))
        for f in truth.filters
    }
    return KnownGalaxy(
        name,
        truth.kind,
        (truth.kind,),
        truth.filters,
        truth.base,
        galaxy_rows(name, synthetic)[0],
        truth.stars,
        truth.knots,
        snr,
        lambda f: (synthetic.galaxy[f], synthetic.companions[f]),
        lambda f: synthetic.sky[f],
    )


def missing_products(folder: PathLike, names: Sequence[str]) -> list[str]:
    """Names of the products that `score_galaxy` needs and ``folder`` lacks."""
    ends = [f"_{table}.ecsv" for table in _TABLES] + ["_gal.asdf"]
    return [
        name + end for name in names for end in ends if not (Path(folder) / (name + end)).exists()
    ]


def score_galaxy(galaxy: KnownGalaxy, folder: PathLike, ignore: Sequence[str] = ()) -> dict:
    """Score the products of one galaxy.

    Parameters
    ----------
    galaxy : KnownGalaxy
    folder : str or path-like
        Holds ``NAME_sersic.ecsv``, ``_phot.ecsv``, ``_stars.ecsv``, ``_gal.asdf``.
    ignore : sequence of str, optional
        Flags that are no warning.

    Returns
    -------
    dict of dict
        The columns of this module's docstring by filter, also ``snr``, ``flags``,
        ``n_components`` and ``covered``, the share of the light inside 2 r_half
        that has data.

    Raises
    ------
    InputError
        If a filter is missing in the products.
    """
    sersic, phot, stars = (
        Table.read(Path(folder) / f"{galaxy.name}_{table}.ecsv") for table in _TABLES
    )
    bands = _read_bands(Path(folder) / f"{galaxy.name}_gal.asdf")
    rows = {}
    for name in galaxy.filters:
        own = [table[table["filter"] == name] if len(table) else table
               for table in (sersic, phot, stars)]  # fmt: skip
        if not (len(own[0]) and len(own[1]) and name in bands):
            raise InputError(f"{galaxy.name}: products must have the filter {name}, they do not")
        row = {"snr": galaxy.snr[name]} | _total(galaxy, name, own[0], own[1], bands[name])
        warnings = [flag for flag in row["flags"] if flag not in ignore]
        row |= _subtraction(galaxy, name, bands[name]) | _stars(galaxy, name, own[2], bands[name])
        limit = _SIGMAS * row["err"] if np.isfinite(row["err"]) else 0
        row["verdict"] = _verdict(row["dF"], max(limit, _FLOOR), warnings)
        row["verdict_aper"] = _verdict(row["e2"], max(_SIGMAS * row["noise2"], _FLOOR), warnings)
        rows[name] = row
    base = rows[galaxy.base]
    for name, row in rows.items():
        if name != galaxy.base:
            row["dcol"] = _colour(row["dF"], base["dF"])
            row["dcol1"] = _colour(row["e1"], base["e1"])
    return rows


def _total(galaxy, name, sersic, phot, band):
    """Total flux of the target: of the table that has one, else of its components."""
    if "galaxy_id" in sersic.colnames:
        sersic = sersic[sersic["galaxy_id"] == 0]
    true = float(galaxy.row[f"flux_{name}"])
    if "total_flux" in phot.colnames:
        flux, err = (_plain(phot[key])[0] for key in ("total_flux", "total_flux_err"))
    else:
        flux, err = _plain(sersic["flux"]).sum(), _plain(sersic["flux_err"])
        err = err[0] if len(err) == 1 else band["flux_err"]
    return {
        "dF": float(flux / true - 1),
        "pull": float((flux - true) / err),
        "err": float(err / true),
        "n_components": len(sersic),
        "flags": sorted(_flags(sersic) | _flags(phot)),
    }


def _subtraction(galaxy, name, band):
    target, others = galaxy.light(name)
    data, stars, sky, mask = (
        _in_frame(band, key, target.shape) for key in ("data", "stars", "sky", "mask")
    )
    subtracted = data - stars - sky
    good = np.isfinite(subtracted) & (mask == 0)
    result = {}
    for k in (1, 2):
        weight = galaxy.ellipse.weights(k * float(galaxy.row["r_half"]), target.shape)
        inside = np.where(good, weight, 0)
        light = np.sum(inside * target)
        lost = np.sum((inside * (subtracted - target - others))[good])
        result[f"e{k}"] = float(lost / light) if light > 0 else np.nan
    # of the larger ellipse
    result["s2"] = float(-np.sum((inside * (sky - galaxy.sky(name)))[good]) / light)
    result["noise2"] = float(galaxy.row[f"n2_{name}"] / galaxy.row[f"f2_{name}"])
    result["covered"] = float(light / np.sum(weight * target))
    return result


def _stars(galaxy, name, stars, band):
    table, inner = galaxy.stars, 2 * float(galaxy.row["r_half"])
    true = np.c_[_plain(table["x"]), _plain(table["y"])] if len(table) else np.zeros((0, 2))
    found = np.c_[_plain(stars["x"]), _plain(stars["y"])] if len(stars) else np.zeros((0, 2))
    flux, snr = (_plain(stars[key]) if len(stars) else np.zeros(0) for key in ("flux", "snr"))
    within = galaxy.ellipse.radius(*found.T) < inner
    true_within = galaxy.ellipse.radius(*true.T) < inner
    false = within & (snr > 5) & (_distance(found, true) > 1)
    total = float(galaxy.row[f"flux_{name}"])
    true_flux = _plain(table[f"flux_{name}"])[true_within].sum() if len(true) else 0.0
    centre = np.array([[galaxy.row["x0"], galaxy.row["y0"]]], float)
    bright = true_within & _on_data(true, band, galaxy.light(name)[0].shape)
    if len(true):
        bright &= _plain(table[f"snr_{name}"]) > 10
    return {
        "false": int(false.sum()),
        "false_flux": float(flux[false].sum() / total),
        "false_knots": int((false & (_distance(found, galaxy.knots) <= 1)).sum()),
        "false_core": int((false & (_distance(found, centre) <= 2)).sum()),
        "excess": float((np.nansum(flux[within]) - true_flux) / total),
        "true_inside": int(bright.sum()),
        "missed": int((bright & ~(_distance(true, found[flux > 0]) <= 1)).sum()),
    }


def _on_data(places, band, shape):
    data, mask = _in_frame(band, "data", shape), _in_frame(band, "mask", shape)
    good = np.isfinite(data) & (mask == 0)
    columns, rows = (
        np.clip(np.round(values).astype(int), 0, side - 1)
        for values, side in zip(places.T, shape[::-1], strict=True)
    )
    return good[rows, columns]


def _read_bands(path):
    """Images, origin and flux error of each filter, read without the data model.

    So that products of an older or newer release can be scored too.
    """
    bands = {}
    with asdf.open(path, memmap=False) as file:
        for name, band in file.tree["bands"].items():
            images = {key: np.array(band[key], float) for key in ("data", "stars", "sky")}
            mask = band.get("mask")
            images["mask"] = (
                np.zeros(images["data"].shape) if mask is None else np.array(mask, float)
            )
            error = (band.get("fit") or {}).get("flux_err")
            bands[name] = images | {
                "origin": tuple(int(v) for v in band["origin"]),
                "flux_err": np.nan if error is None else float(error),
            }
    return bands


def _in_frame(band, key, shape):
    """An image of the crop in the input frame, NaN (of the mask 0) beyond."""
    image, (x_0, y_0) = np.full(shape, 0.0 if key == "mask" else np.nan), band["origin"]
    cut = band[key]
    image[y_0 : y_0 + cut.shape[0], x_0 : x_0 + cut.shape[1]] = cut
    return image


def _distance(places, others):
    """Distance of each place to the nearest of the others; infinite if there is none."""
    if not len(places) or not len(others):
        return np.full(len(places), np.inf)
    return cKDTree(others).query(places)[0]


def _flags(table):
    """Names of all flags that are set in a table, as its meta spells them."""
    words = table.meta.get("flags", {})
    bits = np.bitwise_or.reduce(np.asarray(table["flags"], int), initial=0)
    return {
        str(words.get(1 << k, f"bit{k}")).split(":")[0] for k in range(63) if int(bits) >> k & 1
    }


def _plain(column):
    """A column as floats without a unit, NaN where masked."""
    return np.ma.filled(np.ma.asarray(column, float), np.nan)


def _verdict(error, limit, flags):
    if np.isfinite(error) and abs(error) < limit:
        return "right"
    return "flagged" if flags else "silent"


def _colour(error, base):
    ratio = (1 + error) / (1 + base)
    return float(-2500 * np.log10(ratio)) if ratio > 0 else np.nan
