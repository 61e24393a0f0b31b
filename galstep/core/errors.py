"""Errors of a fitted scene from the noise that the frame really has.

The fit weights pixels as if their noise were independent. Unresolved stars and
resampling make it correlated, over the very scales of a galaxy, and the formal
errors then come out several times too small. For any number t that the fit
gives, linear in the data near the solution, dt = sum_b v_b . r_b, where v_b is
its *influence image* in band b. Its variance is

    var(t) = sum_ab v_a^T C_ab v_b,

with C_ab the covariance of the noise between pixels of bands a and b, measured
from the residuals as a stationary function of separation (the sandwich
estimator; with white noise it is the inverse normal matrix again). With the
normal matrix K = J^T W J of all parameters and t = c . parameters,

    v_b = W_b J_b K^-1 c.

Bands share their unresolved stars, so the cross terms are not small.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

from galstep.core.border import border_images
from galstep.core.normal import star_stamps
from galstep.core.stars import combined_stamps

__all__ = [
    "NoiseMeter",
    "NoisePower",
    "influence_images",
    "measure_noise_power",
    "not_below_white",
    "pixel_sigma",
    "quantity_covariance",
]

# Separation (pixels) at which the measured correlation has faded to nothing.
REACH = 60
# Stars' share of an influence image is cut here: it falls like the PSF.
INFLUENCE_HALF_SIZE = 25


@dataclass(frozen=True, eq=False)
class NoisePower:
    """Power spectra and cross spectra of the scaled residuals.

    ``power[a][b]`` is real, on the half-plane of an FFT of ``shape``; residuals
    are in units of each band's pixel sigma.
    """

    power: list
    shape: tuple


def _taper(radius, reach):
    """1 to half the reach, then half a cosine to 0 at the reach."""
    phase = np.clip((radius - reach / 2) / (reach / 2), 0.0, 1.0)
    return 0.5 * (1 + np.cos(np.pi * phase))


class NoiseMeter:
    """Measures the power of noise in frames with the same good pixels.

    Parameters
    ----------
    good : sequence of (ny, nx) bool arrays
        Per band the pixels to use: with data, and not where the model is known
        to be poor.
    reach : int, optional
        Separation in pixels where the covariance is tapered to zero.

    Notes
    -----
    xi(d) = sum r_p r_(p+d) / number of pairs, by FFTs that are padded so that
    nothing within the reach wraps around, averaged over rings of one pixel,
    tapered and transformed back. Nothing is clipped: the tail of the
    distribution is the noise.
    """

    def __init__(self, good, reach=REACH):
        self.good, self.reach = good, reach
        # rings up to the one beyond the reach
        self.shape = tuple(next_fast_len(n + reach + 2, real=True) for n in good[0].shape)
        dy, dx = (np.fft.fftfreq(n, 1 / n) for n in self.shape)
        radius = np.hypot(dy[:, None], dx).ravel()
        self._within = np.flatnonzero(radius < reach + 1.5)
        self._radius = radius[self._within]
        self._ring = np.rint(self._radius).astype(int)
        self._counts = [rfft2(g.astype(float), self.shape) for g in good]
        self._pairs = {}

    def measure(self, residuals):
        """Powers and cross powers of a frame of each band.

        Parameters
        ----------
        residuals : sequence of (ny, nx) arrays
            In units of the pixel sigma; values of bad pixels are ignored.

        Returns
        -------
        NoisePower
        """
        transforms = [self._transform(r, band) for band, r in enumerate(residuals)]
        power = [[None] * len(transforms) for _ in transforms]
        for a, first in enumerate(transforms):
            for b in range(a, len(transforms)):
                power[a][b] = power[b][a] = self._spectrum(first, transforms[b], a, b)
        return NoisePower(power, self.shape)

    def measure_one(self, residual, band):
        """The power of a frame of one band."""
        transform = self._transform(residual, band)
        return self._spectrum(transform, transform, band, band)

    def _transform(self, residual, band):
        return rfft2(np.where(self.good[band], residual, 0.0), self.shape)

    def _ring_sums(self, first, second):
        sums = irfft2(np.conj(first) * second, self.shape).ravel()[self._within]
        return np.bincount(self._ring, sums)

    def _spectrum(self, first, second, a, b):
        if (a, b) not in self._pairs:
            self._pairs[a, b] = np.rint(self._ring_sums(self._counts[a], self._counts[b]))
        pairs, sums = self._pairs[a, b], self._ring_sums(first, second)
        rings = np.divide(sums, pairs, out=np.zeros(len(pairs)), where=pairs > 0)
        xi = np.zeros(self.shape)
        at_radius = np.interp(self._radius, np.arange(len(rings)), rings)
        xi.ravel()[self._within] = at_radius * _taper(self._radius, self.reach)
        spectrum = rfft2(xi).real
        if a == b:
            positive = spectrum[spectrum > 0]
            floor = 0.01 * np.median(positive) if positive.size else 0.0
            spectrum = np.maximum(spectrum, floor)
        return spectrum


def measure_noise_power(residuals, good, reach=REACH):
    """Stationary covariance of residuals, as power spectra: see `NoiseMeter`."""
    return NoiseMeter(good, reach).measure(residuals)


def influence_images(bands, solution, covariance, functionals):
    """How each pixel of each band moves some quantities.

    Parameters
    ----------
    bands : sequence of `galstep.core.scene.SceneBand`
    solution : `galstep.core.solve.Solution`
    covariance : `galstep.core.covariance.SceneCovariance`
    functionals : (nq, n_border) array
        Each quantity's coefficients c on the border parameters.

    Yields
    ------
    (nq, ny, nx) array
        v_b band by band, in the quantity's unit per image unit.
    """
    layout, factor, state = covariance.layout, covariance.factor, solution.state
    border = factor.border_solve(np.asarray(functionals, dtype=float).T)
    stars = -(factor.solved @ border).T.reshape(len(border.T), layout.n_stars, layout.block)
    for i, band in enumerate(bands):
        stamps = None
        if layout.n_stars:
            half = min(INFLUENCE_HALF_SIZE, band.star_renderer.half_size)
            stamps = star_stamps(band, i, state, half)
        images = border_images(band, i, state, solution.evaluation, layout, stamps)
        images = images.combined(border.T)
        if layout.n_stars:
            images += combined_stamps(band.shape, *stamps, _star_factors(stars, i, layout))
        images *= band.weight
        yield images


def _star_factors(stars, band, layout):
    """Factors of a band's stamps, (n_stars, nq, 3), from (nq, n_stars, block)."""
    factors = np.zeros((layout.n_stars, len(stars), 3))
    factors[:, :, 0] = stars[:, :, band].T
    if layout.positions:
        factors[:, :, 1:] = stars[:, :, layout.n_bands :].transpose(1, 0, 2)
    return factors


