"""Kernel, galaxy, stars and sky of one filter, fitted together.

The anchors of `galstep.core.calibration.calibrate` are a few isolated stars. Here the whole
frame is the evidence: the kernel's parameters t stand among the non-linear
parameters of the scene (`galstep.core.engine.scene`). For given t the scene is fitted
as always; what is left is a function of t alone (variable projection: Golub &
Pereyra 1973), whose gradient needs the change of the model with t at a fixed
scene only,

    D_k = sum_g F_g S_g(dP/dt_k) + sum_i f_i dP/dt_k(x - x_i),

    -1/2 d chi2 / dt_k = D_k^T W r,

because the scene is at its own minimum. dP/dt_k is analytic, in Fourier space
(`galstep.core.psf.kernels`: for a Gaussian -2 pi^2 f^2 times the PSF's transform).
With J the derivatives of the scene and K its normal matrix, the Gauss-Newton
step is S^-1 D^T W r, S = D^T W D - h^T K^-1 h, h = J^T W D: the scene follows
the kernel, and the covariance S^-1 knows it.

What it gains over the anchors are the many faint stars and the galaxy's cusp.
What it loses is their safety: stars that are too faint to be found lie in the
wings of those that are, and a kernel fitted to the whole frame takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError

from galstep.core.engine.border import border_images
from galstep.core.engine.covariance import COVARIANCE_HALF_SIZE
from galstep.core.engine.normal import normal_equations, star_stamps
from galstep.core.engine.solve import ShapeBounds, fit_scene
from galstep.core.imaging.render import GalaxyRenderer
from galstep.core.imaging.stars import StarRenderer, combined_stamps, project_stamps
from galstep.core.psf.effective import EffectivePSF
from galstep.core.psf.kernel_families import bounded_step, n_free

if TYPE_CHECKING:
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution
    from galstep.records import PsfKernel

__all__ = ["KernelScene", "fit_kernel_scene", "with_psf"]

# Sides of the tiles that count as independent, pixels.
TILE = 32
# A step of so many sigma is the last, or one of so many px^2.
LEAST_SIGMA = 0.1
LEAST_STEP = 1e-4
# A step that does not lower chi2 is tried again with this share of its length.
SHORTER = 0.3


@dataclass(frozen=True, eq=False)
class KernelScene:
    """Where the fit of kernel and scene ended.

    Parameters
    ----------
    kernel : galstep.records.PsfKernel
        Family and parameters; its errors are those of ``covariance``'s caller.
    band : galstep.core.engine.scene.SceneBand
        With the PSF of this kernel.
    solution : galstep.core.engine.solve.Solution
    covariance : (n, n) array
        Of the kernel's free parameters, everything else free, for white noise
        with the weights' sigma.
    sandwich : (n, n) array
        The same from the scatter between tiles of the frame.
    flux_follows : (n, n_galaxies) array
        Change of the galaxies' fluxes with the kernel's parameters.
    n_steps : int
    converged : bool
    """

    kernel: PsfKernel
    band: SceneBand
    solution: Solution
    covariance: np.ndarray
    sandwich: np.ndarray
    flux_follows: np.ndarray
    n_steps: int
    converged: bool


def fit_kernel_scene(
    band: SceneBand,
    library: EffectivePSF,
    kernel: PsfKernel,
    state: SceneState,
    freedom: Freedom,
    bounds: ShapeBounds = ShapeBounds(),
    *,
    max_steps: int = 8,
    tolerance: float = 0.1,
) -> KernelScene:
    """Fit a filter's kernel together with its scene.

    Parameters
    ----------
    band : galstep.core.engine.scene.SceneBand
        Data, weights, sky terms; its PSF is replaced.
    library : galstep.core.psf.effective.EffectivePSF
        The PSF without kernel.
    kernel : galstep.records.PsfKernel
        Family and start; a family with parameters to fit.
    state : galstep.core.engine.scene.SceneState
        The scene's start, its stars included.
    freedom : galstep.core.engine.freedom.Freedom
        What of the scene may change.
    bounds : ShapeBounds, optional
    max_steps : int, optional
        Of the kernel.
    tolerance : float, optional
        Of each fit of the scene, see `galstep.core.engine.solve.fit_scene`.

    Returns
    -------
    KernelScene

    Raises
    ------
    numpy.linalg.LinAlgError
        If the normal equations are singular.
    """
    fit = dict(freedom=freedom, bounds=bounds, tolerance=tolerance)
    step = _Step.at(band, library, kernel, state, fit)
    n_steps, converged, length = 0, False, 1.0
    while n_steps < max_steps and not converged:
        n_steps += 1
        moved = bounded_step(step.kernel, length * step.wish)
        change = np.subtract(moved.parameters, step.kernel.parameters)[: len(step.wish)]
        small = change @ step.information @ change < LEAST_SIGMA**2
        converged = bool(small or np.abs(change).max() < LEAST_STEP)
        tried = _Step.at(band, library, moved, step.solution.state, fit)
        if tried.solution.chi2 < step.solution.chi2 + tolerance:
            step, length = tried, 1.0
        else:
            length *= SHORTER
    return KernelScene(
        step.kernel,
        step.band,
        step.solution,
        np.linalg.inv(step.information),
        step.sandwich(),
        step.flux_follows,
        n_steps,
        converged,
    )


def with_psf(band: SceneBand, psf: EffectivePSF) -> SceneBand:
    """The band seen through another PSF."""
    return replace(
        band, galaxy_renderer=GalaxyRenderer(band.shape, psf), star_renderer=StarRenderer(psf)
    )


@dataclass(frozen=True, eq=False)
class _Step:
    """The scene fitted for one kernel, and where the kernel wants to go.

    ``images`` are the kernel's derivatives of the model after the scene has
    followed, (n, ny, nx); ``flux_follows`` what the galaxies' fluxes did.
    """

    kernel: PsfKernel
    band: SceneBand
    solution: Solution
    images: np.ndarray
    flux_follows: np.ndarray

    @classmethod
    def at(cls, band, library, kernel, state, fit):
        psf, derivatives = library.convolved_with_derivatives(kernel)
        band = with_psf(band, psf)
        solution = fit_scene([band], state, **fit)
        derivatives = derivatives[: n_free(kernel.family)]
        changes = np.array([_model_change(band, solution, d, psf) for d in derivatives])
        followed, flux = _followed(band, solution, fit["freedom"], changes)
        return cls(kernel, band, solution, changes - followed, flux)

    @property
    def information(self):
        """Inverse covariance of the parameters, (n, n)."""
        return np.tensordot(self.band.weight * self.images, self.images, axes=((1, 2), (1, 2)))

    @property
    def wish(self):
        """The Gauss-Newton step."""
        gradient = np.tensordot(self.images, self._weighted_residual, axes=2)
        information = self.information
        if not np.all(np.diag(information) > 0):
            raise LinAlgError("no pixel depends on the kernel")
        return np.linalg.solve(information, gradient)

    @property
    def _weighted_residual(self):
        return self.band.weight * self.solution.evaluation.residuals[0]

    def sandwich(self):
        """Covariance from the scatter between tiles, as `kernel_fit` has it of discs."""
        ny, nx = self.band.shape
        n_columns = -(-nx // TILE)
        tile = (np.arange(ny) // TILE)[:, None] * n_columns + np.arange(nx) // TILE
        scores = np.array(
            [
                np.bincount(tile.ravel(), (image * self._weighted_residual).ravel())
                for image in self.images
            ]
        )
        scores -= scores.mean(axis=1, keepdims=True)
        inverse, count = np.linalg.inv(self.information), scores.shape[1]
        return inverse @ (scores @ scores.T) @ inverse * count / max(count - 1, 1)


def _model_change(band, solution, derivative, psf):
    """D_k: the model with a derivative of the PSF in the PSF's place."""
    state, other = solution.state, EffectivePSF(derivative, psf.oversample)
    renderer, image = GalaxyRenderer(band.shape, other), np.zeros(band.shape)
    matrix = None if band.on_scene_grid else band.matrix
    for shape, flux in zip(state.shapes_in(band), state.galaxy_flux[0], strict=True):
        image += flux * renderer.image(band.galaxy_vector(shape, state.shift[0]), matrix)
    if state.n_stars:
        x, y = band.to_pixels(state.x, state.y, state.shift[0])
        flux, sizes = state.star_flux[0], solution.half_sizes[0]
        image += StarRenderer(other).render(band.shape, x, y, flux, half_sizes=sizes)
    return image


