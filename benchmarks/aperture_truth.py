"""Aperture fluxes and colours of the synthetic truth set beside the truth.

Takes products of the pipeline, measures them again with AperPhot in several
apertures, and compares with the light that the true galaxy, seen through the
true PSF, has in those very apertures.

    python benchmarks/aperture_truth.py PRODUCTS TRUTH

PRODUCTS holds <name>_gal.asdf of the galaxies of the truth set, TRUTH is its
folder. Prints, for each aperture and set of galaxies: the number of fluxes, the
median of |flux / truth - 1|, mean, std and 1.4826 MAD of the pulls (flux - truth)
/ error; then of the PSF-corrected colours against F150W the median of |error|
(mmag), the largest excess over 5 mmag + error, and the pulls. Fluxes of S/N < 3
have no colour.
"""

import argparse
import json
import logging
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Table

from galstep.core.photometry.aperture_light import GalaxyLight
from galstep.core.psf.effective import EffectivePSF
from galstep.datamodels import GalaxyModel
from galstep.records import PsfKernel, SersicFit, SersicParams
from galstep.steps import AperPhot
from galstep.units import colour

BASE = "F150W"
OVERSAMPLE = 4
BLUR = {"mis_small": ("eff", 1.25)}  # file, Gaussian sigma in its samples
IN_R_EFF = (0.5, 1.0, 2.0, 3.0)
CROWDED = ("t07",)  # a faint galaxy under stars: the fit itself is wrong, and flagged
CLEAN = ("t01", "t02", "t03", "t04", "t05")


class Truth:
    """The truth set's galaxies and PSFs.

    Parameters
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder):
        self.folder = folder
        self.manifest = json.loads((folder / "truth" / "manifest.json").read_text())["galaxies"]
        table = Table.read(folder / "truth" / "galaxies.ecsv")
        self.rows = {row["name"]: row for row in table if row["component"] == 0}
        self._psfs = {}

    def psf(self, name, band):
        """The true effective PSF of a filter."""
        kind = self.manifest[name]["true_psf"]
        if (kind, band) not in self._psfs:
            file, sigma = BLUR.get(kind, (kind, 0.0))
            with h5py.File(self.folder / "psf" / f"PSF_{file}.h5") as psfs:
                psf = EffectivePSF.from_array(psfs[band][()].astype(float), OVERSAMPLE)
            kernel = PsfKernel("gaussian", ((sigma / OVERSAMPLE) ** 2,))
            self._psfs[kind, band] = psf.convolved(kernel) if sigma else psf
        return self._psfs[kind, band]

    def galaxy(self, name, band):
        """The galaxy in the pixels of a `BandData`."""
        row = self.rows[name]
        x, y = row["x0"] - band.origin[0], row["y0"] - band.origin[1]
        shape = SersicParams(x, y, row["r_eff"], row["n"], row["ellip"], row["theta"])
        return SersicFit(shape, row[f"flux_{band.name}"])


def measured(model, truth):
    """Fluxes in all apertures, one dict per aperture and filter.

    Parameters
    ----------
    model : GalaxyModel
    truth : Truth

    Yields
    ------
    dict
    """
    name = model.meta.name
    radii = [k * truth.rows[name]["r_eff"] for k in IN_R_EFF]
    for petro, others in ((0.5, radii), (0.2, None)):
        result = AperPhot(petro=petro, radii=others, kron=others is not None).run(model)
        per_filter = {band: _apertures(data) for band, data in result.bands.items()}
        labels = [f"petro = {petro}"]
        if others:
            labels += ["kron", *(f"{k:g} r_eff" for k in IN_R_EFF)]
        lights = {
            band: GalaxyLight(
                (truth.galaxy(name, data),),
                truth.psf(name, band),
                data.shape,
                [f.aperture for f in per_filter[band] if np.isfinite(f.flux)],
            )
            for band, data in result.bands.items()
        }
        for index, label in enumerate(labels):
            base = per_filter[BASE][index]
            for band, data in result.bands.items():
                flux = per_filter[band][index]
                if not np.isfinite(flux.flux):
                    continue
                total = truth.galaxy(name, data).flux
                yield {
                    "name": name,
                    "filter": band,
                    "aperture": label,
                    "flux": flux.flux,
                    "err": flux.flux_err,
                    "truth": total * lights[band].share(flux.aperture),
                    **_colour_error(flux, base, band, truth.rows[name]),
                }


def _apertures(band):
    return (band.aperture, *band.aperture.others)


def _colour_error(flux, base, band, row):
    """Of the PSF-corrected colour against the base filter, mag, and its quoted error."""
    if band == BASE or min(f.flux / f.flux_err for f in (flux, base)) < 3:
        return {"dcolour": np.nan, "colour_err": np.nan}
    covariance = [
        [flux.flux_corr_err**2, flux.covariance[BASE]],
        [flux.covariance[BASE], base.flux_corr_err**2],
    ]
    found, error = colour(flux.flux_corr, base.flux_corr, covariance)
    true = 2.5 * np.log10(row[f"flux_{BASE}"] / row[f"flux_{band}"])
    return {"dcolour": found - true, "colour_err": error}


def _pulls(values):
    values = values[np.isfinite(values)]
    if not values.size:
        return "-"
    mad = 1.4826 * np.median(abs(values - np.median(values)))
    return f"{values.mean():.2f} | {values.std():.2f} | {mad:.2f}"


def report(table):
    """Print the figures as a Markdown table.

    Parameters
    ----------
    table : astropy.table.Table
    """
    print(
        "| aperture | galaxies | n | median error of flux, % | mean pull | std | MAD |"
        " median error of colour, mmag | largest excess, mmag | mean pull | std | MAD |"
    )
    print("|" + "---|" * 12)
    names = sorted(set(table["name"]))
    sets = {
        "clean": [n for n in names if n in CLEAN],
        "all but " + ", ".join(CROWDED): [n for n in names if n not in CROWDED],
        "all": names,
    }
    for aperture in dict.fromkeys(table["aperture"]):
        for label, chosen in sets.items():
            rows = table[(table["aperture"] == aperture) & np.isin(table["name"], chosen)]
            if not len(rows):
                continue
            error = rows["flux"] - rows["truth"]
            colours = np.abs(rows["dcolour"])
            excess = np.nanmax(colours - rows["colour_err"] - 0.005)
            print(
                f"| {aperture} | {label} | {len(rows)} "
                f"| {100 * np.median(abs(error / rows['truth'])):.2f} "
                f"| {_pulls(np.array(error / rows['err']))} "
                f"| {1000 * np.nanmedian(colours):.1f} | {1000 * max(excess, 0):.0f} "
                f"| {_pulls(np.array(rows['dcolour'] / rows['colour_err']))} |"
            )


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("products", type=Path, help="folder with <name>_gal.asdf")
    parser.add_argument("truth", type=Path, help="folder of the truth set")
    parser.add_argument("--table", type=Path, help="write all numbers there (.ecsv)")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    truth, rows = Truth(options.truth), []
    for path in sorted(options.products.glob("*_gal.asdf")):
        if path.name.removesuffix("_gal.asdf") in truth.rows:
            rows += measured(GalaxyModel.open(path), truth)
    table = Table(rows)
    if options.table:
        table.write(options.table, overwrite=True)
    report(table)


if __name__ == "__main__":
    main()
