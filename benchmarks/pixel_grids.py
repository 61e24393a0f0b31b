"""Two filters on different pixel grids, beside the same sky on one grid.

    python benchmarks/pixel_grids.py [--scenes N] [--crowded] [--first SEED]

A galaxy in F150W (0.03 arcsec) and F277W, once with pixels of 0.063 arcsec turned
by 20 degrees and once on the pixels of F150W, of the same depth, through LoadCrop,
BaseFit, ScaleFit and JointFit. Prints the rms error, the median quoted error, mean
and std of the pulls of shape, magnitudes and colour. With ``--crowded`` the stars
are 3000 with a power law of fluxes, nearly all of them below the noise: what they
leave is noise that both filters share.
"""

import argparse
import logging
import time

import numpy as np
from astropy.table import Table

from galstep.datamodels.tables.galaxy_tables import make_tables
from galstep.records import SersicParams
from galstep.steps import BaseFit, JointFit, LoadCrop, ScaleFit
from galstep.testing import default_psf, make_scene
from galstep.testing.grids import PixelGrid
from galstep.testing.models import unfitted_model

FINE, COARSE = "F150W", "F277W"
SHAPE = (131, 131)
GALAXY = SersicParams(64.3, 66.8, 9.0, 1.4, 0.35, 0.7)
GRID = PixelGrid((84, 84), 0.063, np.radians(20), (0.05, -0.03))
RATIO = 0.03 / 0.063
PARAMETERS = ("x_0", "y_0", "r_eff", "n", "ellip", "theta")
FLUX = {FINE: 45.0, COARSE: 60.0}
FAINTEST, BRIGHTEST, SLOPE = 0.001, 0.4, 0.8


def crowd(seed, ratio):
    """Stars of both filters, N(> F) ~ F^-0.8, with a scatter in colour."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=3000)
    ends = FAINTEST**-SLOPE, BRIGHTEST**-SLOPE
    flux = (ends[0] + share * (ends[1] - ends[0])) ** (-1 / SLOPE)
    x, y = rng.uniform(-8, SHAPE[0] + 8, (2, 3000))
    colour = 1.3 * 10 ** (0.1 * rng.normal(size=3000))
    names = f"flux_{FINE}", f"flux_{COARSE}"
    return Table({"x": x, "y": y, names[0]: flux, names[1]: flux * colour * ratio**2})


def scene_of(seed, two_grids, crowded):
    """One sky, on one grid or on two."""
    ratio = RATIO if two_grids else 1.0
    return make_scene(
        seed,
        SHAPE,
        25,
        (FINE, COARSE),
        snr=200,
        sersic=GALAXY,
        fluxes={FINE: FLUX[FINE], COARSE: FLUX[COARSE] * ratio**2},
        stars=crowd(seed, ratio) if crowded else None,
        star_separation=6,
        star_snr=(15, 300),
        psfs={FINE: default_psf(FINE), COARSE: default_psf(COARSE, 4.2 * ratio)},
        offsets={COARSE: (0.4, -0.3)},
        grids={COARSE: GRID} if two_grids else None,
        psf_size=121,
    )


def measure(scene):
    """Differences from the truth and quoted errors: shape, two magnitudes, colour."""
    model = LoadCrop(auto_crop=False).run(unfitted_model(scene))
    tables = make_tables(JointFit().run(ScaleFit().run(BaseFit().run(model))))
    fine, coarse = tables["sersic"]
    found = [(fine[k].value - getattr(GALAXY, k), fine[f"{k}_err"].value) for k in PARAMETERS]
    for row in (fine, coarse):
        truth = scene.truth.mag_ab(row["filter"])
        found.append((row["mag_ab"].value - truth, row["mag_ab_err"].value))
    row = tables["phot"][1]
    truth = scene.truth.mag_ab(COARSE) - scene.truth.mag_ab(FINE)
    found.append((row["color"].value - truth, row["color_err"].value))
    return np.array(found)


def main():
    """Run the scenes and print the table of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--crowded", action="store_true")
    parser.add_argument("--first", type=int, default=100, help="first seed")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    names = (*PARAMETERS, f"mag {FINE}", f"mag {COARSE}", "colour")
    for two_grids in (True, False):
        start = time.perf_counter()
        seeds = range(options.first, options.first + options.scenes)
        found = np.array([measure(scene_of(s, two_grids, options.crowded)) for s in seeds])
        seconds = (time.perf_counter() - start) / options.scenes
        title = "two grids" if two_grids else "one grid"
        print(f"\n{title}: {options.scenes} scenes, {seconds:.1f} s each")
        print(f"{'':12s}{'rms':>9s}{'error':>9s}{'pull':>8s}{'std':>7s}")
        for k, name in enumerate(names):
            difference, error = found[:, k].T
            pull = difference / error
            rms = np.sqrt(np.mean(difference**2))
            print(f"{name:12s}{rms:9.4f}{np.median(error):9.4f}{pull.mean():8.2f}{pull.std():7.2f}")


if __name__ == "__main__":
    main()
