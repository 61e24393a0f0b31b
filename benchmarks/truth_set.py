"""The pipeline on galaxies with known answers, scored against them.

    python benchmarks/truth_set.py TRUTH [GALAXY ...] --output DIR [--set STEP.NAME=VALUE ...]

TRUTH is the folder of the truth set: data/<galaxy>.h5, truth/manifest.json with the
PSF that each galaxy is given, and score.py, which is run on the products in DIR. A
galaxy whose product is there already is not fitted again. ``--set`` gives
parameters other than the defaults, as on the command line of ``strun``.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from galstep.pipeline import GalPipeline


def fit(truth, galaxy, output, steps):
    """Run the pipeline on one galaxy and print a line about it.

    Parameters
    ----------
    truth, output : pathlib.Path
    galaxy : str
    steps : dict
        Step key to parameters that differ from the defaults.
    """
    known = json.loads((truth / "truth" / "manifest.json").read_text())["galaxies"]
    fit_image(truth / "data" / f"{galaxy}.h5", truth / known[galaxy]["given_psf"], output, steps)


def fit_image(image, psf, output, steps):
    """Run the pipeline on one image file with this PSF and print a line about it."""
    steps = {key: dict(values) for key, values in steps.items()}
    steps.setdefault("loadcrop", {})["psf_file"] = str(psf)
    started = time.process_time()
    model = GalPipeline.call(
        str(image), steps=steps, output_dir=str(output), save_results=True, configure_log=False
    )
    cpu = time.process_time() - started
    base = model.bands[model.meta.base_filter]
    print(f"{image.stem}: {cpu:.1f} s CPU, {len(base.fit.stars)} stars", flush=True)


def parameters(given):
    """``STEP.NAME=VALUE`` strings as a mapping of mappings."""
    steps = {}
    for item in given:
        name, _, value = item.partition("=")
        step, _, parameter = name.partition(".")
        steps.setdefault(step, {})[parameter] = value
    return steps


def main(arguments=None):
    """Fit what is not there yet, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("galaxies", nargs="*")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="STEP.NAME=VALUE")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    names = options.galaxies or sorted(path.stem for path in (options.truth / "data").glob("t*.h5"))
    for name in names:
        if not (options.output / f"{name}_gal.asdf").exists():
            fit(options.truth, name, options.output, parameters(options.set))
    score = [sys.executable, str(options.truth / "score.py"), "--products", str(options.output)]
    sys.exit(subprocess.call(score))


if __name__ == "__main__":
    main()
