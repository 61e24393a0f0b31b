"""Gauss-Newton fit of a PSF kernel and of the stars that show it.

On the discs round the anchors the image is

    d = sum_i flux_i E(x - x_i, y - y_i; t) + c_k      on disc k,

E the library PSF convolved with a kernel of parameters t, i all stars on or
near the discs, c_k one constant per disc. Everything is free: t, flux_i, x_i,
y_i, c_k. Stars and constants touch few of each other, so their normal matrix N
is sparse; t touches all. With C the cross terms and D the matrix of t alone the
step of t comes from the Schur complement S = D - C^T N^-1 C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import bmat, csr_matrix, diags
from scipy.sparse.linalg import splu

from galstep.core.calibration.field_stars import MAX_MOVE, FieldStars
from galstep.core.imaging.medians import MAD_TO_STD, median
from galstep.core.imaging.stars import StarRenderer, project_stamps
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import bounded_step, n_free
from galstep.core.scene.star_system import StarSystem
from galstep.records import PsfKernel

__all__ = ["DiscData", "KernelFit", "fit_kernel"]


# A step of so many sigma of the kernel is the last.
LEAST_SIGMA = 0.15
# Pixels beyond a stamp that its interpolation needs.
STAMP_MARGIN = 3
# Of the best disc's information: what a disc without a good pixel has.
DISC_RIDGE = 1e-12


@dataclass(frozen=True, eq=False)
class DiscData:
    """What the kernel is fitted to.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Data minus galaxy, sky and every star that is not fitted; finite.
    weight : ndarray, shape (ny, nx)
        Inverse variances; 0 outside the discs and on bad pixels.
    labels : ndarray of int, shape (ny, nx)
        Number of the disc a pixel belongs to, -1 outside.
    half_size : int
        Half-size of the stars' stamps, pixels: beyond it the model is 0.
    model_error : float
        Error of the PSF model as a fraction of the light, added to the noise.
    robust : float
        Scale of the Cauchy weights in robust sigma; 0 for plain least squares.
    position_prior : float or ndarray, shape (n_stars,)
        A step is damped as if the positions were known so well, pixels.
    """

    image: np.ndarray
    weight: np.ndarray
    labels: np.ndarray
    half_size: int
    model_error: float = 0.02
    robust: float = 3.0
    position_prior: float | np.ndarray = 0.3


@dataclass(frozen=True, eq=False)
class KernelFit:
    """Where the fit ended.

    ``covariance`` is that of the kernel's free parameters for white noise with
    the scatter found in the discs, ``sandwich`` that from the scatter of the
    discs' own wishes (noise that is correlated, or crowding, shows there).
    ``weight`` is the final robust weight, ``chi2`` with it, ``scatter`` the
    robust scatter of the normalised residuals (at least 1).
    """

    kernel: PsfKernel
    stars: FieldStars
    constants: np.ndarray
    covariance: np.ndarray
    sandwich: np.ndarray
    chi2: float
    scatter: float
    weight: np.ndarray
    n_steps: int
    converged: bool


@dataclass(frozen=True, eq=False)
class _State:
    """One linearisation: images and weights at the current parameters."""

    renderer: StarRenderer
    columns: np.ndarray  # (n_kernel, ny, nx): d model / d t
    rest: np.ndarray
    weight: np.ndarray
    scatter: float


def fit_kernel(
    disc_data: DiscData,
    psf: EffectivePSF,
    kernel: PsfKernel,
    stars: FieldStars,
    *,
    fixed: bool = False,
    max_steps: int = 10,
    tolerance: float = 3e-3,
    errors: bool = True,
) -> KernelFit:
    """Fit kernel, stars and disc constants together.

    Parameters
    ----------
    disc_data : DiscData
        Image, weights, discs.
    psf : galstep.core.psf.effective.EffectivePSF
        The library PSF, without kernel.
    kernel : PsfKernel
        Family and start.
    stars : FieldStars
        The stars to fit, start values.
    fixed : bool, optional
        Hold the kernel and fit the stars only, in ``max_steps`` steps.
    max_steps : int, optional
        At most so many steps.
    tolerance : float, optional
        The fit has converged when no kernel parameter moves by more than this
        (px^2, or its logarithm), or all together by less than 0.15 sigma.
        Faint blended stars may still slide then; the kernel does not feel it.
    errors : bool, optional
        Whether the covariances are wanted; they cost as much as a step.

    Returns
    -------
    KernelFit
        With ``fixed``, or without ``errors``, the covariances are empty.
    """
    constants = np.zeros(int(disc_data.labels.max()) + 1)
    n_kernel = 0 if fixed else n_free(kernel.family)
    converged, n_steps = False, 0
    state = _linearise(disc_data, psf, kernel, stars, constants, n_kernel)
    while n_steps < max_steps and not converged:
        system = _System(disc_data, state, stars)
        step, constants_step, kernel_step = system.solve()
        constants = constants + constants_step
        stars = FieldStars(
            stars.x + np.clip(step[:, 1], -MAX_MOVE, MAX_MOVE),
            stars.y + np.clip(step[:, 2], -MAX_MOVE, MAX_MOVE),
            np.maximum(stars.flux + step[:, 0], 1e-6 * np.median(stars.flux)),
        )
        n_steps += 1
        if n_kernel:
            old, kernel = kernel, bounded_step(kernel, kernel_step)
            change = np.subtract(kernel.parameters, old.parameters)[:n_kernel]
            converged = n_steps > 1 and _settled(change, system.schur, tolerance)
        state = _linearise(disc_data, psf, kernel, stars, constants, n_kernel)
    covariance = sandwich = np.zeros((0, 0))
    if n_kernel and errors:
        system = _System(disc_data, state, stars)
        covariance = system.kernel_covariance() * state.scatter**2
        sandwich = system.sandwich_covariance()
    chi2 = float(np.vdot(state.weight, state.rest**2))
    return KernelFit(
        kernel,
        stars,
        constants,
        covariance,
        sandwich,
        chi2,
        state.scatter,
        state.weight,
        n_steps,
        converged,
    )


def _settled(change, information, tolerance):
    """Whether a step is small in itself or against the kernel's covariance."""
    small = np.all(np.abs(change) < tolerance)
    return bool(small or change @ information @ change < LEAST_SIGMA**2)


