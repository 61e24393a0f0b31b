"""How the filters of real galaxies lie against each other, and what that does to colours.

    python benchmarks/registration.py DATA_DIR [galaxy ...]

DATA_DIR holds cutouts ``g*.h5`` and ``psf_library.h5``. Each galaxy is measured
twice with the default pipeline, registration on and off; offsets and errors are
those of the fit (galaxy and stars together), and beside them those that TweakReg
finds from the stars alone. Colours are total magnitudes minus that of the base
filter; "step" is the colour with registration minus the one without.
"""

import argparse
import logging
import warnings
from pathlib import Path

import numpy as np

from galstep.datamodels import GalaxyModel
from galstep.datamodels.tables.galaxy_tables import phot_table
from galstep.pipeline import GalPipeline
from galstep.steps import TweakReg

FITS = ("scalefit", "forcedscalefit", "jointfit")
# for cutouts of 255 pixels full of faint stars
STARS = dict(
    snr_threshold=3.0, brightest=400, sharplo=0.1, sharphi=2.0, minobj=6, searchrad=0.3,
    separation=0.1, tolerance=0.15, fitgeometry="shift",
)  # fmt: skip


def measure(model, registration):
    """The model after the pipeline, without aperture photometry and picture."""
    steps = {name: {"registration": registration} for name in FITS}
    steps["aperphot"] = {"skip": True}
    return GalPipeline.call(model, steps=steps, qa_figure=False, configure_log=False)


def colors(model):
    """Filter to colour and its error (mag)."""
    table = phot_table(model)
    return {
        str(row["filter"]): (float(row["color"].value), float(row["color_err"].value))
        for row in table
    }


def pair(value, error):
    """Two numbers with errors."""
    return " ".join(f"{v:+.3f} ± {e:.3f}" for v, e in zip(value, error, strict=True))


def main():
    """Print a row for each galaxy and filter, and the scatter of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("galaxies", nargs="*")
    args = parser.parse_args()
    names = args.galaxies or sorted(path.stem for path in args.folder.glob("g*.h5"))
    print("| galaxy | filter | offset x, y of the fit (px) | of the stars alone (px) | stars "
          "| colour (mag) | step (mmag) |")  # fmt: skip
    print("|---" * 7 + "|")
    sizes, changes, agree = [], [], []
    for name in names:
        source = GalaxyModel.open(
            args.folder / f"{name}.h5", psf_file=args.folder / "psf_library.h5"
        )
        stars = TweakReg(**STARS).run(source)
        fitted, fixed = (measure(source, registration) for registration in (True, False))
        on, off = colors(fitted), colors(fixed)
        for band in fitted.bands.values():
            if band.name == fitted.meta.base_filter or not band.fitted:
                continue
            offset, error = band.fit.offset, band.fit.offset_err
            alone = stars.bands[band.name].registration
            aligned = alone.status == "aligned"
            step = 1e3 * (on[band.name][0] - off[band.name][0])
            print(
                f"| {name} | {band.name} | {pair(offset, error)} | "
                f"{pair(alone.offset, alone.offset_err) if aligned else 'not aligned'} | "
                f"{alone.n_matches} | {on[band.name][0]:+.3f} ± {on[band.name][1]:.3f} | "
                f"{step:+.1f} |",
                flush=True,
            )
            sizes.append(np.hypot(*offset))
            changes.append(step)
            if aligned:
                total = np.hypot(error, alone.offset_err)
                agree.append((np.array(offset) - alone.offset) / total)
    print(f"offsets: median {np.median(sizes):.3f} px, largest {np.max(sizes):.3f} px")
    print(
        f"colour: median change {np.nanmedian(np.abs(changes)):.1f} mmag, "
        f"largest {np.nanmax(np.abs(changes)):.1f} mmag"
    )
    print(f"fit minus stars alone in units of the errors: rms {np.std(agree):.2f}")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    main()
