"""The generalised least-squares step: what it gains, and whether its errors hold.

    python benchmarks/gls_step.py [--n 48] [--noise white correlated carpet] [--filters F150W]

Synthetic scenes of 81 x 81 pixels, a galaxy of S/N 100 among 12 stars, are fitted from the
truth, with the true stars, with independent pixels and then with the step of
`galstep.core.fitting.gls`. Noise: white; correlated, smoothed with a Gaussian of 2 pixels
FWHM; or a carpet of unresolved stars (one in 11 pixels, 1.5 times the pixel noise, the same
stars in all filters) on white noise. Per quantity: rms of (fit - truth) after over before
the step, and rms of (fit - truth) / error before and after. Stars count in units of their
error before.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from galstep.core.engine.bounds import ShapeBounds
from galstep.core.engine.covariance import scene_covariance
from galstep.core.engine.scene import Freedom, SceneState, make_band
from galstep.core.engine.solve import fit_scene
from galstep.core.fitting.gls import gls_step
from galstep.core.measurement.galaxy_covariance import galaxy_covariance
from galstep.core.psf.effective import EffectivePSF
from galstep.testing import make_scene

SHAPE = (81, 81)
N_CARPET, CARPET = 900, 1.5
SHAPE_NAMES = ("x", "y", "ln r_eff", "e1", "e2", "ln n")


def bands_of(synthetic):
    """The bands of a scene with their true noise."""
    bands, truth = [], synthetic.truth
    for name, data in synthetic.data.items():
        psf = EffectivePSF.from_array(synthetic.psf_arrays[name], truth.oversample, name)
        sigma = np.full(SHAPE, truth.noise_sigma[name])
        bands.append(make_band(name, data, ~np.isfinite(data), psf, sigma))
    return bands


def with_carpet(bands, seed):
    """The bands with unresolved stars, and weights that know their variance."""
    rng = np.random.default_rng([seed, 1])
    x, y = rng.uniform(-10, SHAPE[0] + 10, (2, N_CARPET))
    flux, changed = rng.exponential(size=N_CARPET), []
    for band in bands:
        image = band.star_renderer.render(SHAPE, x, y, flux)
        image -= image.mean()
        data = band.data + CARPET * band.sigma * image / image.std()
        changed.append(replace(band, data=data, weight=band.weight / (1 + CARPET**2)))
    return changed


def true_state(synthetic, bands):
    """The scene as it was made."""
    truth, stars = synthetic.truth, synthetic.truth.stars
    sky = [truth.sky[band.name].coefficients for band in bands]
    flux = [[truth.fluxes[band.name]] for band in bands]
    state = SceneState.start(bands, [truth.sersic.to_vector()], flux, sky)
    star_flux = np.array([stars[f"flux_{band.name}"] for band in bands])
    return state.with_stars(stars["x"], stars["y"], star_flux, stars["star_id"])


def deviations(bands, truth, solution, covariance):
    """(value - truth, error) of the galaxy, of star fluxes and of star positions."""
    quantities, matrix, _ = galaxy_covariance(bands, solution, covariance)
    rows = [*range(6), *(quantities.flux(i, 0) for i in range(len(bands)))]
    state = solution.state
    galaxy = np.concatenate(
        [state.shapes[0] - truth.shapes[0], (state.galaxy_flux - truth.galaxy_flux)[:, 0]]
    )
    places = np.array([state.x - truth.x, state.y - truth.y])
    return {
        "galaxy": (galaxy, np.sqrt(np.diag(matrix)[rows])),
        "flux": (state.star_flux - truth.star_flux, covariance.star_flux_errors()),
        "place": (places, covariance.position_errors()),
    }


def run(noise, names, count):
    """Deviations of all scenes before and after the step, and seconds per step."""
    both, seconds = ([], []), 0.0
    kind = "correlated" if noise == "correlated" else "white"
    freedom = Freedom(registration=tuple(range(1, len(names))))
    for seed in range(count):
        synthetic = make_scene(seed, SHAPE, 12, names, noise=kind, star_separation=4)
        bands = bands_of(synthetic)
        if noise == "carpet":
            bands = with_carpet(bands, seed)
        truth = true_state(synthetic, bands)
        fit = fit_scene(bands, truth, freedom)
        covariance = scene_covariance(bands, fit, freedom)
        started = time.process_time()
        after = gls_step(bands, fit, covariance, freedom, ShapeBounds())
        seconds += (time.process_time() - started) / count
        for kept, one in zip(both, ((fit, covariance), after), strict=True):
            kept.append(deviations(bands, truth, *one))
    return both, seconds


def lines(both, names):
    """One row of the table per quantity."""
    labels = {
        "galaxy": [*SHAPE_NAMES, *(f"flux {name}" for name in names)],
        "flux": [f"star flux {name}" for name in names],
        "place": ["star x", "star y"],
    }
    for part, own in labels.items():
        off, error = (
            np.array([[scene[part][k] for scene in kept] for kept in both]) for k in (0, 1)
        )
        off, error = (v.reshape(2, len(both[0]), len(own), -1) for v in (off, error))
        for k, label in enumerate(own):
            # stars of all fluxes count alike; of a galaxy the errors differ little
            unit = error[0, :, k] if part != "galaxy" else 1.0
            scatter = [np.sqrt(np.mean((v[:, k] / unit) ** 2)) for v in off]
            pulls = [
                np.sqrt(np.mean((v[:, k] / e[:, k]) ** 2)) for v, e in zip(off, error, strict=True)
            ]
            ratio = scatter[1] / scatter[0]
            yield f"| {label} | {ratio:.2f} | {pulls[0]:.2f} | {pulls[1]:.2f} |"


def main():
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=48, help="scenes per kind of noise")
    parser.add_argument("--noise", nargs="+", default=["white", "correlated", "carpet"])
    parser.add_argument("--filters", nargs="+", default=["F150W"])
    options = parser.parse_args()
    for noise in options.noise:
        both, seconds = run(noise, tuple(options.filters), options.n)
        print(f"\n{noise}, {options.n} scenes, {seconds:.2f} s per step (CPU)\n")
        print("| | scatter after / before | pull before | pull after |\n|---|---|---|---|")
        print("\n".join(lines(both, options.filters)))


if __name__ == "__main__":
    main()