def _linearise(disc_data, psf, kernel, stars, constants, n_kernel):
    """Residuals, weights and kernel columns at the given parameters."""
    if n_kernel:
        effective, derivatives = psf.convolved_with_derivatives(kernel)
    else:
        effective, derivatives = psf.convolved(kernel), []
    half = disc_data.half_size
    renderer = StarRenderer(_middle(effective.array, psf.oversample, half))
    model = _draw(renderer, disc_data, stars.x, stars.y, stars.flux)
    inside = disc_data.labels >= 0
    level = np.where(inside, constants[disc_data.labels], 0.0)
    rest = np.where(inside, disc_data.image - model - level, 0.0)
    weight, scatter = _robust_weight(disc_data, model, rest)
    columns = np.zeros((n_kernel,) + model.shape)
    for k, array in enumerate(derivatives[:n_kernel]):
        derivative = StarRenderer(_middle(array, psf.oversample, half))
        columns[k] = derivative.render(model.shape, stars.x, stars.y, stars.flux, half_sizes=half)
    return _State(renderer, columns, rest, weight, scatter)


def _middle(array, oversample, half_size):
    """The part of a PSF that stamps of this half-size show; what is prepared is prepared often."""
    reach = (half_size + STAMP_MARGIN) * oversample
    cut_y, cut_x = (max(0, (n - 1) // 2 - reach) for n in array.shape)
    ny, nx = array.shape
    return EffectivePSF(array[cut_y : ny - cut_y, cut_x : nx - cut_x], oversample)


def _draw(renderer, disc_data, x, y, flux, flux_x=None, flux_y=None):
    return renderer.render(
        disc_data.image.shape,
        x,
        y,
        flux,
        half_sizes=disc_data.half_size,
        flux_x=flux_x,
        flux_y=flux_y,
    )


def _robust_weight(disc_data, model, rest):
    """Weights with the model's error and, if asked for, Cauchy's factor.

    The scatter is the MAD of the normalised residuals, not below 1.
    """
    weight = disc_data.weight / (1.0 + disc_data.weight * (disc_data.model_error * model) ** 2)
    normalised = rest * np.sqrt(weight)
    used = normalised[weight > 0]
    scatter = max(1.0, MAD_TO_STD * median(np.abs(used))) if used.size else 1.0
    if disc_data.robust:
        weight = weight / (1.0 + (normalised / (disc_data.robust * scatter)) ** 2)
    return weight, scatter


def _factor(matrix):
    try:
        return splu(matrix)
    except RuntimeError as error:  # SuperLU's word for it
        raise np.linalg.LinAlgError("stars and constants: singular normal matrix") from error


class _System:
    """Normal equations of one step, and what follows from them."""

    def __init__(self, disc_data, state, stars):
        self.disc_data, self.state, self.stars = disc_data, state, stars
        self.n_stars = len(stars)
        stamps, ix, iy = state.renderer.stamps(stars.x, stars.y, disc_data.half_size)
        stamps[:, 1:] *= stars.flux[:, None, None, None]
        weighted = state.weight * np.concatenate([state.rest[None], state.columns])
        projected = project_stamps(weighted, stamps, ix, iy)
        of_discs = np.column_stack([self._disc_sums(image) for image in weighted])
        right = np.concatenate([projected.transpose(0, 2, 1).reshape(-1, len(weighted)), of_discs])
        self.gradient, self.cross = right[:, 0], right[:, 1:]
        self.factor = _factor(self._matrix(stamps, ix, iy))
        self.kernel_gradient = np.tensordot(weighted[1:], state.rest, axes=2)
        self.profiled = self.factor.solve(self.cross)
        own = np.tensordot(weighted[1:], state.columns, axes=((1, 2), (1, 2)))
        self.schur = own - self.cross.T @ self.profiled

    def _disc_sums(self, image):
        inside = self.disc_data.labels >= 0
        n_discs = int(self.disc_data.labels.max()) + 1
        return np.bincount(self.disc_data.labels[inside], image[inside], minlength=n_discs)

    def _matrix(self, stamps, ix, iy):
        """Stars and constants: sparse, symmetric, lightly damped."""
        weight = self.state.weight
        stars = StarSystem.of_stamps(weight, self.state.rest, stamps, ix, iy)
        of_discs = self._disc_sums(weight)
        of_discs += DISC_RIDGE * of_discs.max(initial=0.0)
        mixed = self._stars_by_discs(stamps, ix, iy)
        own = stars.damped(self.disc_data.position_prior).matrix()
        return bmat([[own, mixed], [mixed.T, diags(of_discs)]], format="csc")

    def _stars_by_discs(self, stamps, ix, iy):
        """Weighted overlap of every star column with every disc constant."""
        labels, side = self.disc_data.labels, stamps.shape[-1]
        ny, nx = labels.shape
        beyond = max(0, -ix.min(), -iy.min(), ix.max() - nx + 1, iy.max() - ny + 1)
        # with a margin as wide as the stamps no window meets the frame's edge
        margin = side // 2 + int(beyond)
        corner = iy + margin - side // 2, ix + margin - side // 2
        label = sliding_window_view(np.pad(labels, margin, constant_values=-1), (side, side))[
            corner
        ]
        weight = sliding_window_view(np.pad(self.state.weight, margin), (side, side))[corner]
        star, row, column = np.nonzero((label >= 0) & (weight > 0))
        disc = label[star, row, column]
        values = stamps[star, :, row, column] * weight[star, row, column, None]
        n_discs = int(labels.max()) + 1
        sums = np.zeros((3, self.n_stars * n_discs))
        for k in range(3):
            sums[k] = np.bincount(star * n_discs + disc, values[:, k], minlength=sums.shape[1])
        return csr_matrix(
            sums.T.reshape(self.n_stars, n_discs, 3).transpose(0, 2, 1).reshape(-1, n_discs)
        )

    def solve(self):
        """Steps of the stars (n, 3), of the constants and of the kernel."""
        rest = self.factor.solve(self.gradient)
        kernel_step = np.zeros(0)
        if len(self.schur):
            kernel_step = np.linalg.solve(self.schur, self.kernel_gradient - self.cross.T @ rest)
            rest = rest - self.profiled @ kernel_step
        stars, constants = np.split(rest, [3 * self.n_stars])
        return stars.reshape(-1, 3), constants, kernel_step

    def kernel_covariance(self):
        """Covariance of the kernel for unit-variance white residuals."""
        return np.linalg.inv(self.schur)

    def sandwich_covariance(self):
        """Covariance of the kernel from the scatter between discs.

        The score of disc k is g_k = sum over its pixels of w r dm/dt, with
        dm/dt what is left of the kernel's column after stars and constants
        have followed. Discs are independent, so cov(t) = S^-1 (sum_k g_k
        g_k^T) S^-1 times K / (K - 1): the cluster-robust ("sandwich")
        estimate (Liang & Zeger 1986, Biometrika 73, 13), which needs no noise
        model.
        """
        n_kernel, n_discs = len(self.schur), int(self.disc_data.labels.max()) + 1
        scores = np.empty((n_kernel, n_discs))
        inside = self.disc_data.labels >= 0
        for k in range(n_kernel):
            stars, constants = np.split(self.profiled[:, k], [3 * self.n_stars])
            flux, move_x, move_y = stars.reshape(-1, 3).T
            followed = _draw(
                self.state.renderer,
                self.disc_data,
                self.stars.x,
                self.stars.y,
                flux,
                flux_x=move_x * self.stars.flux,
                flux_y=move_y * self.stars.flux,
            )
            followed[inside] += constants[self.disc_data.labels[inside]]
            column = self.state.columns[k] - followed
            scores[k] = self._disc_sums(self.state.weight * self.state.rest * column)
        # at the end of the fit the scores sum to nearly zero
        scores -= scores.mean(axis=1, keepdims=True)
        inverse = np.linalg.inv(self.schur)
        return inverse @ (scores @ scores.T) @ inverse * n_discs / max(n_discs - 1, 1)