def quantity_covariance(bands, solution, covariance, functionals, noise):
    """Covariance matrix of several quantities, and their white variances.

    Parameters
    ----------
    bands, solution, covariance, functionals
        As in `influence_images`.
    noise : `NoisePower`

    Returns
    -------
    matrix : (nq, nq) array
        With the measured covariance of the noise.
    white : (nq,) array
        Variances if the pixels were independent with the same sigma.
    """
    half_plane = noise.shape[0], noise.shape[1] // 2 + 1
    # single precision is ample for an error, and these are many; of unit size,
    # so that their unit does not matter
    spectra = np.empty((len(bands), len(functionals), *half_plane), dtype=np.complex64)
    sizes = np.ones(spectra.shape[:2])
    every = influence_images(bands, solution, covariance, functionals)
    for i, images in enumerate(every):
        sigma = pixel_sigma(bands[i])
        for k, image in enumerate(images):
            scaled = image * sigma
            sizes[i, k] = np.linalg.norm(scaled) or 1.0
            spectra[i, k] = rfft2((scaled / sizes[i, k]).astype(np.float32), noise.shape)
    return _summed(spectra, sizes, noise)


def _summed(spectra, sizes, noise):
    """sum_ab V_a^H P_ab V_b over all frequencies, and the diagonal for P = 1.

    V are the spectra times their sizes, (n_bands, n_quantities). Real and
    imaginary parts count alike, so they stand side by side.
    """
    n_bands, n_quantities = spectra.shape[:2]
    # Parseval on the half-plane: every column but the first (and the middle
    # one of an even length) stands for itself and its mirror image
    mirror = np.full(noise.shape[1] // 2 + 1, 2.0)
    mirror[0] = 1.0
    if noise.shape[1] % 2 == 0:
        mirror[-1] = 1.0
    mirror = np.repeat(mirror / (noise.shape[0] * noise.shape[1]), 2)
    matrix, white = np.zeros((n_quantities,) * 2), np.zeros(n_quantities)
    for row in range(noise.shape[0]):
        parts = spectra[:, :, row].view(np.float32) * sizes[:, :, None]
        weighted = parts * mirror
        white += np.einsum("aqf,aqf->q", parts, weighted)
        power = np.array([[own[row] for own in others] for others in noise.power])
        filtered = np.einsum("abf,bqf->aqf", np.repeat(power, 2, axis=2), weighted)
        for a in range(n_bands):
            matrix += parts[a] @ filtered[a].T
    return 0.5 * (matrix + matrix.T), white


def pixel_sigma(band):
    """1-sigma of each pixel, without the matched-filter scale; 0 if masked."""
    good = band.weight > 0
    sigma = np.zeros(band.shape)
    sigma[good] = 1.0 / (np.sqrt(band.weight[good]) * band.noise_scale)
    return sigma


def not_below_white(matrix, white):
    """A covariance whose variances are at least those of independent pixels.

    The power on the largest scales is measured on a few modes of one frame and
    can come out low by chance; true noise that is smooth or unresolved stars
    only ever adds to it there. Rows and columns are scaled together, which
    keeps correlations and positive definiteness.

    Parameters
    ----------
    matrix, white
        From `quantity_covariance`.

    Returns
    -------
    (nq, nq) array
    """
    scale = np.sqrt(np.maximum(1.0, white / np.maximum(np.diag(matrix), np.finfo(float).tiny)))
    return matrix * np.outer(scale, scale)
