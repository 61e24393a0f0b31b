"""StarPhot beside photutils: sparse stars with a PSF that changes, and a crowded field.

    python benchmarks/star_phot.py sparse PSF_LIBRARY.h5
    python benchmarks/star_phot.py crowded PSF_LIBRARY.h5 [--stars 50000] [--side 4096]
    python benchmarks/star_phot.py crowded PSF_LIBRARY.h5 --peer-side 512
    python benchmarks/star_phot.py large PSF_LIBRARY.h5 --stars 20000 --side 10000

sparse: the case of photutils' notebook on PSF photometry. 2048 x 2048 pixels,
500 stars of flux 500 to 20 000 at least 25 pixels apart, noise 0.5, a 4 x 4
grid of PSFs, 4 samples per pixel, made of a library PSF by a smooth change of
width and ellipticity. crowded: power-law fluxes, time, peak memory,
completeness, and the same catalogue with another tile size. The peer fits a
cut-out of the crowded field; in sparse both are timed in turns, ``--repeats`` times.
large: an image that is read from a FITS file in tiles, for its memory. Seconds are
those of the processor.
"""

import argparse
import resource
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from photutils.datasets import make_model_params
from photutils.detection import DAOStarFinder, IRAFStarFinder
from photutils.psf import GriddedPSFModel, IterativePSFPhotometry, PSFPhotometry, SourceGrouper
from scipy.spatial import cKDTree

from galstep.core.psf.effective import EffectivePSF
from galstep.core.star_field.given import GivenStars
from galstep.core.star_field.photometry import StarFieldOptions, fit_star_field
from galstep.core.star_field.psf import PsfField
from galstep.core.star_field.tiles import FieldImage
from galstep.records import PsfKernel
from galstep.steps import StarPhot

NOISE = 0.5
OVERSAMPLE = 4


def make_grid(path, side, name="F150W", size=404):
    """A 4 x 4 grid of PSFs over a frame: (16, size, size) array, positions."""
    with h5py.File(path) as file:
        library = EffectivePSF.from_array(file[name][()], OVERSAMPLE)
    where = np.linspace(0, side - 1, 4)
    positions = np.array([(x, y) for y in where for x in where])
    arrays = []
    for x, y in positions:
        u, v = 2 * x / (side - 1) - 1, 2 * y / (side - 1) - 1
        # sigma^2 from 0.10 to 0.25 px^2, sheared by up to 20 per cent
        width = 0.17 + 0.05 * u + 0.03 * v * v
        kernel = PsfKernel("elliptical", (width * (1 + 0.2 * v), 0.15 * width * u * v,
                                          width * (1 - 0.2 * v)))  # fmt: skip
        arrays.append(_cut(library.convolved(kernel).array, size))
    grid = np.array(arrays)
    return grid / grid.sum(axis=(1, 2), keepdims=True) * OVERSAMPLE**2, positions


def _cut(array, size):
    """The middle ``size`` samples of an array, or zeros about it."""
    out = np.zeros((size, size))
    # an odd array in an even one would move its centre by half a sample
    if (array.shape[0] - size) % 2:
        array = array[:-1, :-1] / 4 + array[1:, :-1] / 4 + array[:-1, 1:] / 4 + array[1:, 1:] / 4
    n = min(size, array.shape[0])
    a, b = (array.shape[0] - n) // 2, (size - n) // 2
    out[b : b + n, b : b + n] = array[a : a + n, a : a + n]
    return out


def draw(psfs, side, x, y, flux, seed):
    """A frame of stars with white noise, drawn to the edge of the PSF."""
    image = np.random.default_rng(seed).normal(0, NOISE, (side, side))
    step = 1024
    half = np.full(len(x), psfs.half_size)
    for y0 in range(0, side, step):
        for x0 in range(0, side, step):
            near = (np.abs(x - x0 - step / 2) < step / 2 + psfs.half_size + 1) & (
                np.abs(y - y0 - step / 2) < step / 2 + psfs.half_size + 1
            )
            part = image[y0 : y0 + step, x0 : x0 + step]
            part += psfs.render(part.shape, (x0, y0), x[near], y[near], flux[near], half[near])
    return image


