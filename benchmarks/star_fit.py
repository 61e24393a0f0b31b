"""Stars detected and fitted beside photutils and crowdsource.

    python benchmarks/star_fit.py PSF_FILE.h5 [--repeats 3] [--scaling]

The file has one dataset per filter and the attribute ``oversample``. Fields of
30, 100 and 300 stars in 255 x 255 pixels and of 1000 in 512 x 512, uniform
positions, S/N from 5 to 500 with dN/dS/N ~ (S/N)^-2, white noise, drawn by
photutils. All programs get the same images in turn and detect at a nominal 5
sigma. One thread, CPU times; what is made once per PSF is made before.

Columns: median time; the median of each time over galstep's on the same image;
the share of the true stars that are found, by their true S/N; the share of what
is found that is no star, by its measured S/N; median error of the flux and its
pull (1.48 times the median of |error| / quoted error) above S/N 20, and the pull
of all. A star is found when it and a detection are each other's nearest, within
one pixel. "Fit alone": from the true positions and fluxes, so without a search.
With --scaling: up to 10 000 stars in 2048 x 2048, photutils up to 1000 of them.
"""

import argparse
import time

import numpy as np
import star_fitters
from galaxy_fit import read_psf
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

FIELDS = ((30, 255), (100, 255), (300, 255), (1000, 512))
SCALING = ((100, 205), (300, 355), (1000, 648), (3000, 1122), (10_000, 2048))
BINS = ((5, 7), (7, 10), (10, 20), (20, np.inf))
# As many stars as photutils measures in half a minute.
PEER_STARS = 1000
REACH = 1.0  # pixels


def matched(truth, found):
    """Indices of the pairs that are each other's nearest within ``REACH``.

    Returns
    -------
    of_truth, of_found : int arrays
    """
    places = [np.column_stack([table.x, table.y]) for table in (truth, found)]
    if not len(found.x):
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    distance, nearest = cKDTree(places[1]).query(places[0])
    _, back = cKDTree(places[0]).query(places[1])
    own = np.flatnonzero((distance < REACH) & (back[nearest] == np.arange(len(nearest))))
    return own, nearest[own]


def run(fitters, fields):
    """Times and results, fitter by fitter.

    Returns
    -------
    times : dict of lists
    tables : dict of lists
    """
    times, tables = {name: [] for name in fitters}, {name: [] for name in fitters}
    for field in fields:
        for name, fitter in fitters.items():
            begun = time.process_time()
            tables[name].append(fitter(field))
            times[name].append(time.process_time() - begun)
    return times, tables


def quality(fields, tables):
    """Completeness and contamination by S/N, bias and pulls of one program."""
    true_snr, is_found, snr, is_false, error, pull, bright = [], [], [], [], [], [], []
    for field, found in zip(fields, tables, strict=True):
        truth = field.truth
        own, other = matched(truth, found)
        true_snr.append(truth.flux / truth.flux_err)
        is_found.append(np.isin(np.arange(len(truth.x)), own))
        snr.append(found.flux / found.flux_err)
        is_false.append(~np.isin(np.arange(len(found.x)), other))
        error.append(found.flux[other] / truth.flux[own] - 1)
        pull.append((found.flux[other] - truth.flux[own]) / found.flux_err[other])
        bright.append(true_snr[-1][own] > 20)
    true_snr, is_found, snr, is_false, error, pull, bright = (
        np.concatenate(v) for v in (true_snr, is_found, snr, is_false, error, pull, bright)
    )
    complete = [_share(is_found, true_snr, *limits) for limits in BINS]
    false = [_share(is_false, snr, *limits) for limits in BINS]
    spread = [1.4826 * np.median(np.abs(own)) for own in (pull[bright], pull)]
    return complete, false, 100 * np.median(error[bright]), spread


def _share(flag, value, low, high):
    """Percent of ``flag`` where low <= value < high."""
    inside = (value >= low) & (value < high)
    return 100 * flag[inside].mean() if inside.any() else np.nan


def report(fields, times, tables):
    """Print one table."""
    bins = ", ".join(f"{low}-{high}" if np.isfinite(high) else f"> {low}" for low, high in BINS)
    print(
        f"| program | CPU ms | ratio | found | complete %, S/N {bins} | false %, same bins "
        "| flux %, S/N > 20 | pull, S/N > 20 | pull |\n" + "|---" * 9 + "|"
    )
    first = np.array(next(iter(times.values())))
    for name in times:
        complete, false, bias, pulls = quality(fields, tables[name])
        print(
            f"| {name} | {1e3 * np.median(times[name]):.0f} "
            f"| {np.median(np.array(times[name]) / first):.1f} "
            f"| {np.mean([len(table.x) for table in tables[name]]):.0f} "
            f"| {_list(complete)} | {_list(false)} | {bias:+.2f} "
            f"| {pulls[0]:.2f} | {pulls[1]:.2f} |",
            flush=True,
        )


def _list(numbers):
    return ", ".join("-" if np.isnan(n) else f"{n:.0f}" for n in numbers)


def compare(psf, repeats):
    """The tables of all fields."""
    fitters, left_out = star_fitters.available()
    for name, reason in left_out.items():
        print(f"{name} left out: {reason}")
    warm = star_fitters.StarField.draw(psf, 64, 3, 0)
    for fitter in fitters.values():
        fitter(warm)  # compiles
    for n_stars, side in FIELDS:
        # as many stars in all of the small fields
        count = max(repeats, min(3 * repeats, 300 // n_stars))
        fields = [star_fitters.StarField.draw(psf, side, n_stars, 100 + k) for k in range(count)]
        print(f"\n{n_stars} stars in {side} x {side}, {count} field{'s' * (count > 1)}\n")
        report(fields, *run(fitters, fields))


def scale(psf):
    """Time against the number of stars, at one density; photutils as far as it is quick."""
    fitters = {
        "galstep, StarPhot": star_fitters.galstep_field,
        "photutils PSFPhotometry": star_fitters.photutils_psf,
    }
    star_fitters.galstep_field(star_fitters.StarField.draw(psf, 64, 3, 0))  # compiles
    print(
        "| stars | pixels | program | found | complete %, S/N > 10 | pull | CPU s "
        "| ms per star |\n" + "|---" * 8 + "|"
    )
    for n_stars, side in SCALING:
        field = star_fitters.StarField.draw(
            psf, side, n_stars, 1, render=star_fitters.drawn_by_galstep
        )
        if n_stars > PEER_STARS:
            fitters.pop("photutils PSFPhotometry", None)
        for name, fitter in fitters.items():
            begun = time.process_time()
            found = fitter(field)
            seconds = time.process_time() - begun
            complete, _, _, pulls = quality([field], [found])
            share = np.nanmean(complete[2:])
            print(
                f"| {n_stars} | {side} x {side} | {name} | {len(found.x)} | {share:.1f} "
                f"| {pulls[1]:.2f} | {seconds:.2f} | {1e3 * seconds / n_stars:.2f} |",
                flush=True,
            )


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("psf_file")
    parser.add_argument("--filter", default="F150W")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scaling", action="store_true")
    arguments = parser.parse_args()
    psf = read_psf(arguments.psf_file, arguments.filter)
    with threadpool_limits(1):
        if arguments.scaling:
            scale(psf)
        else:
            compare(psf, arguments.repeats)


if __name__ == "__main__":
    main()
