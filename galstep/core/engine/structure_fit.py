"""How much structure a galaxy has: the modes' coefficients and their prior.

The coefficients are linear and solved for beside everything that could do the same (the
profiles, their derivatives, the sky), which is then left to the next fit of the scene. Their
prior is Gaussian about zero, with one width for each order m, measured by the data
themselves: the evidence of the linear model is maximised (MacKay 1992, Neural Computation
4, 415, section 4.4),

    width^2 = sum c^2 / gamma,   gamma = number of coefficients that the data determine.

A galaxy without structure is given a width of nothing, and its fit is that of the profiles
alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from galstep.core.imaging.structure_modes import MAX_ORDER, BandStructure, structure_modes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["solve_structure"]

# Rounds of the evidence, and the largest share by which the light may change, 1 sigma.
ROUNDS, START_WIDTH, MAX_WIDTH = 12, 0.1, 0.7
# A width of nothing, as a precision. An order must raise ln(evidence) by so much: odds of 400
# to 1, since weights are never quite those of the noise.
NO_STRUCTURE, MIN_EVIDENCE = 1e8, 6.0
# Pixels that stand above the model by more are sources, listed or not, and have no say.
CLIP = 4.0
# Out to where an annulus as wide as a hat shows the galaxy at this S/N.
MIN_ANNULUS_SNR = 5.0
MAX_IN_R_EFF = 5.0


def _outer_radius(band, light, vector):
    """Semi-major axis beyond which the galaxy is too faint to have structure."""
    a = np.geomspace(1.0, MAX_IN_R_EFF, 40) * np.exp(vector[2])
    ny, nx = light.shape
    e = min(np.hypot(vector[3], vector[4]), 0.99)
    theta = 0.5 * np.arctan2(vector[4], vector[3])
    x = np.clip(np.rint(vector[0] + a * np.cos(theta)), 0, nx - 1).astype(int)
    y = np.clip(np.rint(vector[1] + a * np.sin(theta)), 0, ny - 1).astype(int)
    pixels = 2 * np.pi * a * (1 - e) / (1 + e) * np.maximum(0.3 * a, band.star_renderer.psf.fwhm)
    seen = light[y, x] / band.sigma * np.sqrt(pixels) > MIN_ANNULUS_SNR
    return float(a[seen].max()) if seen.any() else 0.0


def solve_structure(
    bands: Sequence[SceneBand], state: SceneState, evaluation: Evaluation
) -> list[BandStructure | None]:
    """The structure of the target in each band, everything else as it is fitted.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    evaluation : `galstep.core.engine.evaluation.Evaluation`
        The fit of the bands' data, which lack the structure that they have.

    Returns
    -------
    list of BandStructure or None
        None where the galaxy is too small or faint to have any.
    """
    problems = [_BandProblem.of(band, i, state, evaluation) for i, band in enumerate(bands)]
    for problem in problems:
        problem.maximise()
    _drop_what_is_not_there(problems)
    return [problem.solved() for problem in problems]


def _drop_what_is_not_there(problems):
    """An order stays if the evidence of all bands together is for it."""
    for m in range(MAX_ORDER + 1):
        gained = sum(problem.evidence_for(m) for problem in problems)
        if gained < MIN_EVIDENCE:
            for problem in problems:
                problem.drop(m)


class _BandProblem:
    """The linear problem of one band: its modes, and everything else solved for."""

    def __init__(self, modes, residual, weight, others, linear):
        self.modes, self.residual, self.weight, self.others = modes, residual, weight, others
        self.precision = np.full(len(modes), 1 / START_WIDTH**2)
        # of the others, +1: a profile of unit flux, -1: the sky, 0: a derivative
        self.linear = linear
        self.coefficients = np.zeros(len(modes))
        self.n_determined = 0.0

    @classmethod
    def of(cls, band, index, state, evaluation):
        """The problem of a band of a scene."""
        stack, own = evaluation.galaxies(index), state.target
        light = np.tensordot(state.galaxy_flux[index][own], stack[own, 0], axes=1)
        main = int(np.argmax(np.where(own, state.galaxy_flux[index], -np.inf)))
        vector = band.own_vector(state.shapes_in(band)[main], state.shift[index])
        fwhm = band.star_renderer.psf.fwhm
        modes = structure_modes(light, vector, fwhm, _outer_radius(band, light, vector))
        residual = (evaluation.residuals[index] + band.structure_light).ravel()
        n_images = stack.shape[1]
        profiles = stack[own].reshape(-1, band.data.size)
        others = np.concatenate([profiles, band.basis.reshape(len(band.basis), -1)])
        others = others[:, modes.places]
        linear = np.where(np.arange(len(others)) % n_images == 0, 1, 0)
        linear[len(profiles) :] = -1
        there = np.abs(others).max(axis=1, initial=0.0) > 0
        weight = band.weight.ravel()[modes.places]
        return cls(modes, residual[modes.places], weight, others[there], linear[there])

    def maximise(self):
        """Widths at the maximum of the evidence, sources that stand out left out."""
        if not len(self.modes):
            return
        for _ in range(2):
            left = self.residual - self.modes.light(self.coefficients)
            weight = np.where(left * np.sqrt(self.weight) > CLIP, 0.0, self.weight)
            self._project(weight)
            self._widths()
            self._solve()

    def _project(self, weight):
        """Normal equations of the modes, the other columns solved for."""
        weighted = self.others * weight
        inner = weighted @ self.others.T
        scale = 1 / np.sqrt(np.maximum(np.diag(inner), np.finfo(float).tiny))
        inner = inner * scale[:, None] * scale + 1e-9 * np.eye(len(scale))
        across = self.modes.sums(weighted) * scale[:, None]
        outer = weighted @ self.residual * scale
        solved = np.linalg.solve(inner, np.column_stack([across, outer]))
        self.matrix = self.modes.products(weight) - across.T @ solved[:, :-1]
        right = self.modes.sums((weight * self.residual)[None])[0]
        self.right = right - across.T @ solved[:, -1]
        self.weighted = weight

    def _widths(self):
        """MacKay's update of each order's precision, until it stands."""
        self.precision[:] = 1 / START_WIDTH**2
        for _ in range(ROUNDS):
            coefficients, determined = self._answer()
            for m in range(MAX_ORDER + 1):
                own = self.modes.order == m
                gamma, power = determined[own].sum(), (coefficients[own] ** 2).sum()
                wanted = gamma / power if power > 0 else NO_STRUCTURE
                self.precision[own] = np.clip(wanted, 1 / MAX_WIDTH**2, NO_STRUCTURE)

    def _answer(self):
        """Coefficients, and how far the data determine each, from 0 to 1."""
        inverse = np.linalg.inv(self.matrix + np.diag(self.precision))
        return inverse @ self.right, 1 - self.precision * np.diag(inverse)

    def _solve(self):
        self.coefficients, determined = self._answer()
        self.n_determined = float(determined.sum())

    def _log_evidence(self, precision):
        """ln of the evidence, up to what does not depend on the widths."""
        lower = np.linalg.cholesky(self.matrix + np.diag(precision))
        explained = np.linalg.solve(lower, self.right)
        norm = 0.5 * np.log(precision).sum() - np.log(np.diag(lower)).sum()
        return 0.5 * explained @ explained + norm

    def evidence_for(self, m):
        """By how much an order raises ln(evidence)."""
        own = self.modes.order == m
        if not own.any():
            return 0.0
        without = np.where(own, NO_STRUCTURE, self.precision)
        return self._log_evidence(self.precision) - self._log_evidence(without)

    def drop(self, m):
        """No structure of this order."""
        if len(self.modes):
            self.precision[self.modes.order == m] = NO_STRUCTURE
            self._solve()

    def solved(self):
        """The `BandStructure`, None without modes."""
        if not len(self.modes):
            return None
        image = self.modes.image(self.coefficients)
        return BandStructure(
            self.modes.order,
            self.coefficients,
            self.precision,
            self.n_determined,
            image,
            *self._flux_response(),
        )

    def _flux_response(self):
        """What the data say of the modes, and how the flux goes with them, the shapes as they are.

        With A the modes' matrix and its prior, C that of modes and other linear columns, D
        these alone, and g and h the sums of both, the variance of g c + h F is that of the
        others alone plus u' (A - C D^-1 C')^-1 u, u = g - C D^-1 h. The prior is added to A
        later (`BandStructure.flux_error`).
        """
        own = self.others[self.linear != 0]
        weighted = own * self.weighted
        inner = weighted @ own.T
        scale = 1 / np.sqrt(np.maximum(np.diag(inner), np.finfo(float).tiny))
        inner = inner * scale[:, None] * scale + 1e-9 * np.eye(len(scale))
        across = self.modes.sums(weighted) * scale[:, None]
        flux = (self.linear[self.linear != 0] > 0) * scale
        solved = np.linalg.solve(inner, np.column_stack([across, flux]))
        matrix = self.modes.products(self.weighted) - across.T @ solved[:, :-1]
        sums = self.modes.sums(np.ones((1, len(self.residual))))[0] - across.T @ solved[:, -1]
        return matrix, sums