def compare(name, seconds, found, truth, snr):
    """Print one row: found, false, pulls."""
    x, y, flux, errors = found
    tree, own = cKDTree(np.column_stack(truth[:2])), np.column_stack([x, y])
    distance, nearest = tree.query(own)
    order = np.argsort(distance, kind="stable")
    _, first = np.unique(nearest[order], return_index=True)
    match = order[first]
    match = match[distance[match] < 1.0]
    pull = (flux[match] - truth[2][nearest[match]]) / errors[match, 0]
    pull_x = (x[match] - truth[0][nearest[match]]) / errors[match, 1]
    rms = np.std(flux[match] / truth[2][nearest[match]] - 1)
    levels = [(snr >= low) & (snr < high) for low, high in ((5, 7), (7, 10), (10, 20), (20, 1e9))]
    seen = np.zeros(len(snr), dtype=bool)
    seen[nearest[match]] = True
    complete = " ".join(f"{seen[level].mean():.3f}" if level.any() else "-" for level in levels)
    print(
        f"| {name} | {seconds:.2f} | {len(match)} of {len(truth[0])} | {len(x) - len(match)} | "
        f"{pull.std():.3f} ({_robust(pull):.3f}) | {pull_x.std():.3f} ({_robust(pull_x):.3f}) | "
        f"{np.mean(pull):+.3f} | {rms:.4f} | {complete} |"
    )


def _robust(values):
    low, high = np.percentile(values, [15.865, 84.135])
    return (high - low) / 2


HEADER = (
    "| engine | s | matched | unmatched | std of flux pulls (robust) | of x pulls | mean flux pull "
    "| rms of flux ratio | complete at S/N 5-7, 7-10, 10-20, 20- |\n" + "|---" * 9 + "|"
)


def peer_model(grid, positions):
    """The same grid for photutils."""
    meta = {"grid_xypos": [tuple(p) for p in positions], "oversampling": OVERSAMPLE}
    return GriddedPSFModel(NDData(grid, meta=meta))


def peer_row(table):
    """x, y, flux and errors of a table of photutils."""
    good = np.isfinite(np.asarray(table["flux_err"], float)) & (table["flux_err"] > 0)
    table = table[good]
    errors = np.column_stack([table[f"{name}_err"] for name in ("flux", "x", "y")])
    return (*(np.asarray(table[f"{name}_fit"], float) for name in ("x", "y", "flux")), errors)


def own_row(result):
    """The same of a `StarField`."""
    state = result.state
    return state.x, state.y, state.flux, result.errors


def sparse(args):
    """The notebook's case."""
    side = 2048
    grid, positions = make_grid(args.library, side)
    psfs = PsfField.from_grid(grid, positions, OVERSAMPLE)
    params = make_model_params(
        (side, side), 500, x_name="x_0", y_name="y_0", flux=(500, 20_000), min_separation=25,
        border_size=20, seed=0,
    )  # fmt: skip
    truth = [np.asarray(params[name], float) for name in ("x_0", "y_0", "flux")]
    image = draw(psfs, side, *truth, seed=0)
    error = np.full(image.shape, NOISE)
    snr = truth[2] / (NOISE * np.sqrt(psfs.mean.noise_area))
    print(HEADER)
    fit_star_field(FieldImage(image[:256, :256], error[:256, :256]), psfs)  # compiles
    results = []
    for name, options in (
        ("galstep, box 5", StarFieldOptions(threshold=6.0, half_size=2, background="none")),
        ("galstep, box of the PSF", StarFieldOptions(threshold=6.0, background="none")),
        ("galstep, sky mesh", StarFieldOptions(threshold=6.0)),
    ):
        started = time.process_time()
        results.append(fit_star_field(FieldImage(image, error), psfs, options))
        seconds = time.process_time() - started
        compare(name, seconds, own_row(results[-1]), truth, snr)
    other = StarFieldOptions(threshold=6.0, tile_size=300)
    _same(results[-1], fit_star_field(FieldImage(image, error), psfs, other))
    model = peer_model(grid, positions)
    for side_of_box in (5, 2 * psfs.matrix_half_size + 1):
        beside_peer("white error", image, error, psfs, model, side_of_box, truth, snr, args.repeats)
    # as the notebook has it: no error that this image has, but the peer takes it too
    root = np.sqrt(np.abs(image))
    beside_peer("sqrt(|data|)", image, root, psfs, model, 5, truth, snr, args.repeats)


