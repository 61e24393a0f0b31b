"""Generalised least squares: a last step of a fit, weighted with the noise there is.

A fit that takes pixels for independent is unbiased in correlated noise, but not the
best one: between neighbouring pixels noise that was smoothed, by resampling or because
it is unresolved stars, varies less than a star does. With the covariance C of a band's
residuals, measured as for the errors, the estimate with the least variance solves

    sum_b J_b^T C_b^-1 r_b(theta) + priors = 0

in all parameters. C_b^-1 is A_b^T A_b of the band's `galstep.core.noise.whitening.Whitening`,
so that it is a least-squares fit of A_b r_b to A_b J_b: the steps, their damping and
caps are those of `galstep.core.engine.solve`, from the converged solution with independent
pixels. A star's columns stay compact under A, and the matrix keeps its sparse form;
all its blocks are made from the same whitened columns.

Bands count as independent of one another in the estimate. Its errors are those of any
estimate (`galstep.core.noise.errors`), cross terms included, with the influence images

    v_b = A_b^T A_b J_b K^-1 c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, diags

from galstep.core.engine.border import border_images
from galstep.core.engine.bordered import BorderedMatrix
from galstep.core.engine.covariance import COVARIANCE_HALF_SIZE, LateCovariance, covariance_of
from galstep.core.engine.layout import Layout
from galstep.core.engine.normal import (
    FLUX_RIDGE,
    HOLD,
    MIN_INFORMATION,
    NormalEquations,
    add_priors,
    evaluate,
    star_stamps,
)
from galstep.core.engine.solve import fit_scene
from galstep.core.imaging.stars import gram_stamps
from galstep.core.measurement.galaxy_covariance import measured_noise
from galstep.core.noise.whitening import whitening_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.detection.ladder_options import LadderResult
    from galstep.core.engine.bounds import ShapeBounds
    from galstep.core.engine.covariance import SceneCovariance
    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.freedom import Freedom
    from galstep.core.engine.scene import SceneBand, SceneState
    from galstep.core.engine.solve import Solution

__all__ = ["GlsMethod", "gls_result", "gls_step"]

MAX_STEPS = 6
# In chi2 of the whitened residuals: 1 is one sigma.
TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class GlsMethod:
    """Objective and normal equations of `galstep.core.engine.solve.fit_scene` in measured noise.

    Parameters
    ----------
    whitenings : sequence of `galstep.core.noise.whitening.Whitening`
        One per band.
    """

    whitenings: tuple

    def evaluate(
        self,
        bands: Sequence[SceneBand],
        state: SceneState,
        half_sizes: Sequence[np.ndarray],
        freedom: Freedom,
        reuse: tuple[SceneState, Evaluation] | None = None,
    ) -> Evaluation:
        """As `galstep.core.engine.normal.evaluate`, with chi2 of the whitened residuals."""
        evaluation = evaluate(bands, state, half_sizes, freedom, reuse)
        whitened = sum(
            np.square(whitening.whiten(residual)).sum()
            for whitening, residual in zip(self.whitenings, evaluation.residuals, strict=True)
        )
        chi2 = evaluation.chi2 - _data_chi2(bands, evaluation) + float(whitened)
        return replace(evaluation, chi2=chi2)

    def normal_equations(
        self,
        bands: Sequence[SceneBand],
        state: SceneState,
        evaluation: Evaluation,
        half_sizes: Sequence[np.ndarray],
        freedom: Freedom,
    ) -> NormalEquations:
        """As `galstep.core.engine.normal.normal_equations`; stars in stamps of one size."""
        layout = Layout.of(bands, state, freedom)
        sums = _Sums(layout)
        for i, (band, whitening) in enumerate(zip(bands, self.whitenings, strict=True)):
            sums.add(band, i, whitening, state, evaluation)
        stars = (sums.stars + diags(sums.held)).tocsc() if layout.n_stars else sums.stars
        gradients = sums.border_gradient, sums.star_gradient
        stars = add_priors(sums.border, gradients[0], stars, gradients[1], state, freedom, layout)
        matrix = BorderedMatrix(sums.border, sums.coupling, stars)
        return NormalEquations(layout, matrix, *gradients)


class _Sums:
    """The parts of the normal equations without priors, gathered band by band."""

    def __init__(self, layout):
        self.layout, size = layout, layout.block * layout.n_stars
        self.border = np.zeros((layout.n_border,) * 2)
        self.border_gradient, self.star_gradient = np.zeros(layout.n_border), np.zeros(size)
        self.coupling = np.zeros((layout.n_border, size))
        self.stars, self.held = csc_matrix((size, size)), np.zeros(size)

    def add(self, band, index, whitening, state, evaluation):
        """One band's share."""
        stamps = None
        if self.layout.n_stars:
            stamps = star_stamps(band, index, state, COVARIANCE_HALF_SIZE)
        images = border_images(band, index, state, evaluation, self.layout, stamps)
        images = replace(images, groups=tuple(whitening.whiten(g) for g in images.groups))
        residual = whitening.whiten(evaluation.residuals[index])
        matrix, gradient = images.normal_equations(np.ones(band.shape), residual)
        self.border += matrix
        self.border_gradient += gradient
        if self.layout.n_stars:
            columns = whitening.matrix @ _star_columns(band, index, stamps, self.layout)
            self._add_stars(columns, images, residual)
            self._hold_unseen(band, index, stamps)

    def _add_stars(self, columns, images, residual):
        flat = np.concatenate(
            [group.reshape(len(group), int(np.prod(group.shape[1:]))) for group in images.groups]
        )
        across = columns.T.tocsr()
        self.coupling += images.mixing @ (across @ flat.T).T
        self.star_gradient += across @ residual.ravel()
        self.stars = self.stars + across @ columns

    def _hold_unseen(self, band, index, stamps):
        """What keeps the matrix regular, as in `galstep.core.engine.normal`.

        Stars that show next to nothing of their PSF in a band keep their flux there.
        """
        own, area = np.arange(self.layout.n_stars), band.star_renderer.psf.noise_area
        share = gram_stamps((~band.mask).astype(float), *stamps, own, own)[:, 0, 0] * area
        unseen, flux = share < MIN_INFORMATION, self.layout.star(own, index)
        self.held[flux] = np.where(unseen, HOLD, FLUX_RIDGE) / (band.sigma**2 * area)
        self.star_gradient[flux[unseen]] = 0.0


