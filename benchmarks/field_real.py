"""FieldPipeline on real images beside the numbers of other programs.

``python benchmarks/field_real.py FOLDER [--only sep decam kids]``

FOLDER holds public test images, each in a folder of its own, as their repositories have them:

==================  ==============================================================================
``sep``             ``image.fits`` and the catalogue of SExtractor ``image.cat`` (kbarbary/sep)
``tractor_decam``   a DECam z cutout, its inverse variance and PSFEx model, and the rows of the
                    Tractor's DR3 (dstndstn/tractor, examples/data-decam)
``profit_kids``     KiDS r cutouts of GAMA galaxies with sigma, segments, PSF, and the published
                    single-Sersic totals (ICRAR/ProFit, inst/extdata/KiDS)
==================  ==============================================================================
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty
from astropy.table import Table
from astropy.wcs import WCS
from scipy.spatial import cKDTree

from galstep.pipeline import FieldPipeline


def run(image, **parameters):
    """The pipeline, quietly; and its CPU seconds."""
    started = time.process_time()
    model = FieldPipeline.call(image, configure_log=False, **parameters)
    return model, time.process_time() - started


def sep(folder):
    """Own detection and own PSF, against SExtractor's catalogue."""
    data = fits.getdata(folder / "image.fits").astype(float)
    header = {"FILTER": "x", "ZP_AUTO": 25.0}
    model, seconds = run([CCDData(data, unit="adu", header=header)])
    theirs = Table.read(folder / "image.cat", format="ascii.sextractor")
    table = model.catalog
    x, y = table["x"].value, table["y"].value
    known = np.isfinite(x)
    tree = cKDTree(np.column_stack([x[known], y[known]]))
    places = np.column_stack([theirs["X_IMAGE"] - 1, theirs["Y_IMAGE"] - 1])
    distance, nearest = tree.query(places)
    aper = np.asarray(theirs["FLUX_APER"])
    aper = aper if aper.ndim == 1 else aper[:, 0]
    snr = aper / np.asarray(theirs["FLUXERR_APER"]).reshape(len(theirs), -1)[:, 0]
    print(f"sep: {len(table)} sources, {np.count_nonzero(table['reliable'])} reliable; "
          f"{seconds:.1f} CPU s, {seconds / len(table):.2f} per source")  # fmt: skip
    for low in (3, 5, 10):
        chosen = snr > low
        print(f"  of SExtractor's with S/N > {low}: {np.mean(distance[chosen] < 2):.3f} of "
              f"{chosen.sum()} found")  # fmt: skip
    good = (distance < 2) & (snr > 20) & (np.asarray(theirs["FLAGS"]) == 0)
    own = table["flux_x"].value[known][nearest[good]]
    ratio = own / np.asarray(theirs["FLUX_AUTO"])[good]
    low, middle, high = np.percentile(ratio, [16, 50, 84])
    print(
        f"  flux / FLUX_AUTO: median {middle:.3f}, 16-84 % {low:.3f} to {high:.3f} ({good.sum()})"
    )
    chi2 = table["chi2_reduced_x"].value
    print(f"  chi2/px inside sources: median {np.nanmedian(chi2):.2f}, above 1.5 and not flagged "
          f"{np.count_nonzero((chi2 > 1.5) & table['reliable'])}")  # fmt: skip