def beside_peer(label, image, error, psfs, model, box, truth, snr, repeats):
    """Both programs in turns on one frame: to find and fit, and to fit alone."""
    options = StarFieldOptions(threshold=6.0, half_size=box // 2, background="none")
    finder = IRAFStarFinder(threshold=6.0, fwhm=3.0)
    peer = PSFPhotometry(model, (box, box), finder=finder, aperture_radius=5)
    name = f"{label}, box {box}"
    _, table = in_turns(
        name,
        lambda: own_row(fit_star_field(FieldImage(image, error), psfs, options)),
        lambda: peer(image, error=error),
        (truth, snr, repeats),
    )
    # both from the same first positions and fluxes, those of photutils' finder
    first = [np.asarray(table[f"{key}_init"], float) for key in ("x", "y", "flux")]
    init = Table(dict(zip(("x", "y", "flux"), first, strict=True)))
    given, alone = GivenStars.of(*first), replace(options, finder="none")
    in_turns(
        f"{name}, fit alone",
        lambda: own_row(fit_star_field(FieldImage(image, error), psfs, alone, given)),
        lambda: PSFPhotometry(model, (box, box))(image, error=error, init_params=init),
        (truth, snr, repeats),
    )


def in_turns(name, own, peer, known):
    """Time two calls in turns and print a row of each; their last results."""
    truth, snr, repeats = known
    seconds, last = np.zeros((repeats, 2)), [None, None]
    for i in range(repeats):
        for j, call in enumerate((own, peer)):
            started = time.process_time()
            last[j] = call()
            seconds[i, j] = time.process_time() - started
    compare(f"galstep, {name}", np.median(seconds[:, 0]), last[0], truth, snr)
    compare(f"photutils, {name}", np.median(seconds[:, 1]), peer_row(last[1]), truth, snr)
    ratios = np.sort(seconds[:, 1] / seconds[:, 0])
    print(f"photutils / galstep: {np.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")
    return last


def _same(one, other):
    if len(one.state) != len(other.state):
        print(f"tile sizes differ: {len(one.state)} and {len(other.state)} stars")
        return
    flux = np.abs(one.state.flux / other.state.flux - 1).max()
    place = np.abs(one.state.x - other.state.x).max()
    print(f"two tile sizes: largest difference {flux:.1e} of the flux, {place:.1e} px")


def crowded(args):
    """Many stars."""
    side, count = args.side, args.stars
    grid, positions = make_grid(args.library, side)
    psfs = PsfField.from_grid(grid, positions, OVERSAMPLE)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, side - 1, (2, count))
    # N(> F) ~ F^-0.8 from S/N 4 to 2000
    unit = NOISE * np.sqrt(psfs.mean.noise_area)
    flux = unit * 4 * (1 - rng.random(count) * (1 - 500**-0.8)) ** (-1 / 0.8)
    truth, snr = [x, y, flux], flux / unit
    image = draw(psfs, side, x, y, flux, seed=1).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fit_star_field(FieldImage(image[:256, :256]), psfs)  # compiles
    print(HEADER)
    results = []
    for size in args.tiles:
        started = time.process_time()
        results.append(fit_star_field(FieldImage(image), psfs, StarFieldOptions(tile_size=size)))
        seconds = time.process_time() - started
        compare(f"galstep, tiles of {size}", seconds, own_row(results[-1]), truth, snr)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory: {before:.0f} MB before, {after:.0f} MB at most; {results[-1].history}")
    if len(results) > 1:
        _same(*results[:2])
    if args.peer_side:
        _crowded_peer(args, image, truth, snr, grid, positions, psfs)


