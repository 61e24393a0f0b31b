"""One Sersic fit beside pyimfit, astropy with scipy, and Nelder-Mead.

    python benchmarks/galaxy_fit.py PSF_FILE.h5 [--snr 200 50] [--repeats 7]

The file has one dataset per filter and the attribute ``oversample``. A galaxy
of n = 2.5, r_eff = 12 px and q = 0.7 is drawn by GalSim on 160 x 160 pixels,
with white noise; every program starts 25 % off in r_eff, 32 % in n and 1 pixel
in x and y, and fits the same images in turn, so that a busy machine is busy for
all. CPU times and evaluations are medians over the realisations of the noise;
"ratio" is the median of each time over galstep's on the same image. The bias
is what a fit of the image without noise finds, against the truth. One thread.
"""

import argparse
import time

import galaxy_fitters
import h5py
import numpy as np
from renderer_accuracy import galsim_image
from threadpoolctl import threadpool_limits

from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams

SIDE = 160
TRUTH = SersicParams(x_0=79.6, y_0=80.3, r_eff=12.0, n=2.5, ellip=0.3, theta=0.6)
START = SersicParams(x_0=80.5, y_0=79.4, r_eff=15.0, n=1.7, ellip=0.2, theta=0.9)
FLUX = 1000.0
PERIOD = 800


def read_psf(path, name):
    """A filter's PSF from a file."""
    with h5py.File(path) as file:
        return EffectivePSF.from_array(file[name][()], int(file.attrs["oversample"]), name)


def problems(psf, image, snr, repeats):
    """One `galaxy_fitters.Problem` per realisation, the last without noise."""
    sigma = np.sqrt((image**2).sum()) / snr
    rng = np.random.default_rng(1)
    noise = [rng.normal(scale=sigma, size=image.shape) for _ in range(repeats)] + [0.0]
    return [
        galaxy_fitters.Problem.of(image + each, sigma, psf, START, 0.8 * FLUX) for each in noise
    ]


def timed(fitter, problem):
    """(seconds, Answer)."""
    begun = time.process_time()
    answer = fitter(problem)
    return time.process_time() - begun, answer


def measure(fitters, cases):
    """All fitters on all realisations, in turn.

    Returns
    -------
    times : (n_fitters, n_cases) array
    answers : list of lists
    """
    for fitter in fitters.values():
        fitter(cases[-1])  # compiles, plans, caches
    runs = [[timed(fitter, case) for fitter in fitters.values()] for case in cases]
    times = np.array([[seconds for seconds, _ in run] for run in runs]).T
    return times, [[answer for _, answer in run] for run in runs]


def report(fitters, times, answers):
    """Print the table of one S/N."""
    noisy = answers[:-1]
    print(
        "| program | CPU ms | ratio | evaluations | chi2 / N | flux % | r_eff % | n % |\n"
        + "|---" * 8
        + "|"
    )
    for k, name in enumerate(fitters):
        exact = answers[-1][k]
        bias = [
            100 * (value / truth - 1)
            for value, truth in (
                (exact.flux, FLUX),
                (exact.params.r_eff, TRUTH.r_eff),
                (exact.params.n, TRUTH.n),
            )
        ]
        evaluations = np.median([answer[k].n_evaluations for answer in noisy])
        chi2 = np.median([answer[k].chi2 for answer in noisy]) / SIDE**2
        print(
            f"| {name} | {1e3 * np.median(times[k, :-1]):.1f} "
            f"| {np.median(times[k, :-1] / times[0, :-1]):.1f} | {evaluations:.0f} "
            f"| {chi2:.4f} | " + " | ".join(f"{b:+.2f}" for b in bias) + " |",
            flush=True,
        )


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("psf_file")
    parser.add_argument("--filter", default="F150W")
    parser.add_argument("--snr", type=float, nargs="*", default=[200.0, 50.0])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    psf = read_psf(arguments.psf_file, arguments.filter)
    image = FLUX * galsim_image(psf, TRUTH, (SIDE, SIDE), PERIOD)
    fitters, left_out = galaxy_fitters.available()
    for name, reason in left_out.items():
        print(f"{name} left out: {reason}")
    with threadpool_limits(1):
        for snr in arguments.snr:
            print(f"\nS/N {snr:g}\n")
            report(fitters, *measure(fitters, problems(psf, image, snr, arguments.repeats)))


if __name__ == "__main__":
    main()
