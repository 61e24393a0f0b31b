"""What the engine's parts cost, with numba and without.

    python benchmarks/engine_cost.py PSF_FILE.h5

The file has one dataset per filter and the attribute ``oversample``. On
160 x 160 pixels: an image of a galaxy; an image with its six derivatives; a fit
of a galaxy alone; and a joint fit of a galaxy, 100 stars and a plane from
positions that are off by 0.15 pixel and fluxes that are off by half. Each is run
with the compiled kernels and with those of numpy, in turn; CPU times in
milliseconds are the least of the repeats, which is nearest to an idle machine.
The last column is the largest difference between the answers
of the two, relative to the largest entry of each. One thread.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from galaxy_fit import FLUX, START, TRUTH, read_psf
from threadpoolctl import threadpool_limits

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.freedom import Freedom
from galstep.core.engine.scene import SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging import _kernels, _kernels_numpy
from galstep.core.imaging.render import GalaxyRenderer

SIDE, N_STARS, SNR = 160, 100, 200.0
BOUNDS = ShapeBounds(r_eff=(0.5, 80.0))
KERNELS = {name: getattr(_kernels, name) for name in _kernels.__all__ if name != "COMPILED"}


def use(compiled):
    """Switch between the two sets of kernels."""
    for name, kernel in KERNELS.items():
        setattr(_kernels, name, kernel if compiled else getattr(_kernels_numpy, name))


def crowded_scene(psf):
    """A band with a galaxy and stars, and a start some way off."""
    rng = np.random.default_rng(3)
    blank = np.zeros((SIDE, SIDE))
    empty = make_band("", blank, blank > 0, psf, 1.0)
    galaxy = FLUX * empty.galaxy_renderer.image(TRUTH.to_vector())
    sigma = np.sqrt((galaxy**2).sum()) / SNR
    x, y = rng.uniform(2, SIDE - 3, (2, N_STARS))
    x[:12], y[:12] = TRUTH.x_0 + rng.uniform(-10, 10, 12), TRUTH.y_0 + rng.uniform(-10, 10, 12)
    # dN/dF ~ F^-2 between S/N 8 and 300
    snr = 1 / rng.uniform(1 / 300, 1 / 8, N_STARS)
    flux = snr * sigma * np.sqrt(psf.noise_area)
    data = galaxy + empty.star_renderer.render(blank.shape, x, y, flux)
    data += rng.normal(scale=sigma, size=blank.shape)
    band = make_band("", data, blank > 0, psf, np.full(blank.shape, sigma))
    start = SceneState.start([band], [START.to_vector()], [[0.8 * FLUX]])
    x, y = (v + 0.15 * rng.choice([-1, 1], N_STARS) for v in (x, y))
    return band, start.with_stars(x, y, (flux * rng.uniform(0.5, 1.5, N_STARS))[None])


def tasks(psf):
    """Name to a function without arguments that returns an array."""
    renderer, z = GalaxyRenderer((SIDE, SIDE), psf), TRUTH.to_vector()
    band, start = crowded_scene(psf)
    alone = start.select_stars(np.zeros(start.n_stars, dtype=bool))
    stars = band.star_renderer.render(band.shape, start.x, start.y, start.star_flux[0])
    without = replace(band, data=band.data - stars)

    def fitted(scene, state, freedom):
        found = fit_scene([scene], state, freedom, bounds=BOUNDS, max_iterations=30).state
        return np.concatenate([found.shapes.ravel(), found.galaxy_flux.ravel() / FLUX])

    return {
        "image": lambda: renderer.image(z),
        "image and derivatives": lambda: renderer.image_and_derivatives(z),
        "galaxy fit": lambda: fitted(without, alone, Freedom(positions=False)),
        f"joint fit, {N_STARS} stars": lambda: fitted(band, start, Freedom()),
    }


def timed(task, compiled):
    """(milliseconds of CPU, answer)."""
    use(compiled)
    begun = time.process_time()
    answer = task()
    return 1e3 * (time.process_time() - begun), answer


def report(todo, repeats):
    """Print the table."""
    print("| what | numba | numpy | ratio | difference |\n" + "|---" * 5 + "|")
    for name, task in todo.items():
        both = [timed(task, compiled)[1] for compiled in (True, False)]  # and compile
        runs = [[timed(task, compiled)[0] for compiled in (True, False)] for _ in range(repeats)]
        fast, plain = np.min(runs, axis=0)
        difference = np.abs(both[0] - both[1]).max() / np.abs(both[0]).max()
        print(
            f"| {name} | {fast:.2f} | {plain:.2f} | {plain / fast:.1f} | {difference:.0e} |",
            flush=True,
        )


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("psf_file")
    parser.add_argument("--filter", default="F150W")
    parser.add_argument("--repeats", type=int, default=25)
    arguments = parser.parse_args()
    psf = read_psf(arguments.psf_file, arguments.filter)
    with threadpool_limits(1):
        report(tasks(psf), arguments.repeats)


if __name__ == "__main__":
    main()
