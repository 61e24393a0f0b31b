"""Forced photometry: its speed beside photutils, and its fluxes on galaxies with known stars.

    python benchmarks/forced_photometry.py speed [--counts 30 100 300] [--size 255]
    python benchmarks/forced_photometry.py truth TRUTH GALAXY ... [--filters F160W F277W]

``speed``: stars at known positions in a square frame, flux alone free; the same
image, PSF and positions for photutils' `PSFPhotometry` with held positions. CPU time of one run
after one that warms up.

``truth``: TRUTH is the folder of the truth set. After LoadCrop and BaseFit the filters
are fitted by ForcedScaleFit: with the stars that BaseFit found, and with the positions of
the true star list as a catalogue. Bias and pulls by true S/N.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from galstep.core.fitting.forced import forced_photometry
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions

SIGMA, OVERSAMPLE = 0.5, 4
SNR_EDGES = (-np.inf, 3, 5, 10, 20, 50, 100, np.inf)


def scene(count, size, seed=1):
    """Image, PSF array, positions, fluxes of stars of S/N 3 to 300."""
    rng, psf = np.random.default_rng(seed), default_psf("F150W")
    x, y = star_positions(rng, count, (size, size), 2.5)
    one_sigma = SIGMA * np.sqrt(psf.noise_area)
    flux = one_sigma * np.exp(rng.uniform(np.log(3), np.log(300), count))
    image = star_frame((size, size), psf, x, y, flux) + rng.normal(0, SIGMA, (size, size))
    return image, psf.sampled(OVERSAMPLE, 161), np.column_stack([x, y]), flux


def timed(measure):
    """CPU seconds of the second of two calls, and its result."""
    measure()
    started = time.process_time()
    result = measure()
    return time.process_time() - started, result


def with_photutils(image, array, places, flux):
    """Fluxes by `PSFPhotometry`, positions held, groups of overlapping stars."""
    from photutils.psf import ImagePSF, PSFPhotometry, SourceGrouper

    model = ImagePSF(array * OVERSAMPLE**2, oversampling=OVERSAMPLE)
    model.x_0.fixed = model.y_0.fixed = True
    start = Table({"x": places[:, 0], "y": places[:, 1], "flux": flux})
    fitter = PSFPhotometry(model, (11, 11), grouper=SourceGrouper(5.0))
    table = fitter(image, error=np.full(image.shape, SIGMA), init_params=start)
    return np.array(table["flux_fit"]), np.array(table["flux_err"])


def speed(options):
    """A line per number of stars."""
    for count in options.counts:
        image, array, places, flux = scene(count, options.size)
        error = np.full(image.shape, SIGMA)
        for mode in ("linear", "nonnegative", "free"):
            seconds, table = timed(
                lambda mode=mode, a=(image, array, places, error): forced_photometry(
                    *a, mode=mode, oversample=OVERSAMPLE
                )
            )
            report(f"{count} stars, {mode}", seconds, table["flux"], table["flux_err"], flux)
        if not options.alone:
            seconds, (value, err) = timed(lambda a=(image, array, places, flux): with_photutils(*a))
            report(f"{count} stars, photutils", seconds, value, err, flux)


def report(name, seconds, value, err, flux):
    """Time, and what the fluxes are worth."""
    pull = (np.asarray(value) - flux) / np.asarray(err)
    worth = f"pull mean {np.mean(pull):+.2f} std {np.std(pull):.2f}"
    print(f"{name:26s} {seconds:7.3f} s  {worth}", flush=True)


def truth(options):
    """Fit the galaxies, and a line per filter, source of positions and S/N bin."""
    from galstep.steps import BaseFit, ForcedScaleFit, LoadCrop

    root = options.truth
    known = json.loads((root / "truth" / "manifest.json").read_text())["galaxies"]
    stars = Table.read(root / "truth" / "stars.ecsv")
    collected = {}
    for galaxy in options.galaxies:
        own = stars[(stars["name"] == galaxy)]
        model = LoadCrop(psf_file=str(root / known[galaxy]["given_psf"]), auto_crop=False).run(
            str(root / "data" / f"{galaxy}.h5")
        )
        model = BaseFit().run(model)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "true.ecsv"
            Table({"id": np.arange(len(own)), "x": own["x"], "y": own["y"]}).write(path)
            sources = {"base": {}, "catalog": dict(catalog=str(path), positions_from="none")}
            for source, given in sources.items():
                started = time.process_time()
                fitted = ForcedScaleFit(filters=options.filters, **given).run(model)
                print(f"{galaxy} {source}: {time.process_time() - started:.1f} s CPU", flush=True)
                for name in options.filters:
                    rows = compared(fitted.bands[name], own, name)
                    collected.setdefault((source, name), []).append(rows)
    for (source, name), rows in collected.items():
        summarise(f"{source} {name}", np.concatenate(rows))


def compared(band, own, name):
    """(true S/N, true flux, measured, error) of the stars that are the same to 0.5 px."""
    forced, (dx, dy) = band.forced, band.fit.offset
    x, y = forced.x - dx + band.origin[0], forced.y - dy + band.origin[1]
    rows = []
    for star in own:
        distance = np.hypot(x - star["x"], y - star["y"])
        nearest = int(np.nanargmin(distance))
        alone = np.hypot(own["x"] - star["x"], own["y"] - star["y"]) < 1.5
        if distance[nearest] < 0.5 and np.isfinite(forced.flux[nearest]) and alone.sum() == 1:
            rows.append(
                (star[f"snr_{name}"], star[f"flux_{name}"], forced.flux[nearest],
                 forced.flux_err[nearest])
            )  # fmt: skip
    return np.array(rows)


def summarise(name, rows):
    """Bias and pulls by S/N."""
    snr, true, value, err = rows.T
    for low, high in itertools.pairwise(SNR_EDGES):
        own = (snr >= low) & (snr < high)
        if own.sum() < 3:
            continue
        pull, relative = (value - true)[own] / err[own], (value / true - 1)[own]
        total, scatter = value[own].sum() / true[own].sum() - 1, pull.std()
        print(
            f"{name:16s} S/N {low:5g} {high:5g}: {own.sum():3d} stars, "
            f"bias {100 * np.median(relative):+6.2f} %, of the sum {100 * total:+6.2f} %, "
            f"pull mean {pull.mean():+.2f} +- {scatter / np.sqrt(own.sum()):.2f} std {scatter:.2f}"
        )
    pull = (value - true) / err
    print(f"{name:16s} all {len(pull)}: pull mean {pull.mean():+.3f} std {pull.std():.3f}")


def main(arguments=None):
    """Speed or truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    own = parts.add_parser("speed")
    own.add_argument("--counts", type=int, nargs="*", default=[30, 100, 300])
    own.add_argument("--size", type=int, default=255)
    own.add_argument("--alone", action="store_true", help="without photutils")
    own.set_defaults(run=speed)
    own = parts.add_parser("truth")
    own.add_argument("truth", type=Path)
    own.add_argument("galaxies", nargs="+")
    own.add_argument("--filters", nargs="*", default=["F160W", "F277W"])
    own.set_defaults(run=truth)
    options = parser.parse_args(arguments)
    options.run(options)


if __name__ == "__main__":
    sys.exit(main())
