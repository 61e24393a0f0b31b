"""PSF calibration on real galaxies: how well their bright stars fit, before and after.

    python benchmarks/psf_stars.py DATA_DIR [GALAXY ...] [--figure FIGURE.png]

DATA_DIR has the galaxies' ``<name>.h5`` and ``psf_library.h5``. PSFCalibrate is run with
its defaults. By filter and galaxy are printed: sigma of the kernel (samples of the
library PSF) and its error; the FWHM of the PSF and that of the stacked stars beside it,
pixels; the root mean square residual of the stacked stars within the FWHM, in per cent of
their peak, with the library as it is, with the kernel, and with kernel and empirical
correction; by how much that correction lowered chi2 on stars held out. Then the median
of the kernels and their spread (1.48 MAD) between galaxies.

The figure shows these stacks, the mean over the galaxies.
"""

import argparse
import logging
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.stats import mad_std
from scipy.ndimage import map_coordinates

from galstep.core.calibration.psf_stack import stack_stars
from galstep.core.psf.kernel_families import variance
from galstep.datamodels import GalaxyModel
from galstep.flags import decode
from galstep.steps.galaxy.psf_products import stacked_stars
from galstep.steps.psf_calibrate import PSFCalibrate

HALF, STEP = {"F160W": 10.0, "F277W": 7.5}, 0.25
SHOWN = 5.0  # pixels from the star in the figure, other filters


def calibrate(folder, name):
    """Per filter: kernel, oversampling, and the stacks without and with correction."""
    model = GalaxyModel.open(folder / f"{name}.h5", psf_file=folder / "psf_library.h5")
    step, started = PSFCalibrate(), time.process_time()
    result = step.run(model)
    seconds = time.process_time() - started
    stacks, found = stacked_stars(result, step.calibrated), {}
    for filter_name, stack in stacks.items():
        band, own = result.bands[filter_name], step.calibrated[filter_name]
        plain = replace(band.psf_kernel, correction=None)
        without = stack_stars(own.frame, plain, own.stars, own.anchors)
        found[filter_name] = band.psf_kernel, band.oversample, without, stack
    return found, seconds


def report(filter_name, name, kernel, oversample, without, stack):
    """Print a line; sigma and the widths are returned."""
    sigma = oversample * np.sqrt(variance(kernel))
    error = kernel.errors[0] * oversample**2 / (2 * sigma) if kernel.errors and sigma else np.nan
    gain = "      none"
    if kernel.correction is not None:
        gain = f"{kernel.correction.gain:5.0f} +- {kernel.correction.gain_err:.0f}"
    print(
        f"{filter_name} {name} sigma {sigma:5.2f} +- {error:.2f}  fwhm {kernel.fwhm:5.2f}"
        f" stars {stack.fwhm:5.2f}  rms {100 * stack.rms_before:5.1f}"
        f" {100 * without.rms_after:5.2f} {100 * stack.rms_after:5.2f} %  gain {gain}"
        f"  {kernel.n_anchors} stars {' '.join(decode(kernel.flags))}"
    )
    return sigma, kernel.fwhm, stack.fwhm


def on_grid(image, extent, half):
    """A stack's residual on a common grid, per cent."""
    axis = np.arange(-half, half + STEP / 2, STEP)
    middle = len(image) // 2
    places = axis * (2 * middle + 1) / (2 * extent + extent / middle) + middle
    y, x = np.meshgrid(places, places, indexing="ij")
    return 100 * map_coordinates(image, [y, x], order=1, mode="constant", cval=np.nan)


def draw(found, path):
    """The mean residual of the stacked stars: library, kernel, kernel and correction."""
    from matplotlib.figure import Figure

    filters = list(found)
    figure = Figure(figsize=(2.1 * len(filters) + 0.8, 6.9), dpi=90)
    axes = figure.subplots(3, len(filters), squeeze=False)
    figure.subplots_adjust(left=0.08, right=0.985, bottom=0.06, top=0.93, wspace=0.25, hspace=0.3)
    for column, filter_name in zip(axes.T, filters, strict=True):
        half = HALF.get(filter_name, SHOWN)
        parts = [
            [on_grid(stack.before, stack.extent, half) for *_, stack in found[filter_name]],
            [on_grid(plain.after, plain.extent, half) for *_, plain, _ in found[filter_name]],
            [on_grid(stack.after, stack.extent, half) for *_, stack in found[filter_name]],
        ]
        column[0].set_title(f"{filter_name} ({len(parts[0])})", fontsize=10, weight="bold")
        for axis, images, limit in zip(column, parts, (30, 5, 5), strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # corners without any pixel
                mean = np.nanmedian(images, axis=0)
            shown = axis.imshow(
                mean, origin="lower", extent=np.array([-1, 1, -1, 1]) * half, cmap="RdBu_r",
                vmin=-limit, vmax=limit,
            )  # fmt: skip
            axis.tick_params(labelsize=6)
            yy, xx = np.indices(mean.shape) * STEP - half
            near = np.hypot(xx, yy) < 0.5 * half
            axis.set_xlabel(f"rms {np.sqrt(np.nanmean(mean[near] ** 2)):.2f} %", fontsize=7)
            if column is axes.T[-1]:
                figure.colorbar(shown, ax=axis, fraction=0.046).ax.tick_params(labelsize=6)
    for axis, text in zip(axes[:, 0], ("library", "kernel", "kernel + correction"), strict=True):
        axis.set_ylabel(f"stars - {text}, % of peak", fontsize=8)
    figure.savefig(path)


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DATA_DIR")
    parser.add_argument("galaxies", nargs="*")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    names = options.galaxies or sorted(path.stem for path in options.folder.glob("g*.h5"))
    found = {}
    for name in names:
        own, seconds = calibrate(options.folder, name)
        print(f"{name}: {seconds:.2f} s CPU", flush=True)
        for filter_name, parts in own.items():
            found.setdefault(filter_name, []).append((name, *parts))
    for filter_name, rows in found.items():
        sigma, model, stars = np.array([report(filter_name, *row) for row in rows]).T
        print(
            f"{filter_name} sigma {np.median(sigma):.2f}, spread "
            f"{100 * mad_std(sigma) / np.median(sigma):.1f} %; fwhm {np.median(model):.2f}, "
            f"stars {np.nanmedian(stars):.2f} px"
        )
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
