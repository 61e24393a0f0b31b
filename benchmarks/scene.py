"""One scene, any number of sources: time and memory of fitting all of them in one matrix.

    python benchmarks/scene.py [--galaxies 100] [--stars 300] [--side 1024] [--bands 3]

Sources on random places, faint ones more than bright ones, in white and photon noise, a constant
sky in every band; the fit starts a little beside the truth. Everything is free: places, shapes,
a flux per source and band, the skies. Prints seconds, memory beyond the images, and pulls.
The images are drawn in real space (`galstep.testing.real_space`), not by what is fitted with.
"""

import argparse
import resource
import time

import numpy as np

from galstep.core.scene.errors import scene_errors
from galstep.core.scene.frame import SceneFrame, SkyTerms
from galstep.core.scene.psf_map import PsfMap
from galstep.core.scene.scene import Scene
from galstep.core.scene.solve import FitOptions, fit_scene, linear_fit
from galstep.core.scene.source import SceneSource, SourceBounds
from galstep.records import SersicParams
from galstep.testing.psfs import GaussianMixturePSF
from galstep.testing.real_space import SersicImage, star_image

PSF, SIGMA, UNIT, SKY = GaussianMixturePSF.gaussian(1.5), 1.0, 0.05, 0.4
BOX = 121  # the light of a galaxy beyond its box is below the noise of the frame


def truth_of(options, rng):
    """Vectors (N, 6), whether a star, fluxes (N, bands)."""
    n = options.galaxies + options.stars
    x, y = rng.uniform(10, options.side - 11, (2, n))
    star = np.arange(n) >= options.galaxies
    shape = (rng.uniform(1.5, 6, n), rng.uniform(0.8, 3, n), rng.uniform(0, 0.6, n),
             rng.uniform(0, np.pi, n))  # fmt: skip
    z = np.array([SersicParams(*own).to_vector() for own in zip(x, y, *shape, strict=True)])
    z[star, 2:] = 0
    flux = np.where(star, 300, 2500) * (1 + rng.pareto(1.2, n)).clip(1, 50)
    return z, star, flux[:, None] * rng.uniform(0.7, 1.4, (n, options.bands))


def drawn(z, star, flux, side):
    """The light of all sources in one band."""
    image = star_image((side, side), PSF, z[star, 0], z[star, 1], flux[star])
    for own, light in zip(z[~star], flux[~star], strict=True):
        y0, x0 = (max(0, round(v) - BOX // 2) for v in own[1::-1])
        part = np.s_[y0 : min(side, y0 + BOX), x0 : min(side, x0 + BOX)]
        shape = image[part].shape
        params = SersicParams.from_vector(own - np.array([x0, y0, 0, 0, 0, 0]))
        image[part] += light * SersicImage(params, shape, PSF.reach(1e-6)).seen_through(PSF)
    return image


def main():
    """Draw, fit, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("galaxies", 100), ("stars", 300), ("side", 1024), ("bands", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    rng = np.random.default_rng(6)
    z, star, flux = truth_of(options, rng)
    psf, frames = PsfMap.single(PSF.sampled(4, 161), 4), []
    for band in range(options.bands):
        light = drawn(z, star, flux[:, band], options.side)
        noise = rng.normal(size=light.shape) * np.sqrt(SIGMA**2 + UNIT * light)
        sky = SkyTerms.free(np.ones((1, *light.shape)))
        frames.append(SceneFrame(str(band), light + noise + SKY, np.zeros(light.shape, bool),
                                 SIGMA**2, UNIT, psf, sky))  # fmt: skip
    begin = z + np.where(star[:, None], [0.3, 0.3, 0, 0, 0, 0], [0.3, 0.3, 0.2, 0.05, 0.05, 0.2])
    free = np.ones(6, dtype=bool)
    sources = [
        SceneSource(bool(s), free, SourceBounds(x=(own[0] - 5, own[0] + 5),
                                                y=(own[1] - 5, own[1] + 5)))
        for s, own in zip(star, begin, strict=True)
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    scene = Scene(frames, sources)
    start = linear_fit(scene, scene.start(begin, np.full(flux.shape, 1000.0))).renewed()
    first = fit_scene(start, FitOptions())
    fit = fit_scene(first.evaluation.renewed(), FitOptions())
    fitted = time.process_time() - begun
    errors = scene_errors(fit.equations()).sources
    seconds = time.process_time() - begun
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    print(
        f"{options.galaxies} galaxies, {options.stars} stars, {options.bands} x {options.side}^2: "
        f"fit {fitted:.1f} CPU s, with errors {seconds:.1f}, {memory:.0f} MB beyond the images, "
        f"{first.n_iterations} + {fit.n_iterations} steps, converged {fit.converged}"
    )
    pulls = [
        (fit.state.flux[k] - flux[k]) / np.sqrt(np.diag(errors[k])[-options.bands :])
        for k in range(len(z))
    ]
    for title, chosen in (("galaxies", ~star), ("stars", star)):
        own = np.array(pulls)[chosen]
        print(f"{title}: pull mean {own.mean():+.2f} std {own.std():.2f}, "
              f"worst {np.abs(own).max():.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
