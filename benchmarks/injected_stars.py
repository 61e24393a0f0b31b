"""Stars put into real frames: which are found, how true they are, what is noise.

    python benchmarks/injected_stars.py DIR [--n 100] [--filters F150W F277W F555W]

DIR has frames ``g*.h5`` and ``psf_library.h5``. Each filter of a frame is calibrated and
fitted by itself (PSFCalibrate, BaseFit), and the step Inject puts ``n`` stars into it, a
tenth as many at a time as it has, S/N 4 to 100 evenly in the logarithm, in units of the error
that the fit quotes for a faint star by itself. Found is a star within half a FWHM with
its flux to a factor of 2; isolated is one without a star of half its flux within 1.5 FWHM.
Spurious are stars in the residual with its sign changed, beside the number in the list.
"""

import argparse
import itertools
import logging
from pathlib import Path

import numpy as np

from galstep.core.injection.recovery import summarise
from galstep.core.injection.rows import SNR_EDGES
from galstep.datamodels import GalaxyModel
from galstep.datamodels.galaxy import Meta
from galstep.steps import Inject, PSFCalibrate
from galstep.steps.refit import refit

FILTERS = ("F150W", "F277W", "F555W")
COUNTS = ("found", "injected", "isolated_found", "isolated", "spurious", "listed")


def injected(path, psf_file, names, count, seed):
    """By filter: the counts of each bin of S/N, and the rows of the found stars."""
    # the calibration of the others takes its stars from the base filter
    wanted = list(dict.fromkeys(["F150W", *names]))
    model = PSFCalibrate().run(GalaxyModel.open(path, psf_file=psf_file, filters=wanted))
    result = {}
    for name in names:
        alone = GalaxyModel(Meta(path.stem), {name: model.bands[name]})
        own = refit(alone, {}, name, joint=False)
        own = Inject(n_galaxies=0, n_stars=count, seed=seed).run(own)
        stars = own.injections.summary[name]["stars"]["bins"]
        counts = np.array([[share[key] for key in COUNTS] for share in stars])
        result[name] = counts, own.injections
    return result


def pulls_of(injections, low, high):
    """Pulls of flux, x and y of found stars in a bin of S/N; flux ratio minus one."""
    rows = injections
    chosen = (rows.found == 1) & (rows.isolated == 1) & (rows.snr >= low) & (rows.snr < high)
    x = (rows.x - rows.x_true) / rows.x_err
    y = (rows.y - rows.y_true) / rows.y_err
    return [v[chosen] for v in (rows.pull_flux, x, y, rows.flux / rows.flux_true - 1)]


def share(part, whole):
    """A percentage with its binomial error."""
    if not whole:
        return ""
    p = part / whole
    return f"{100 * p:.0f} ± {100 * np.sqrt(max(p * (1 - p), 0.25 / whole) / whole):.0f}"


def table(results, names):
    """The results as Markdown, a row per filter and bin of S/N."""
    lines = [
        "| filter | S/N | injected | found % | isolated found % | spurious / listed "
        "| flux pull | position pull | flux bias % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        counts = np.sum([result[name][0] for result in results], axis=0)
        for k, (low, high) in enumerate(itertools.pairwise(SNR_EDGES)):
            found, every, clear_found, clear, spurious, listed = counts[k]
            own = [pulls_of(result[name][1], low, high) for result in results]
            flux, x, y, ratio = (np.concatenate(v) for v in zip(*own, strict=True))
            pull, place = summarise(flux), summarise(np.concatenate([x, y]))
            bias = f"{100 * np.median(ratio):+.1f}" if len(ratio) else ""
            lines.append(
                f"| {name} | {low:g} to {high:g} | {every} | {share(found, every)} "
                f"| {share(clear_found, clear)} | {spurious} / {listed} "
                f"| {pull.bias:+.2f}; {pull.std:.2f} ({pull.mad:.2f}) "
                f"| {place.std:.2f} ({place.mad:.2f}) | {bias} |"
            )
    return "\n".join(lines)


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--n", type=int, default=100, help="stars per frame and filter")
    parser.add_argument("--filters", nargs="+", default=FILTERS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    results = []
    for path in sorted(options.folder.glob("g*.h5")):
        psf_file = options.folder / "psf_library.h5"
        results.append(injected(path, psf_file, options.filters, options.n, options.seed))
        print(path.stem, {n: r[0].sum(axis=0).tolist() for n, r in results[-1].items()}, flush=True)
    print(f"\n{table(results, options.filters)}")


if __name__ == "__main__":
    main()
