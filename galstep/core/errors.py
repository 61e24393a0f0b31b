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

from galstep.core.normal import border_columns

__all__ = ["NoisePower", "influence_images", "measure_noise_power", "quantity_covariance"]

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


def _ring_mean(values, pairs, radius, size):
    """Mean over rings of one pixel, weighted by the number of pixel pairs."""
    ring = np.rint(radius).astype(int).ravel()
    total = np.bincount(ring, (values * pairs).ravel(), minlength=size)[:size]
    count = np.bincount(ring, pairs.ravel(), minlength=size)[:size]
    return np.where(count > 0, total / np.maximum(count, 1e-12), 0.0)


def _taper(radius, reach):
    """1 to half the reach, then half a cosine to 0 at the reach."""
    phase = np.clip((radius - reach / 2) / (reach / 2), 0.0, 1.0)
    return 0.5 * (1 + np.cos(np.pi * phase))


def _separations(shape):
    ny, nx = shape
    dy = np.fft.fftfreq(ny, 1 / ny)
    dx = np.fft.fftfreq(nx, 1 / nx)
    return np.hypot(dy[:, None], dx[None, :])


def measure_noise_power(residuals, good, reach=REACH):
    """Stationary covariance of residuals, as power spectra.

    Parameters
    ----------
    residuals : sequence of (ny, nx) arrays
        In units of the pixel sigma; values where ``good`` is False are ignored.
    good : sequence of (ny, nx) bool arrays
        Pixels to use: with data, and not where the model is known to be poor.
    reach : int, optional
        Separation in pixels where the covariance is tapered to zero.

    Returns
    -------
    NoisePower

    Notes
    -----
    xi(d) = sum r_p r_(p+d) / number of pairs, by zero-padded FFTs, averaged over
    rings, tapered and transformed back. Nothing is clipped: the tail of the
    distribution is the noise.
    """
    ny, nx = residuals[0].shape
    wide = tuple(next_fast_len(2 * n, real=True) for n in (ny, nx))
    frame = tuple(next_fast_len(n + reach, real=True) for n in (ny, nx))
    images = [rfft2(np.where(g, r, 0.0), wide) for r, g in zip(residuals, good, strict=True)]
    counts = [rfft2(g.astype(float), wide) for g in good]
    far, near = _separations(wide), _separations(frame)
    radii = np.arange(reach + 2)
    power = [[None] * len(images) for _ in images]
    for a in range(len(images)):
        for b in range(a, len(images)):
            pairs = np.rint(irfft2(np.conj(counts[a]) * counts[b], wide))
            sums = irfft2(np.conj(images[a]) * images[b], wide)
            mean = np.divide(sums, pairs, out=np.zeros(wide), where=pairs > 0.5)
            rings = _ring_mean(mean, np.maximum(pairs, 0), far, reach + 2)
            xi = np.interp(near, radii, rings, right=0.0) * _taper(near, reach)
            spectrum = rfft2(xi).real
            if a == b:
                positive = spectrum[spectrum > 0]
                floor = 0.01 * np.median(positive) if positive.size else 0.0
                spectrum = np.maximum(spectrum, floor)
            power[a][b] = power[b][a] = spectrum
    return NoisePower(power, frame)


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
        columns, places = border_columns(band, i, state, solution.evaluation, layout)
        images = np.tensordot(border[places].T, columns, axes=1)
        if layout.n_stars:
            _add_star_influence(images, band, i, state, layout, stars)
        yield images * band.weight


def _add_star_influence(images, band, index, state, layout, stars):
    renderer = band.star_renderer
    half = min(INFLUENCE_HALF_SIZE, renderer.half_size)
    x, y = band.to_pixels(state.x, state.y, state.shift[index])
    for image, own in zip(images, stars, strict=True):
        moved = np.zeros((layout.n_stars, 2))
        if layout.positions:
            moved = own[:, layout.n_bands :] @ band.matrix.T
            moved = moved * state.star_flux[index][:, None]
        image += renderer.render(
            band.shape,
            x,
            y,
            np.ascontiguousarray(own[:, index]),
            half_sizes=half,
            flux_x=np.ascontiguousarray(moved[:, 0]),
            flux_y=np.ascontiguousarray(moved[:, 1]),
        )


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
    n_quantities = len(functionals)
    n_frequencies = noise.shape[0] * (noise.shape[1] // 2 + 1)
    spectra = np.empty((len(bands), n_quantities, n_frequencies), dtype=complex)
    white = np.zeros(n_quantities)
    every = influence_images(bands, solution, covariance, functionals)
    for i, images in enumerate(every):
        sigma = _pixel_sigma(bands[i])
        for k, image in enumerate(images):
            scaled = image * sigma
            white[k] += np.vdot(scaled, scaled)
            spectra[i, k] = rfft2(scaled, noise.shape).ravel()
    # Parseval on the half-plane: every column but the first (and the middle
    # one of an even length) stands for itself and its mirror image
    mirror = np.full(noise.shape[1] // 2 + 1, 2.0)
    mirror[0] = 1.0
    if noise.shape[1] % 2 == 0:
        mirror[-1] = 1.0
    weight = np.tile(mirror, noise.shape[0]) / (noise.shape[0] * noise.shape[1])
    matrix = np.zeros((n_quantities,) * 2)
    for a in range(len(bands)):
        for b in range(a, len(bands)):
            scaled = spectra[b] * (noise.power[a][b].ravel() * weight)
            block = (np.conj(spectra[a]) @ scaled.T).real
            matrix += block if a == b else block + block.T
    return 0.5 * (matrix + matrix.T), white


def _pixel_sigma(band):
    """1-sigma of each pixel, without the matched-filter scale; 0 if masked."""
    good = band.weight > 0
    sigma = np.zeros(band.shape)
    sigma[good] = 1.0 / (np.sqrt(band.weight[good]) * band.noise_scale)
    return sigma