def decam(folder):
    """Two sources beside the Tractor's rows."""
    with fits.open(folder / "decam-520206-S16-image-sub.fits") as hdus:
        data, header = hdus[1].data.astype(float), hdus[0].header + hdus[1].header
        wcs = WCS(hdus[1].header)
    weight = fits.getdata(folder / "decam-520206-S16-invvar-sub.fits", 1).astype(float)
    weight[weight < 0.1 * np.median(weight)] = 0
    # their rows are in nanomaggies: zero point 22.5
    zero_point = 24.7787 + 2.5 * np.log10(header["EXPTIME"])
    own = {"FILTER": "z", "ZP_AUTO": zero_point, "EGAIN": 4.0}
    image = CCDData(
        data, unit="adu", header=own, wcs=wcs, uncertainty=InverseVariance(weight), mask=weight <= 0
    )
    rows = Table.read(folder / "tractor-1816p325-sub.fits")
    kinds = {"SIMP": "EXP", "PSF": "STAR"}
    types = [kinds.get(str(t).strip(), str(t).strip()) for t in rows["type"]]
    catalog = Table({"ID": [f"{i}" for i in range(len(rows))], "RA": rows["ra"], "DEC": rows["dec"],
                     "TYPE": types})  # fmt: skip
    model, seconds = run(
        [image], catalog=catalog, psf_file=str(folder / "decam-520206-S16-psfex.fits"),
        steps={"loadfield": {"zp_ref": 22.5}, "fieldfit": {"detect": False}},
    )  # fmt: skip
    print(f"decam: {seconds:.1f} CPU s")
    for row, their, kind in zip(model.catalog, rows, types, strict=True):
        flux, err = their["decam_flux"][4], their["decam_flux_ivar"][4] ** -0.5
        print(f"  {kind}: {row['flux_z'].value:.2f} +/- {row['flux_z_err'].value:.2f}, the Tractor "
              f"{flux:.2f} +/- {err:.2f}; r_eff {row['r_eff_sky']:.2f}; chi2 "
              f"{row['chi2_reduced_z']:.2f}; {row['issues'] or 'reliable'}")  # fmt: skip


def kids(folder):
    """Total magnitudes of single galaxies, segment pixels only."""
    lines = (folder / "ExampleInit.tab").read_text().split("\n")
    names = lines[0].replace('"', "").split()
    start = {}
    for line in filter(None, lines[1:]):
        values = line.replace('"', "").split()
        start[values[0]] = dict(zip(names, map(float, values[-len(names) :]), strict=True))
    offsets = []
    for path in sorted(folder.glob("G*fitim.fits")):
        number = path.name[1:7]
        first = start.get(number)
        if first is None:
            continue

        def plane(kind, path=path):
            return fits.getdata(str(path).replace("fitim", kind)).astype(float)

        data, sigma, segments, bad = (plane(k) for k in ("fitim", "sigma", "segim", "mskim"))
        x, y = first["sersic.xcen1"] - 0.5, first["sersic.ycen1"] - 0.5
        segment = segments[int(y), int(x)]
        mask = (bad != 0) | (segments != segment) | ~(sigma > 0)
        image = CCDData(
            data, unit="adu", header={"FILTER": "r", "ZP_AUTO": 0.0},
            uncertainty=StdDevUncertainty(np.where(mask, 1.0, sigma)), mask=mask,
        )  # fmt: skip
        catalog = Table({"ID": [number], "x": [x], "y": [y], "TYPE": ["SERSIC"],
                         "Re": [0.7 * first["sersic.re2"]]})  # fmt: skip
        model, seconds = run(
            [image], catalog=catalog, psf_file=(np.maximum(plane("psfim"), 0), 1),
            steps={
                "loadfield": {"zp_ref": 0.0},
                "fieldfit": {"detect": False, "sky": "none", "shape_priors": False},
                "zeropoint": {"skip": True},
            },
        )  # fmt: skip
        row = model.catalog[0]
        published = first["sersic.mag1"] - 0.7526
        offsets.append(row["mag_r"].value - published)
        print(f"  {number}: {row['mag_r'].value:.3f} +/- {row['mag_r_err'].value:.3f}, published "
              f"{published:.3f}; r_eff {row['r_eff'].value:.2f} ({first['sersic.re2']:.2f}) n "
              f"{row['n'].value:.2f}; chi2 {row['chi2_reduced_r'].value:.2f}; "
              f"{row['issues'] or 'reliable'}; {seconds:.1f} CPU s")  # fmt: skip
    print(f"kids: {len(offsets)} galaxies, median offset {np.median(offsets):+.3f} mag, within "
          f"0.03: {np.count_nonzero(np.abs(offsets) < 0.03)}")  # fmt: skip


SETS = {"sep": ("sep", sep), "decam": ("tractor_decam", decam), "kids": ("profit_kids", kids)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    logging.getLogger("stpipe").setLevel(logging.WARNING)
    for name in options.only:
        folder, measure = SETS[name]
        if not (options.folder / folder).is_dir():
            print(f"{name}: {folder} is not there")
            continue
        measure(options.folder / folder)


if __name__ == "__main__":
    main()
