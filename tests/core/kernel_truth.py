"""Star frames whose PSF is a known library convolved with a known kernel.

The convolution is a sum in real space on a fine grid, the stars are drawn by
spline interpolation on it: nothing of the Fourier transforms of galstep's
kernels is in it.
"""

from functools import cache

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter
from scipy.signal import fftconvolve
from scipy.special import erf

from galstep.core.psf.effective import EffectivePSF
from galstep.records import PsfKernel
from galstep.testing.psfs import default_psf
from galstep.testing.star_frames import star_frame, star_positions

FINE = 8
HALF_SIZE = 24  # pixels
DRIZZLE_WIDTH = 1.5
FILTER = "F150W"
KERNELS = {
    "gaussian": PsfKernel("gaussian", (0.8,)),
    "elliptical": PsfKernel("elliptical", (0.8, 0.1, 1.1)),
    "moffat": PsfKernel("moffat", (float(np.log(1.8)), float(np.log(1.8)))),
    "drizzle": PsfKernel("drizzle", (0.4, DRIZZLE_WIDTH)),
}
LIBRARY = EffectivePSF.from_array(default_psf(FILTER).sampled(4, 181), 4)


class GridPSF:
    """A PSF on a fine grid, drawn at any offset by a cubic spline."""

    def __init__(self, array):
        self.array = array
        self._coefficients = spline_filter(array, order=3)
        self._centre = (len(array) - 1) / 2

    def __call__(self, dx, dy):
        """Light per pixel at an offset, pixels."""
        places = np.broadcast_arrays(self._centre + dy * FINE, self._centre + dx * FINE)
        return map_coordinates(self._coefficients, places, order=3, prefilter=False)


def kernel_profile(kernel, x, y):
    """A kernel in real space, any normalisation, by its textbook formula."""
    p = kernel.parameters
    if kernel.family == "moffat":
        alpha, beta = np.exp(p[0]), 1 + np.exp(p[1])
        return (1 + (x**2 + y**2) / alpha**2) ** -beta
    if kernel.family == "drizzle":
        width, sigma = p[1], np.sqrt(2 * p[0])
        along = [erf((u + width / 2) / sigma) - erf((u - width / 2) / sigma) for u in (x, y)]
        return along[0] * along[1]
    xx, xy, yy = p if kernel.family == "elliptical" else (p[0], 0.0, p[0])
    return np.exp(-0.5 * (yy * x**2 - 2 * xy * x * y + xx * y**2) / (xx * yy - xy**2))


@cache
def true_psf(family):
    """The library PSF convolved with `KERNELS`\\ [family]."""
    offset = (np.arange(2 * HALF_SIZE * FINE + 1) - HALF_SIZE * FINE) / FINE
    library = default_psf(FILTER)(offset[None, :], offset[:, None])
    kernel = kernel_profile(KERNELS[family], offset[None, :], offset[:, None])
    return GridPSF(fftconvolve(library, kernel / kernel.sum(), mode="same"))


def make_frame(family, seed, *, shape=(120, 120), count=40, separation=6.0, snr=(20.0, 300.0)):
    """An image of stars in noise of 1, their x, y and flux.

    ``snr`` is the range of the signal-to-noise ratio, even in its logarithm.
    """
    rng, psf = np.random.default_rng(seed), true_psf(family)
    x, y = star_positions(rng, count, shape, separation, border=4)
    area = FINE**2 / np.sum(psf.array**2)
    flux = np.exp(rng.uniform(*np.log(snr), count)) * np.sqrt(area)
    return star_frame(shape, psf, x, y, flux) + rng.normal(size=shape), (x, y, flux)


def make_pairs(seed, gap, *, shape=(120, 120), count=20, separation=10.0):
    """An image of pairs of bright stars ``gap`` pixels apart, in noise of 1: no star is alone."""
    rng, psf = np.random.default_rng(seed), true_psf("gaussian")
    x, y = star_positions(rng, count, shape, separation, border=6)
    angle, area = rng.uniform(0, 2 * np.pi, count), FINE**2 / np.sum(psf.array**2)
    dx, dy = gap / 2 * np.cos(angle), gap / 2 * np.sin(angle)
    flux = rng.uniform(80, 200, count) * np.sqrt(area)
    second = flux * rng.uniform(0.7, 1, count)
    image = star_frame(shape, psf, np.r_[x - dx, x + dx], np.r_[y - dy, y + dy],
                       np.r_[flux, second])  # fmt: skip
    return image + rng.normal(size=shape)
