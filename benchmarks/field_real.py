"""FieldPipeline on real images beside the numbers of other programs.

``python benchmarks/field_real.py FOLDER [--only sep decam ...] [--pictures DIR]``

FOLDER holds public test images, each in a folder of its own, as their repositories have them:

==================  ==============================================================================
``sep``             ``image.fits`` and the catalogue of SExtractor ``image.cat`` (kbarbary/sep)
``tractor_decam``   a DECam z cutout, its inverse variance and PSFEx model, and the rows of the
                    Tractor's DR3 (dstndstn/tractor, examples/data-decam)
``profit_kids``     KiDS r cutouts of GAMA galaxies with sigma, segments, PSF, and the published
                    single-Sersic totals (ICRAR/ProFit, inst/extdata/KiDS)
``legacypipe_...``  DECam g r z, one 101 x 101 exposure each on grids of their own, with quality and
                    weight planes and PSFEx models (legacysurvey/legacypipe, py/test/testcase9),
                    whose test expects 4 sources, one of them large and of type SER
``profound_...``    KiDS g r i and VIKING Z on one grid of 2600 x 2600 pixels, without WCS, noise,
                    gain or catalogue (asgr/ProFound, inst/extdata/MultiBand)
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

from galstep.flags import FieldFlag
from galstep.pipeline import FieldPipeline
from galstep.steps.field.field_products import write_field_products


def run(image, **parameters):
    """The pipeline, quietly; and its CPU seconds."""
    started = time.process_time()
    model = FieldPipeline.call(image, configure_log=False, **parameters)
    return model, time.process_time() - started


def picture(model, name):
    """Data, model and residual of the first band, if pictures are wanted."""
    if PICTURES is None:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    write_field_products(model, str(PICTURES / name), fits_table=False, picture=True, images=True)


def inside_sources(model, bands):
    """chi2 per pixel inside sources, and how many are poor and say nothing of it."""
    table = model.catalog
    for band in bands:
        chi2 = table[f"chi2_reduced_{band}"].value
        silent = (chi2 > 1.5) & table["reliable"]
        print(f"  {band}: noise {model.bands[band].sigma:.4g} of the sky, correlated noise x "
              f"{model.bands[band].noise_factor:.2f}, PSF of "
              f"{model.bands[band].psf.n_stars} stars, chi2/px inside sources: median "
              f"{np.nanmedian(chi2):.2f}, above 1.5 {np.count_nonzero(chi2 > 1.5)}, "
              f"of them not flagged {np.count_nonzero(silent)}")  # fmt: skip


def said(model):
    """Types and flags in a line."""
    table = model.catalog
    kinds, counts = np.unique(table["type"], return_counts=True)
    flags = {
        flag.name.lower(): int(np.count_nonzero(table["flags"] & int(flag)))
        for flag in FieldFlag
        if np.any(table["flags"] & int(flag))
    }
    print("  " + ", ".join(f"{k} {c}" for k, c in zip(kinds, counts, strict=True)), flags)


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
    back, _ = cKDTree(places).query(np.column_stack([x[known], y[known]]))
    own = table["flux_x"].value[known] / table["flux_x_err"].value[known]
    for low in (5, 10, 20):
        some = own > low
        print(f"  of ours with S/N > {low}: {np.mean(back[some] < 3):.3f} of {some.sum()} in "
              "SExtractor's")  # fmt: skip
    inside_sources(model, ["x"])
    said(model)
    picture(model, "sep")


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


def legacypipe(folder):
    """Three bands on grids of their own: number and types of sources."""
    ccds = Table.read(folder / "survey-ccds-1.kd.fits", 1)
    images, psfs = [], {}
    for row in ccds:
        band = str(row["filter"]).strip()
        (path,) = folder.glob(f"images__*_ooi_{band}_*")
        with fits.open(path) as hdus:
            data, wcs = hdus[1].data.astype(float), WCS(hdus[1].header)
        weight, quality = (
            fits.getdata(str(path).replace("ooi", kind), 1).astype(float) for kind in ("oow", "ood")
        )
        mask = (quality != 0) | (weight <= 0)
        zero_point = float(row["ccdzpt"]) + 2.5 * np.log10(float(row["exptime"]))
        header = {"FILTER": band, "ZP_AUTO": zero_point, "EGAIN": 4.0}
        noise = InverseVariance(np.where(mask, 0.0, weight))
        image = CCDData(data, unit="adu", header=header, wcs=wcs, mask=mask, uncertainty=noise)
        images.append(image)
        psfs[band] = (merged_psfex(next(folder.glob(f"calib__psfex*_{band}_*")), data.shape), 1)
    model, seconds = run(images, psf_file=psfs, steps={"loadfield": {"zp_ref": 22.5}})
    table = model.catalog
    print(f"legacypipe: {len(table)} sources, {seconds:.1f} CPU s")
    for row in table:
        fluxes = "/".join(f"{row[f'flux_{b}'].value:.2f}" for b in "grz")
        print(f"  {row['ra']:.5f} {row['dec']:.5f} {row['type']:6s} r_eff {row['r_eff_sky']:.2f} "
              f"n {row['n']:.2f} flux g/r/z {fluxes}; {row['issues'] or 'reliable'}")  # fmt: skip
    inside_sources(model, "grz")
    picture(model, "legacypipe")


def merged_psfex(path, shape):
    """A PSFEx model of legacypipe's own table form, in the middle of an image."""
    row = Table.read(path, 1)[0]
    x, y = ((side / 2 - row[f"polzero{k}"]) / row[f"polscal{k}"]
            for k, side in ((1, shape[1]), (2, shape[0])))  # fmt: skip
    degree = int(row["poldeg1"])
    terms = [x**i * y**j for j in range(degree + 1) for i in range(degree + 1 - j)]
    values = np.tensordot(terms, np.asarray(row["psf_mask"])[: len(terms)], 1)
    return np.maximum(values, 0.0) / np.maximum(values, 0.0).sum()


