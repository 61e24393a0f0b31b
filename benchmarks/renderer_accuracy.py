"""Accuracy and time of the galaxy renderer, beside GalSim.

    python benchmarks/renderer_accuracy.py PSF_FILE.h5 [PSF_FILE.h5 ...]

A PSF file has one dataset per filter and the attribute ``oversample``. For
every PSF, Sersic index and radius it prints the largest difference over the
peak, and the rms relative difference over the pixels above 1e-4 of the peak.

GalSim draws the same scene: the PSF as an InterpolatedImage, the profile
untruncated, ``method="no_pixel"`` because the pixel is in the PSF. Between the
samples the PSF is interpolated by Lanczos(21), nearly band-limited as it is
here: GalSim's quintic damps a PSF that is sharp even on its own samples (by
3e-4 of the peak for a F090W library PSF at 4x). GalSim's FFT folds the far
wings too; ``--period`` is the width of its image in pixels, which pushes this
down (its memory grows with the square).
"""

import argparse
import itertools
import time

import galsim
import h5py
import numpy as np

from galstep.core.imaging import _kernels, _kernels_numpy
from galstep.core.imaging.hankel import hankel_table
from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.psf.effective import EffectivePSF
from galstep.records import SersicParams

BAND_LIMITED = galsim.Lanczos(21, conserve_dc=False)


def galsim_image(psf, params, shape, period, interpolant=BAND_LIMITED):
    """The GalSim rendering of a unit-flux galaxy."""
    settings = galsim.GSParams(
        folding_threshold=2e-2,
        maxk_threshold=1e-6,
        kvalue_accuracy=1e-7,
        maximum_fft_size=16384,
    )
    point = galsim.InterpolatedImage(
        galsim.Image(psf.array.copy(), scale=1.0 / psf.oversample),
        x_interpolant=interpolant,
        flux=1.0,
        gsparams=settings,
    )
    q = 1 - params.ellip
    galaxy = galsim.Sersic(
        n=params.n, half_light_radius=params.r_eff * np.sqrt(q), flux=1.0, gsparams=settings
    ).shear(q=q, beta=params.theta * galsim.radians)
    ny, nx = shape
    size = max(period, ny, nx)
    image = galsim.Image(size, size, scale=1.0)
    low_y, low_x = (size - ny) // 2, (size - nx) // 2
    centre = (size - 1) / 2
    offset = (params.x_0 + low_x - centre, params.y_0 + low_y - centre)
    galsim.Convolve([galaxy, point], gsparams=settings).drawImage(
        image, method="no_pixel", offset=offset
    )
    return image.array[low_y : low_y + ny, low_x : low_x + nx].astype(float)


def median_time(function, repeats=9):
    """Median wall time of a call, milliseconds."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def timing(name, psf, side):
    """One line with the times of set-up (one image included), image, and all seven."""
    start = time.perf_counter()
    renderer = GalaxyRenderer((side, side), psf)
    z = SersicParams(side / 2, side / 2, 12.0, 2.5, 0.3, 0.5).to_vector()
    renderer.image(z)
    set_up = 1e3 * (time.perf_counter() - start)
    cells = [
        median_time(lambda: renderer.image(z)),
        median_time(lambda: renderer.image_and_derivatives(z)),
    ]
    compiled = {key: getattr(_kernels, key) for key in ("fill_spectra", "sum_profiles")}
    for key in compiled:
        setattr(_kernels, key, getattr(_kernels_numpy, key))
    cells.append(median_time(lambda: renderer.image_and_derivatives(z)))
    for key, kernel in compiled.items():
        setattr(_kernels, key, kernel)
    print(f"{name:8s} {side:4d} {set_up:8.1f}" + "".join(f"{cell:10.2f}" for cell in cells))


def accuracy(name, psf, n, r_eff, side, period):
    """One line with the differences from GalSim."""
    params = SersicParams(side / 2 + 0.3, side / 2 - 0.4, r_eff, n, 0.3, 0.6)
    image = GalaxyRenderer((side, side), psf).image(params.to_vector())
    reference = galsim_image(psf, params, (side, side), period)
    peak = reference.max()
    bright = reference > 1e-4 * peak
    relative = image[bright] / reference[bright] - 1
    print(
        f"{name:8s} {n:5.1f} {r_eff:6.1f} {np.abs(image - reference).max() / peak:10.1e}"
        f" {np.sqrt(np.mean(relative**2)):10.1e}",
        flush=True,
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("psf_files", nargs="+")
    parser.add_argument("--filters", nargs="*", default=None)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--period", type=int, default=800)
    parser.add_argument("--timing-only", action="store_true")
    parser.add_argument("--n", type=float, nargs="*", default=[0.5, 1.0, 2.5, 4.0, 6.0])
    parser.add_argument("--r_eff", type=float, nargs="*", default=[2.0, 5.0, 12.0, 40.0])
    arguments = parser.parse_args()
    hankel_table()
    for path in arguments.psf_files:
        with h5py.File(path) as file:
            oversample = int(file.attrs["oversample"])
            names = arguments.filters or list(file)
            psfs = {
                name: EffectivePSF.from_array(file[name][()], oversample, name) for name in names
            }
        print(f"\n{path}\nfilter   side  set-up/ms image/ms  all 7/ms  all 7, numpy/ms")
        for name, psf in psfs.items():
            for side in (160, 255):
                timing(name, psf, side)
        if arguments.timing_only:
            continue
        print("filter       n  r_eff   max/peak    rms rel")
        for name, psf in psfs.items():
            for n, r_eff in itertools.product(arguments.n, arguments.r_eff):
                accuracy(name, psf, n, r_eff, arguments.side, arguments.period)


if __name__ == "__main__":
    main()