def _followed(band, solution, freedom, changes):
    """What the scene takes of each change, J K^-1 h, and the share of the fluxes.

    Returns
    -------
    images : (n, ny, nx) array
    flux : (n, n_galaxies) array
        The galaxies' fluxes fall by so much for a unit of the change.
    """
    state, evaluation = solution.state, solution.evaluation
    half_size = min(COVARIANCE_HALF_SIZE, band.star_renderer.half_size)
    equations = normal_equations([band], state, evaluation, solution.half_sizes, freedom, half_size)
    layout, factor = equations.layout, equations.matrix.factor()
    stamps = star_stamps(band, 0, state, half_size) if layout.n_stars else None
    border = border_images(band, 0, state, evaluation, layout, stamps)
    images, flux = np.empty_like(changes), []
    for image, change in zip(images, changes, strict=True):
        right = border.normal_equations(band.weight, change)[1]
        own = np.zeros((layout.n_stars, layout.block))
        if layout.n_stars:
            seen = project_stamps((band.weight * change)[None], *stamps)[:, 0]
            own[:] = seen[:, : layout.block]
        of_border, of_stars = factor.solve(right, own.ravel())
        image[:] = border.combined(of_border[None])[0]
        if layout.n_stars:
            factors = np.zeros((layout.n_stars, 1, 3))
            factors[:, 0, : layout.block] = of_stars.reshape(layout.n_stars, layout.block)
            image += combined_stamps(band.shape, *stamps, factors)[0]
        first = layout.galaxy_flux(0)
        flux.append(-of_border[first : first + layout.n_galaxies])
    return images, np.array(flux)