def _crowded_peer(args, image, truth, snr, grid, positions, psfs):
    """photutils on a corner of the field."""
    side = args.peer_side
    part = image[:side, :side].astype(float)
    inside = (truth[0] < side) & (truth[1] < side)
    truth, snr = [values[inside] for values in truth], snr[inside]
    error = np.full(part.shape, NOISE)
    model = peer_model(grid, positions)
    started = time.process_time()
    result = fit_star_field(FieldImage(part, error), psfs)
    seconds = time.process_time() - started
    compare(f"galstep, {side} x {side}", seconds, own_row(result), truth, snr)
    shape = (2 * psfs.matrix_half_size + 1,) * 2
    finder = DAOStarFinder(5 * NOISE, psfs.mean.fwhm)
    for name, peer in (
        ("PSFPhotometry", PSFPhotometry(model, shape, finder=finder, aperture_radius=3)),
        (
            "IterativePSFPhotometry, grouped",
            IterativePSFPhotometry(
                model, shape, finder, aperture_radius=3,
                grouper=SourceGrouper(2 * psfs.mean.fwhm),
            ),
        ),
    ):  # fmt: skip
        started = time.process_time()
        table = peer(part, error=error)
        ours = seconds
        took = time.process_time() - started
        compare(f"photutils {name}", took, peer_row(table), truth, snr)
        print(f"photutils / galstep: {took / ours:.1f}")


def large(args):
    """An image larger than what is to be in memory."""
    side, count = args.side, args.stars
    grid, positions = make_grid(args.library, side, size=204)
    psfs = PsfField.from_grid(grid, positions, OVERSAMPLE)
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, side - 1, (2, count))
    unit = NOISE * np.sqrt(psfs.mean.noise_area)
    flux = unit * 6 * (1 - rng.random(count) * (1 - 300**-0.8)) ** (-1 / 0.8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.fits"
        _write_strips(path, side, psfs, (x, y, flux), rng)
        step = StarPhot(
            n_passes=2, save_results=True, output_dir=folder, qa_figure=False, save_regions=False
        )
        started = time.process_time()
        rows = step.run(str(path), peer_model(grid, positions)).rows
        seconds = time.process_time() - started
    found = rows.x_fit, rows.y_fit, rows.flux_fit
    errors = np.column_stack([rows.flux_err, rows.x_err, rows.y_err])
    print(HEADER)
    compare(f"galstep, {side} x {side}", seconds, (*found, errors), (x, y, flux), flux / unit)
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")


def _write_strips(path, side, psfs, stars, rng):
    """The image strip by strip, so that drawing it takes no memory."""
    cards = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side}
    stream = fits.StreamingHDU(str(path), fits.Header(list(cards.items())))
    for first in range(0, side, 256):
        rows = min(256, side - first)
        near = np.abs(stars[1] - first - rows / 2) < rows / 2 + psfs.half_size + 1
        own = [values[near] for values in stars]
        half = np.full(len(own[0]), psfs.half_size)
        strip = psfs.render((rows, side), (0, first), *own, half)
        stream.write((strip + rng.normal(0, NOISE, strip.shape)).astype(np.float32))
    stream.close()


def main():
    """Run one of the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=("sparse", "crowded", "large"))
    parser.add_argument("library", help="HDF5 file with the library PSFs")
    parser.add_argument("--stars", type=int, default=50_000)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tiles", type=int, nargs="*", default=[1024, 700])
    parser.add_argument("--peer-side", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5, help="of sparse, both in turns")
    args = parser.parse_args()
    {"sparse": sparse, "crowded": crowded, "large": large}[args.case](args)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