def _star_columns(band, index, stamps, layout):
    """Derivatives of a band's pixels with respect to the stars' parameters, sparse."""
    values, ix, iy = stamps
    reach = np.arange(values.shape[-1]) - values.shape[-1] // 2
    x, y = np.broadcast_arrays(ix[:, None, None] + reach, iy[:, None, None] + reach[:, None])
    ny, nx = band.shape
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    pixel, star = (y * nx + x)[inside], np.nonzero(inside)[0]
    parameters = [index] + [layout.n_bands, layout.n_bands + 1] * layout.positions
    entries = [(values[:, k][inside], layout.star(star, p)) for k, p in enumerate(parameters)]
    data, columns = (np.concatenate(part) for part in zip(*entries, strict=True))
    rows = np.tile(pixel, len(parameters))
    return csr_matrix((data, (rows, columns)), shape=(ny * nx, layout.block * layout.n_stars))


def _data_chi2(bands, evaluation):
    """chi2 without the priors."""
    return sum(
        float(np.vdot(band.weight, np.square(residual)))
        for band, residual in zip(bands, evaluation.residuals, strict=True)
    )


def _whitenings(bands, noise):
    return tuple(
        whitening_of(np.sqrt(band.weight) * band.noise_scale, *noise.own_power(i))
        for i, band in enumerate(bands)
    )


def gls_step(
    bands: Sequence[SceneBand],
    solution: Solution,
    covariance: SceneCovariance,
    freedom: Freedom,
    bounds: ShapeBounds,
    max_steps: int = MAX_STEPS,
) -> tuple[Solution, SceneCovariance]:
    """The generalised least-squares solution next to a converged one.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    solution : `galstep.core.engine.solve.Solution`
        Of the same bands and freedom, with independent pixels.
    covariance : `galstep.core.engine.covariance.SceneCovariance`
        The formal one of ``solution``.
    freedom : `galstep.core.engine.scene.Freedom`
    bounds : `galstep.core.engine.bounds.ShapeBounds`
    max_steps : int, optional
        Largest number of Gauss-Newton steps.

    Returns
    -------
    solution : `galstep.core.engine.solve.Solution`
        Its chi2 is again that of independent pixels, and a little above the
        minimum of that.
    covariance : `galstep.core.engine.covariance.SceneCovariance`
        Of the same parameters, with the pixels' measured covariance; what is
        made with it (`galstep.core.noise.errors`) holds for this estimate.
    """
    whitenings = _whitenings(bands, measured_noise(bands, solution, covariance))
    method = GlsMethod(whitenings)
    better = fit_scene(
        bands,
        solution.state,
        freedom,
        bounds=bounds,
        max_iterations=max_steps,
        tolerance=TOLERANCE,
        reuse=(solution.state, solution.evaluation),
        method=method,
    )
    state, half_sizes = better.state, better.half_sizes
    evaluation = evaluate(bands, state, half_sizes, freedom, (state, better.evaluation))
    equations = method.normal_equations(bands, state, evaluation, half_sizes, freedom)
    better = replace(
        better,
        evaluation=evaluation,
        equations=equations,
        converged=solution.converged and better.converged,
        n_iterations=solution.n_iterations + better.n_iterations,
    )
    return better, replace(covariance_of(equations, state), whitenings=whitenings)


def gls_result(result: LadderResult, freedom: Freedom, bounds: ShapeBounds) -> LadderResult:
    """A fitted scene after the generalised least-squares step.

    Parameters
    ----------
    result : `galstep.core.detection.ladder.LadderResult`
    freedom, bounds
        As for `gls_step`.

    Returns
    -------
    LadderResult
        The same stars, with other values.
    """
    solution, covariance = gls_step(
        result.bands, result.solution, result.covariance, freedom, bounds
    )
    n_iterations = result.n_iterations + solution.n_iterations - result.solution.n_iterations
    late = LateCovariance(lambda: covariance)
    return replace(result, solution=solution, late_covariance=late, n_iterations=n_iterations)