def profound(folder):
    """Typical places of a wide survey: own detection, own PSF."""
    zero_points = {"g": 0.0, "r": 0.0, "i": 0.0, "Z": 30.0}
    for x, y, side in PLACES:
        images = []
        for band, zero_point in zero_points.items():
            part = np.s_[y : y + side, x : x + side]
            data = fits.getdata(folder / f"{band}.fits", 1)[part].astype(float)
            images.append(CCDData(data, unit="adu", header={"FILTER": band, "ZP_AUTO": zero_point}))
        model, seconds = run(images)
        table = model.catalog
        print(f"profound, {side} x {side} from ({x}, {y}): {len(table)} sources, "
              f"{np.count_nonzero(table['reliable'])} reliable, {seconds:.1f} CPU s, "
              f"{seconds / len(table):.2f} per source")  # fmt: skip
        inside_sources(model, zero_points)
        said(model)
        picture(model, f"profound_{x}_{y}")


# cuts of the wide field: corner and side (pixels)
PLACES = [(384, 896, 400), (1700, 400, 300), (1000, 2100, 300)]
PICTURES: Path | None = None
SETS = {
    "sep": ("sep", sep),
    "decam": ("tractor_decam", decam),
    "kids": ("profit_kids", kids),
    "legacypipe": ("legacypipe_testcase9", legacypipe),
    "profound": ("profound_multiband", profound),
}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=SETS, default=list(SETS))
    parser.add_argument("--pictures", type=Path, help="folder for pictures and residuals")
    options = parser.parse_args()
    global PICTURES
    PICTURES = options.pictures
    logging.getLogger("stpipe").setLevel(logging.WARNING)
    for name in options.only:
        folder, measure = SETS[name]
        if not (options.folder / folder).is_dir():
            print(f"{name}: {folder} is not there")
            continue
        measure(options.folder / folder)


if __name__ == "__main__":
    main()
