"""Fields of stars and galaxies against their truth: bias, bound, pulls, coverage, time, memory.

    python benchmarks/field.py FOLDER ... [--block_size 100] [--rounds 6] [--no-detect] [--no-bound]

FOLDER holds a field as the generators of the acceptance tests write it: see ``field_files.py``. The
fit has the true PSF. ``rms/bound`` is the rms of measured minus true in units of the Cramer-Rao
bound of each source (`galstep.testing.field_bound`), nothing clipped.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from field_files import bands_of, catalogue_of, robust, rows_of, truth_of
from scipy import ndimage

from galstep.core.field.options import FieldOptions
from galstep.core.field.rounds import fit_field
from galstep.core.field.scene_sources import shape_vectors
from galstep.flags import UNRELIABLE
from galstep.testing.field_bound import field_bound

# pixels from a saturated one within which a source is not counted with the others
NEAR_SATURATED, BESIDE_SATURATED = 20, 130


def report(title, change, errors, least=None, truth=None):
    """One line of the table."""
    if not len(change):
        return
    pull = change / errors
    inside = [100 * np.nanmean(np.abs(pull) < k) for k in (1, 2)]
    bias = "" if truth is None else f"dF/F % {_row(100 * np.median(change / truth, 0), '+.3f')} "
    bound = ""
    if least is not None:
        bound = f"rms/bound {_row(np.sqrt(np.nanmean((change / least) ** 2, axis=0)))} "
    print(
        f"{title:17s} N {len(change):5d} {bias}{bound}pull std {_row(np.nanstd(pull, 0))} "
        f"robust {_row(robust(pull))} mean {_row(np.nanmean(pull, 0), '+.2f')} "
        f"inside 1, 2 sigma {inside[0]:.1f} {inside[1]:.1f} % "
        f"worst {np.nanmax(np.abs(pull)):.1f}"
    )


def _row(values, form=".2f"):
    return "/".join(format(v, form) for v in np.atleast_1d(values))


def from_saturated(bands, z):
    """Distance of each source from the nearest masked pixel of any band."""
    mask = np.any([band.pixels.mask for band in bands], axis=0)
    if not mask.any():
        return np.full(len(z), np.inf)
    distance = ndimage.distance_transform_edt(~mask)
    y, x = (np.clip(np.rint(z[:, k]).astype(int), 0, mask.shape[1 - k] - 1) for k in (1, 0))
    return distance[y, x]


def measure(folder, options, with_bound):
    """Fit a field and print its lines of the table."""
    bands, wcs = bands_of(folder)
    sources, names = catalogue_of(folder, wcs)
    fit_field(bands, sources.rows(np.arange(3)), FieldOptions(rounds=1, detect=False))  # compiles
    begun = time.process_time()
    result = fit_field(bands, sources, options, report=lambda record: print("  ", record))
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    truth = truth_of(folder)
    rows = rows_of(truth, names)
    reliable = (result.sources.flags & int(UNRELIABLE) == 0)[rows]
    far = from_saturated(bands, truth.z)
    clear = far > NEAR_SATURATED
    print(
        f"{folder.name}: {len(sources)} sources, {len(result.blocks)} blocks, "
        f"{len(result.rounds)} rounds, {seconds:.1f} CPU s, "
        f"{seconds / len(sources):.4f} s per source, peak {peak:.0f} MB, "
        f"{len(result.sources) - len(sources)} added, "
        f"{np.count_nonzero(~result.converged & sources_fit(result))} not converged"
    )
    least = field_bound(bands, truth.z, truth.star, truth.flux) if with_bound else None
    change = result.sources.flux[rows] - truth.flux
    errors = result.errors.flux[rows]
    false = reliable & clear & (np.abs(change / errors) > 5).any(axis=1)
    print(f"reliable {100 * reliable[clear].mean():.1f} % of {clear.sum()} unmasked; "
          f"of them off by more than 5 sigma: {false.sum()}")  # fmt: skip

    def fluxes(title, chosen):
        bound = None if least is None else least.flux[chosen]
        report(title, change[chosen], errors[chosen], bound, truth.flux[chosen])

    fluxes("stars", truth.star & clear)
    fluxes("galaxies", ~truth.star & clear)
    index = np.exp(truth.z[:, 5])
    fluxes("galaxies n < 1.5", ~truth.star & clear & (index < 1.5))
    fluxes("galaxies n > 3", ~truth.star & clear & (index > 3))
    fluxes("by saturated", ~truth.star & clear & (far < BESIDE_SATURATED))
    fluxes("blends, stars", (truth.pair >= 0) & truth.star & clear)
    fluxes("blends, galaxies", (truth.pair >= 0) & ~truth.star & clear)
    shapes(result, rows, truth, clear, least, options)


def sources_fit(result):
    """Rows that were fitted."""
    return result.block >= 0


def shapes(result, rows, truth, clear, least, options):
    """Places and shapes."""
    change = shape_vectors(result.sources, options)[rows] - truth.z
    sigma = np.full(change.shape, np.nan)
    for k, row in enumerate(rows):
        free = result.free[row]
        sigma[k, free] = np.sqrt(np.diag(result.covariance[row])[: np.count_nonzero(free)])
    for title, chosen in (("stars", truth.star & clear), ("galaxies", ~truth.star & clear)):
        bound = None if least is None else least.z[chosen, :2]
        report(f"x, y of {title}", change[chosen, :2], sigma[chosen, :2], bound)
        print(f"{'':17s} robust rms {_row(robust(change[chosen, :2]), '.4f')} px")
    galaxy = ~truth.star & clear
    bound = None if least is None else least.z[galaxy, 2:]
    report("ln r_e e1 e2 ln n", change[galaxy, 2:], sigma[galaxy, 2:], bound)
    q = [(1 - e) / (1 + e) for e in (np.hypot(*(truth.z + c)[galaxy, 3:5].T) for c in (0, change))]
    n = np.exp(truth.z[galaxy, 5])
    size, index = 100 * robust(change[galaxy, 2]), robust(n * np.expm1(change[galaxy, 5]))
    print(f"{'':17s} robust rms: r_e {size:.2f} %, n {index:.3f}, q {robust(q[1] - q[0]):.4f}")


def main():
    """Measure the fields that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--block_size", type=int, default=FieldOptions().block_size)
    parser.add_argument("--rounds", type=int, default=FieldOptions().rounds)
    parser.add_argument("--no-detect", action="store_true")
    parser.add_argument("--no-bound", action="store_true")
    given = parser.parse_args()
    options = FieldOptions(
        block_size=given.block_size, rounds=given.rounds, detect=not given.no_detect
    )
    for folder in given.folders:
        measure(folder, options, not given.no_bound)


if __name__ == "__main__":
    main()
