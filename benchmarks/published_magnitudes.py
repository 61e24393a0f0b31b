"""Aperture magnitudes and colours of real galaxies beside published ones.

How the published apertures were chosen is not documented, so colours are the
safe comparison; the totals tell which radius was used.

    python benchmarks/published_magnitudes.py PRODUCTS PUBLISHED [GALAXY ...]

PRODUCTS holds <name>_gal.asdf of the default pipeline, PUBLISHED is a table with
the columns galaxy, filter, mag_ab, mag_ab_err. AperPhot is run on each product
with circles of 10 to 30 px, and with the Petrosian (0.5, 0.2) and Kron
apertures, twice to see how far the results are the same. Prints for each aperture
the magnitudes minus the published ones, and how many of the colours against
F150W, brought to one PSF, agree within the errors of both.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from astropy.table import QTable, Table

from galstep.datamodels import GalaxyModel
from galstep.datamodels.catalogs.magnitude_table import magnitudes_by_filter
from galstep.datamodels.tables.galaxy_tables import aperture_table
from galstep.steps import AperPhot

BASE = "F150W"
RADII = (10.0, 15.0, 20.0, 25.0, 30.0)  # pixels


def measured(model):
    """(label, table of one aperture in all filters) of one galaxy.

    Parameters
    ----------
    model : GalaxyModel

    Returns
    -------
    list of (str, astropy.table.QTable)
    """
    scale = model.bands[BASE].pixel_scale
    step = AperPhot(petro=0.5, circles=[r * scale for r in RADII])
    first, again = (aperture_table(step.run(model)) for _ in range(2))
    difference = _difference(first, again)
    print(f"{model.meta.name}: largest relative difference of two runs {difference:.0e}")
    wide = aperture_table(AperPhot(petro=0.2, kron=False).run(model))
    wide["aperture"] = np.full(len(wide), "petrosian 0.2")
    stars_in = AperPhot(
        petro=0.5, kron=False, circles=[r * scale for r in RADII], measure_on="data"
    )
    with_stars = aperture_table(stars_in.run(model))
    with_stars = with_stars[with_stars["aperture"] == "circle"]
    found = []
    for table, note in ((first, ""), (wide, ""), (with_stars, ", stars in")):
        order = list(dict.fromkeys(zip(table["aperture"], _sizes(table, model), strict=True)))
        for kind, size in order:
            rows = table[(table["aperture"] == kind) & (_sizes(table, model) == size)]
            label = f"circle of {size:g} px" if kind == "circle" else str(kind)
            found.append((label + note, QTable(rows)))
    return found


def _difference(first, again):
    """Largest relative difference of two tables' numbers; in the last digit sums may differ."""
    largest = 0.0
    for name in first.colnames:
        one, other = (np.asarray(getattr(t[name], "value", t[name])) for t in (first, again))
        if one.dtype.kind == "f" and np.isfinite(one).any():
            scale = np.maximum(np.abs(one), np.finfo(float).tiny)
            largest = max(largest, float(np.nanmax(np.abs(other - one) / scale)))
    return largest


def _sizes(table, model):
    """Radius of circles in pixels, 0 of what is one of its kind."""
    pixels = np.round(table["radius"].to_value("arcsec") / model.bands[BASE].pixel_scale, 3)
    return np.where(table["aperture"] == "circle", pixels, 0.0)


def compare(model, published):
    """Print a Markdown table of one galaxy.

    Parameters
    ----------
    model : GalaxyModel
    published : dict of str to (float, float)
        Filter to magnitude and error.
    """
    filters = [name for name in model.bands if name in published]
    found = measured(model)
    print(
        f"\n| {model.meta.name}: ours - published | " + " | ".join(filters) + " | median |", end=""
    )
    print(" colours within 1, 2 errors | largest, errors |")
    print("|" + "---|" * (len(filters) + 4))
    for label, rows in found:
        rows.add_index("filter")
        mags = [rows.loc[name]["mag_ab"].value - published[name][0] for name in filters]
        if not np.isfinite(mags).all():
            print(f"| {label} | not finite: {mags} |")
            continue
        pulls = np.abs([_colour_pull(rows, published, name) for name in filters if name != BASE])
        numbers = " | ".join(f"{m:+.3f}" for m in mags)
        within = f"{(pulls < 1).sum()}, {(pulls < 2).sum()} of {len(pulls)}"
        print(f"| {label} | {numbers} | {np.median(mags):+.3f} | {within} | {pulls.max():.1f} |")
    print()


def _colour_pull(rows, published, name):
    """(ours - published) / error of a colour against the base filter."""
    row = rows.loc[name]
    theirs = published[name][0] - published[BASE][0]
    error = np.hypot(published[name][1], published[BASE][1])
    return (row["color"].value - theirs) / np.hypot(error, row["color_err"].value)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("products", type=Path, help="folder with <name>_gal.asdf")
    parser.add_argument("published", type=Path, help="table of published magnitudes")
    parser.add_argument("galaxies", nargs="*", default=["g260", "g281"])
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    table = Table.read(options.published)
    for name in options.galaxies:
        model = GalaxyModel.open(options.products / f"{name}_gal.asdf")
        compare(model, magnitudes_by_filter(table, name))


if __name__ == "__main__":
    main()
