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

    v_b = W_b J_b K^-1 c,

and W_b is what the fit assumes of the pixels: the weights of independent ones, or
the inverse of their covariance (`galstep.core.fitting.gls`).

Bands share their unresolved stars, so the cross terms are not small. Bands on
different pixel grids have their own terms each on its own grid; how they covary
is a function of the separation on the sky, and is summed on the scene's grid
(`galstep.core.noise.scene_noise`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import rfft2

from galstep.core.engine.border import border_images
from galstep.core.engine.normal import star_stamps
from galstep.core.imaging.resample import SceneSampler
from galstep.core.imaging.stars import add_stamps
from galstep.core.noise.scene_noise import SceneNoise, data_box, with_cross_terms
from galstep.core.noise.whitening import weighted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.scene import SceneBand
    from galstep.core.engine.solve import Solution
    from galstep.core.noise.noise_power import NoisePower

__all__ = [
    "influence_images",
    "not_below_white",
    "pixel_sigma",
    "quantity_covariance",
]

# Stars' share of an influence image is cut here: it falls like the PSF.
INFLUENCE_HALF_SIZE = 25


def influence_images(
    bands: Sequence[SceneBand],
    solution: Solution,
    covariance: SceneCovariance,
    functionals: np.ndarray,
) -> Iterator[np.ndarray]:
    """How each pixel of each band moves some quantities.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
    covariance : `galstep.core.engine.covariance.SceneCovariance`
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
        images: Any = border_images(band, i, state, solution.evaluation, layout, stamps)
        images = images.combined(border.T)
        if layout.n_stars:
            add_stamps(images, *stamps, _star_factors(stars, i, layout))
        whitening = covariance.whitening(i)
        if whitening is None:  # many and large: in place
            images *= band.weight
        yield images if whitening is None else weighted(images, band, whitening)


def _star_factors(stars, band, layout):
    """Factors of a band's stamps, (n_stars, nq, 3), from (nq, n_stars, block)."""
    factors = np.zeros((layout.n_stars, len(stars), 3))
    factors[:, :, 0] = stars[:, :, band].T
    if layout.positions:
        factors[:, :, 1:] = stars[:, :, layout.n_bands :].transpose(1, 0, 2)
    return factors


def quantity_covariance(
    bands: Sequence[SceneBand],
    solution: Solution,
    covariance: SceneCovariance,
    functionals: np.ndarray,
    noise: SceneNoise | NoisePower,
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance matrix of several quantities, and their white variances.

    Parameters
    ----------
    bands, solution, covariance, functionals
        As in `influence_images`.
    noise : `galstep.core.noise.scene_noise.SceneNoise` or `NoisePower`
        The latter for bands that are all on one grid.

    Returns
    -------
    matrix : (nq, nq) array
        With the measured covariance of the noise.
    white : (nq,) array
        Variances if the pixels were independent with the same sigma.
    """
    noise = SceneNoise.of(noise, len(bands))
    spectra = [_Spectra(own, len(functionals)) for _, own in noise.groups]
    boxes = [data_box([bands[i] for i in members]) for members, _ in noise.groups]
    between = _Spectra(noise.between, len(functionals)) if noise.between else None
    shifts = solution.state.shift
    every = influence_images(bands, solution, covariance, functionals)
    for i, (band, images) in enumerate(zip(bands, every, strict=True)):
        group, place = noise.place(i)
        images *= pixel_sigma(band)
        spectra[group].add(place, images[:, *boxes[group]])
        if between:
            between.add(i, _on_scene(band, images, shifts[i]))
    sums = [own.summed() for own in spectra]
    matrix, white = (sum(parts) for parts in zip(*sums, strict=True))
    return with_cross_terms(matrix, between.summed()[0]) if between else matrix, white


def _on_scene(band, images, shift):
    """Influence images on the scene's grid, such that sums over pixels stay."""
    if band.in_scene_frame:
        return images
    sampler = SceneSampler(band, shift)
    return np.array([band.scale**2 * sampler.smooth(image) for image in images])


class _Spectra:
    """Transforms of the bands' scaled influence images, and the sum over them."""

    def __init__(self, noise, n_quantities):
        self.noise, n_bands = noise, len(noise.power)
        half_plane = noise.shape[0], noise.shape[1] // 2 + 1
        # single precision is ample for an error, and these are many; of unit size,
        # so that their unit does not matter
        self._spectra = np.empty((n_bands, n_quantities, *half_plane), dtype=np.complex64)
        self._sizes = np.ones(self._spectra.shape[:2])

    def add(self, band, images):
        for k, image in enumerate(images):
            self._sizes[band, k] = np.linalg.norm(image) or 1.0
            scaled = (image / self._sizes[band, k]).astype(np.float32)
            self._spectra[band, k] = rfft2(scaled, self.noise.shape)

    def summed(self):
        return _summed(self._spectra, self._sizes, self.noise)


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


def pixel_sigma(band: SceneBand) -> np.ndarray:
    """1-sigma of each pixel, without the matched-filter scale; 0 if masked."""
    good = band.weight > 0
    sigma = np.zeros(band.shape)
    plain = (band.weight / band.robust)[good]
    sigma[good] = 1.0 / (np.sqrt(plain) * band.noise_scale)
    return sigma


def not_below_white(matrix: np.ndarray, white: np.ndarray) -> np.ndarray:
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
    variance = np.diag(matrix)
    # a variance that came out as nothing is raised by a finite factor all the same
    lowest = np.maximum(1e-12 * white, np.finfo(float).tiny)
    scale = np.sqrt(np.maximum(1.0, white / np.maximum(variance, lowest)))
    return matrix * np.outer(scale, scale)
