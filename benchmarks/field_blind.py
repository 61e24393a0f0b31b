"""Fields measured without a catalogue: completeness and purity by S/N, types that are chosen.

    python benchmarks/field_blind.py FOLDER ... [--noise 1 4] [--places]

FOLDER: see ``field_files.py``; the PSF is the true one. ``--noise`` adds noise until the sky has so
many times the one it came with: the same sources at lower S/N. ``--places`` starts from the places
of the catalogue (without types, shapes or fluxes) instead of detecting. The S/N of a source is that
of its true flux in all bands together over its Cramer-Rao bound.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from field_files import bands_of, catalogue_of, robust, truth_of
from scipy.spatial import cKDTree

from galstep.core.field.detection import DetectOptions, detect
from galstep.core.field.options import FieldOptions
from galstep.core.field.records import ArrayPixels, FieldSources, SourceType
from galstep.core.field.rounds import fit_field, run_here
from galstep.flags import UNRELIABLE
from galstep.testing.field_bound import field_bound

SNR_BINS = (0, 5, 7, 10, 20, 40, 100, np.inf)
# a row is the true source that is this near (pixels)
MATCHED = 2.5
TYPES = [SourceType.STAR, SourceType.EXP, SourceType.DEV, SourceType.SERSIC]


def noisier(bands, factor, seed):
    """The same field under more noise of the sky."""
    rng, made = np.random.default_rng(seed), []
    for band in bands:
        extra = band.sigma * np.sqrt(factor**2 - 1)
        data = band.pixels.data + rng.normal(0, extra, band.pixels.shape)
        made.append(
            replace(band, pixels=ArrayPixels(data, band.pixels.mask), sigma=band.sigma * factor)
        )
    return made


def matched(x, y, truth):
    """Row of the nearest true source, -1 without one; of several rows of one the nearest."""
    tree = cKDTree(truth.z[:, :2])
    distance, nearest = tree.query(np.column_stack([x, y]))
    nearest[distance > MATCHED] = -1
    for true in set(nearest.tolist()) - {-1}:
        rows = np.flatnonzero(nearest == true)
        nearest[rows[rows != rows[np.argmin(distance[rows])]]] = -1
    return nearest


def measure(folder, factor, options, from_places):
    """Detect, fit, and print the tables."""
    bands, wcs = bands_of(folder)
    if factor > 1:
        bands = noisier(bands, factor, 1)
    truth = truth_of(folder)
    least = field_bound(bands, truth.z, truth.star, truth.flux)
    snr = np.sqrt(np.sum((truth.flux / least.flux) ** 2, axis=1))
    begun = time.process_time()
    if from_places:
        sources, _ = catalogue_of(folder, wcs, blind=True)
    else:
        found = detect(bands, DetectOptions(), run_here)
        sources = FieldSources.make(found.x, found.y, len(bands))
        sources = sources.with_columns(priors=replace(sources.priors, position=found.place_width))
    result = fit_field(bands, sources, options)
    seconds = time.process_time() - begun
    own = matched(result.sources.x, result.sources.y, truth)
    reliable = result.sources.flags & int(UNRELIABLE) == 0
    with np.errstate(invalid="ignore"):
        measured = np.sqrt(np.nansum((result.sources.flux / result.errors.flux) ** 2, axis=1))
    print(
        f"{folder.name}, noise x {factor:g}: {len(truth.z)} true, {len(sources)} "
        f"{'places' if from_places else 'detected'}, {len(result.sources)} rows, "
        f"{reliable.sum()} reliable, {seconds / len(result.sources):.3f} CPU s per row"
    )
    in_detections = matched(sources.x, sources.y, truth)
    print("S/N            " + "".join(f"{_bin(k):>10s}" for k in range(len(SNR_BINS) - 1)))
    for title, star in (("stars", True), ("galaxies", False)):
        for word, rows in (("detected", in_detections), ("measured", own)):
            cells = []
            for k in range(len(SNR_BINS) - 1):
                some = (truth.star == star) & (snr >= SNR_BINS[k]) & (snr < SNR_BINS[k + 1])
                hit = np.isin(np.flatnonzero(some), rows)
                cells.append(f"{hit.sum():4d}/{some.sum():<4d}" if some.any() else "    -    ")
            print(f"{title:9s}{word:9s}" + " ".join(cells))
    cells = []
    for k in range(len(SNR_BINS) - 1):
        some = (measured >= SNR_BINS[k]) & (measured < SNR_BINS[k + 1])
        cells.append(f"{np.count_nonzero(some & (own < 0)):4d}/{some.sum():<4d}")
    print(f"{'false of':18s}" + " ".join(cells))
    types(result, own, truth, snr)
    fluxes(result, own, truth, reliable)


def _bin(k):
    low, high = SNR_BINS[k], SNR_BINS[k + 1]
    return f"> {low:g}" if np.isinf(high) else f"{low:g}-{high:g}"


def types(result, own, truth, snr):
    """True kind against the type that was chosen, by S/N."""
    index = np.exp(truth.z[:, 5])
    kinds = (
        ("star", truth.star), ("n < 1.5", ~truth.star & (index < 1.5)),
        ("1.5 - 2.8", ~truth.star & (index >= 1.5) & (index < 2.8)),
        ("n > 2.8", ~truth.star & (index >= 2.8)),
    )  # fmt: skip
    rows = np.flatnonzero(own >= 0)
    true = own[rows]
    for low, high in ((0, 15), (15, 40), (40, 100), (100, np.inf)):
        near = (snr[true] >= low) & (snr[true] < high)
        line = []
        for name, some in kinds:
            chosen = result.sources.kind[rows[near & some[true]]]
            counts = " ".join(str(np.count_nonzero(chosen == kind)) for kind in TYPES)
            line.append(f"{name}: {counts}")
        print(f"chosen STAR EXP DEV SERSIC, S/N {low:g}-{high:g}: " + "; ".join(line))


def fluxes(result, own, truth, reliable):
    """Bias and pulls of what was matched and is reliable."""
    rows = np.flatnonzero((own >= 0) & reliable)
    true = own[rows]
    change = result.sources.flux[rows] - truth.flux[true]
    pull = change / result.errors.flux[rows]
    for title, some in (("stars", truth.star[true]), ("galaxies", ~truth.star[true])):
        if not some.any():
            continue
        print(
            f"{title:9s} N {some.sum()} dF/F % "
            f"{np.round(100 * np.median(change[some] / truth.flux[true][some], 0), 2)} pull robust "
            f"{np.round(robust(pull[some]), 2)} mean {np.round(pull[some].mean(0), 2)} worst "
            f"{np.abs(pull[some]).max():.1f}, beyond 5: {np.sum(np.abs(pull[some]).max(1) > 5)}"
        )


def main():
    """Measure the fields that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--noise", nargs="*", type=float, default=[1.0])
    parser.add_argument("--places", action="store_true")
    given = parser.parse_args()
    for folder in given.folders:
        for factor in given.noise:
            measure(folder, factor, FieldOptions(), given.places)


if __name__ == "__main__":
    main()
