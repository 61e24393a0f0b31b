"""PSF calibration on the truth set: kernel, centroid and photometry beside the truth.

    python benchmarks/psf_calibration.py TRUTH_DIR [--galaxies t09 t12 ...]
        [--objective multi_source scene] [--correction auto] [--photometry]

TRUTH_DIR has ``data/<name>.h5``, ``psf/`` and ``truth/``. The whole step is run, six
filters with its defaults. Printed are sigma of the Gaussian kernel and its error in
samples of the library PSF (4 per pixel), its deviation from the truth, the shift of
the centroid that a star of the true PSF has with the calibrated one, the gain of an
empirical correction if one was chosen, the number of anchors, flags, and the CPU time
of the step. The first galaxy is run twice: compiling does not count.

``--photometry`` goes on to BaseFit, ScaleFit and JointFit with that PSF and prints the
galaxy's flux and its colour against F150W, less the truth, beside the quoted error and
the Cramer-Rao bound of the six-band fit.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from galstep.core.psf.cache import effective_psf
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import variance
from galstep.datamodels import GalaxyModel
from galstep.flags import decode
from galstep.records import PsfKernel
from galstep.steps import BaseFit, JointFit, ScaleFit
from galstep.steps.psf_calibrate import PSFCalibrate

GALAXIES = ("t01", "t08", "t09", "t10", "t12")
# sigma in samples of the PSF that each galaxy is given, by manifest's true_psf
RAW_LIBRARY = {
    "F555W": 4.3, "F814W": 4.2, "F090W": 4.0, "F150W": 3.5, "F160W": 7.5, "F277W": 7.0,
}  # fmt: skip
SLIGHTLY_SHARP = 1.25
BASE = "F150W"


def true_sigma(entry, filter_name):
    """Sigma of the true kernel in samples of the given PSF."""
    if "lib" in Path(entry["given_psf"]).stem.lower():
        return RAW_LIBRARY[filter_name]
    return SLIGHTLY_SHARP if entry["true_psf"] == "mis_small" else 0.0


def calibrate(folder, name, entry, **parameters):
    """The calibrated model and the CPU seconds of the step."""
    model = GalaxyModel.open(folder / "data" / f"{name}.h5", psf_file=folder / entry["given_psf"])
    started = time.process_time()
    result = PSFCalibrate(**parameters).run(model)
    return result, time.process_time() - started


def centroid_shift(band, true):
    """Where a star of the true PSF is found with the calibrated one, pixels.

    To first order: the projection of the difference of the two on the gradient.
    """
    library = EffectivePSF.from_array(band.psf, band.oversample)
    truth = library.convolved(PsfKernel("gaussian", ((true / band.oversample) ** 2,)))
    ours = effective_psf(band.psf, band.oversample, band.psf_kernel)
    half = min(*truth.array.shape, *ours.array.shape) // 2 - 1
    cuts = []
    for psf in (truth, ours):
        y, x = ((n - 1) // 2 for n in psf.array.shape)
        cuts.append(psf.array[y - half : y + half + 1, x - half : x + half + 1])
    by_y, by_x = np.gradient(cuts[1])
    shifts = [-np.vdot(cuts[0] - cuts[1], g) / np.vdot(g, g) for g in (by_x, by_y)]
    return float(np.hypot(*shifts)) / band.oversample


def report(name, result, entry, seconds):
    """Print one galaxy, a line per filter."""
    for filter_name, band in result.bands.items():
        kernel, true = band.psf_kernel, true_sigma(entry, filter_name)
        sigma = band.oversample * np.sqrt(variance(kernel))
        error = np.nan
        if kernel.errors and sigma > 0:
            error = kernel.errors[0] * band.oversample**2 / (2 * sigma)
        off = f"{100 * (sigma / true - 1):+6.1f} %" if true else " " * 8
        gain = "-" if kernel.correction is None else f"{kernel.correction.gain:.0f}"
        print(
            f"{name} {filter_name} true {true:4.2f} found {sigma:6.3f} +- {error:5.3f} {off}"
            f" centroid {centroid_shift(band, true):.4f} px correction {gain}"
            f" fwhm {kernel.fwhm:5.2f} px anchors {kernel.n_anchors:2d}"
            f" {' '.join(decode(kernel.flags))} {kernel.reason}"
        )
    print(f"{name} {seconds:.2f} s CPU for {len(result.bands)} filters", flush=True)


def photometry(name, model, folder):
    """Fit the galaxy with the calibrated PSFs and print fluxes and colours."""
    for step in (BaseFit(base_filter=BASE), ScaleFit(), JointFit()):
        model = step.run(model)
    galaxies = Table.read(folder / "truth" / "galaxies.ecsv")
    truth = next(row for row in galaxies if row["name"] == name and row["component"] == 0)
    bound = json.loads((folder / "truth" / "crb.json").read_text())[name]["joint"]
    base_ratio = model.bands[BASE].fit.flux / truth[f"flux_{BASE}"]
    for filter_name, band in model.bands.items():
        ratio = band.fit.flux / truth[f"flux_{filter_name}"]
        colour = -2.5 * np.log10(ratio / base_ratio)
        print(
            f"{name} {filter_name} flux {100 * (ratio - 1):+6.2f} % +- "
            f"{100 * band.fit.flux_err / band.fit.flux:.2f} "
            f"(bound {100 * bound[f'flux_{filter_name}']:.2f})"
            f" colour {1000 * colour:+6.1f} mmag "
            f"(bound {1000 * bound.get(f'colour_{filter_name}', 0.0):.1f})",
            flush=True,
        )


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="TRUTH_DIR")
    parser.add_argument("--galaxies", nargs="+", default=GALAXIES)
    parser.add_argument("--objective", nargs="+", default=["multi_source"])
    parser.add_argument("--correction", default="auto")
    parser.add_argument("--photometry", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    manifest = json.loads((options.folder / "truth" / "manifest.json").read_text())["galaxies"]
    calibrate(options.folder, options.galaxies[0], manifest[options.galaxies[0]])
    for name in options.galaxies:
        for objective in options.objective:
            print(f"{name}, kernel_fit_objective {objective}:")
            result, seconds = calibrate(
                options.folder, name, manifest[name],
                kernel_fit_objective=objective, empirical_correction=options.correction,
            )  # fmt: skip
            report(name, result, manifest[name], seconds)
            if options.photometry:
                photometry(name, result, options.folder)


if __name__ == "__main__":
    main()
