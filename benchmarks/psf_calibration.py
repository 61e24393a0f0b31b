"""PSF calibration on the truth set: kernel found beside kernel true, and time.

    python benchmarks/psf_calibration.py TRUTH_DIR [--galaxies t09 t12 ...]

TRUTH_DIR has ``data/<name>.h5``, ``psf/`` and ``truth/manifest.json``. The whole
step is run, six filters with its defaults. Printed are sigma of the Gaussian
kernel and its error in samples of the library PSF (4 per pixel), its deviation
from the truth, the number of anchors, flags, and the CPU time of the step. The
first galaxy is run twice: compiling does not count.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np

from galstep.core.kernel_families import variance
from galstep.datamodels import GalaxyModel
from galstep.flags import decode
from galstep.steps.psf_calibrate import PSFCalibrate

GALAXIES = ("t01", "t08", "t09", "t10", "t12")
# sigma in samples of the PSF that each galaxy is given, by manifest's true_psf
RAW_LIBRARY = {
    "F555W": 4.3, "F814W": 4.2, "F090W": 4.0, "F150W": 3.5, "F160W": 7.5, "F277W": 7.0,
}  # fmt: skip
SLIGHTLY_SHARP = 1.25


def true_sigma(entry, filter_name):
    """Sigma of the true kernel in samples of the given PSF."""
    if "lib" in Path(entry["given_psf"]).stem.lower():
        return RAW_LIBRARY[filter_name]
    return SLIGHTLY_SHARP if entry["true_psf"] == "mis_small" else 0.0


def calibrate(folder, name, entry):
    """The calibrated model and the CPU seconds of the step."""
    model = GalaxyModel.open(folder / "data" / f"{name}.h5", psf_file=folder / entry["given_psf"])
    started = time.process_time()
    result = PSFCalibrate().run(model)
    return result, time.process_time() - started


def report(name, result, entry, seconds):
    """Print one galaxy, a line per filter."""
    for filter_name, band in result.bands.items():
        kernel, true = band.psf_kernel, true_sigma(entry, filter_name)
        sigma = band.oversample * np.sqrt(variance(kernel))
        error = np.nan
        if kernel.errors and sigma > 0:
            error = kernel.errors[0] * band.oversample**2 / (2 * sigma)
        off = f"{100 * (sigma / true - 1):+6.1f} %" if true else " " * 8
        print(
            f"{name} {filter_name} true {true:4.2f} found {sigma:6.3f} +- {error:5.3f} {off}"
            f" fwhm {kernel.fwhm:5.2f} px anchors {kernel.n_anchors:2d}"
            f" {' '.join(decode(kernel.flags))} {kernel.reason}"
        )
    print(f"{name} {seconds:.2f} s CPU for {len(result.bands)} filters")


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="TRUTH_DIR")
    parser.add_argument("--galaxies", nargs="+", default=GALAXIES)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    manifest = json.loads((options.folder / "truth" / "manifest.json").read_text())["galaxies"]
    calibrate(options.folder, options.galaxies[0], manifest[options.galaxies[0]])
    for name in options.galaxies:
        result, seconds = calibrate(options.folder, name, manifest[name])
        report(name, result, manifest[name], seconds)


if __name__ == "__main__":
    main()
