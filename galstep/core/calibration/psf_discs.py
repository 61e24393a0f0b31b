"""What the discs round the anchors say of a change of the PSF.

The stars of a calibration with their PSF leave residuals r. If the PSF were
P + sum_j a_j M_j, the model would change by the columns

    D_j(x, y) = sum_i f_i M_j(x - x_i, y - y_i),

and every star would move and change its flux a little to follow. On each disc
the columns are therefore taken after the best fit of the fluxes and positions
of its stars and of its constant, weighted; what is left of them says which
a_j lower chi2. Discs share no pixel, so sums over discs may be split at will:
one part to fit, another to test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from galstep.core.calibration.anchors import disc_labels, stars_near_discs
from galstep.core.calibration.field_stars import (
    NEGLIGIBLE,
    POSITION_PRIOR,
    FieldStars,
    rendering_half_sizes,
)
from galstep.core.imaging.medians import MAD_TO_STD, median
from galstep.core.imaging.stars import StarRenderer
from galstep.core.psf.effective import EffectivePSF

if TYPE_CHECKING:
    from galstep.core.calibration.disc_fit import Frame, WorkingPsf

__all__ = ["DiscEquations", "disc_equations"]

# as in the fit of the kernel: stars so far beyond a disc follow, at most so many
NEIGHBOUR_PAD = 4.0
MAX_NEIGHBOURS = 15
MODEL_ERROR = 0.02
ROBUST = 3.0


@dataclass(frozen=True, eq=False)
class DiscEquations:
    """Normal equations of a_j, disc by disc.

    Parameters
    ----------
    matrix : (n_discs, n_modes, n_modes) array
    gradient : (n_discs, n_modes) array
        In units of the scatter of the residuals.
    """

    matrix: np.ndarray
    gradient: np.ndarray

    def gain(self, coefficients: np.ndarray) -> np.ndarray:
        """By how much chi2 falls on each disc, (n_discs,), its stars following."""
        linear = self.gradient @ coefficients
        return 2 * linear - np.einsum("kij,i,j->k", self.matrix, coefficients, coefficients)


def disc_equations(
    frame: Frame,
    working: WorkingPsf,
    stars: FieldStars,
    anchors: np.ndarray,
    modes: np.ndarray,
    radius: float,
) -> DiscEquations:
    """The normal equations of some changes of a PSF.

    Parameters
    ----------
    frame : galstep.core.calibration.disc_fit.Frame
    working : galstep.core.calibration.disc_fit.WorkingPsf
        The PSF.
    stars : galstep.core.calibration.field_stars.FieldStars
        All stars, total fluxes, as fitted with it.
    anchors : ndarray of int
        Indices of the anchors.
    modes : (n_modes, ny, nx) array
        The changes M_j, centred arrays with the oversampling of the PSF.
    radius : float
        Of the discs, pixels.

    Returns
    -------
    DiscEquations
    """
    shape, renderer = frame.image.shape, working.renderer
    stars = FieldStars(stars.x, stars.y, stars.flux * working.share)
    sizes = rendering_half_sizes(renderer, stars.flux, NEGLIGIBLE * frame.noise)
    model = renderer.render(shape, stars.x, stars.y, stars.flux, half_sizes=sizes)
    labels = disc_labels(shape, stars.x[anchors], stars.y[anchors], radius)
    used = (labels >= 0) & frame.good
    near = stars_near_discs(
        stars.x, stars.y, stars.flux, anchors, radius, NEIGHBOUR_PAD, MAX_NEIGHBOURS
    )
    columns = np.empty((len(modes), *shape))
    for column, mode in zip(columns, modes, strict=True):
        drawn = StarRenderer(EffectivePSF(mode, renderer.psf.oversample))
        column[:] = drawn.render(shape, stars.x[near], stars.y[near], stars.flux[near])
    weight = np.where(used, 1 / (frame.variance + (MODEL_ERROR * model) ** 2), 0.0)
    own = _Disc(renderer, frame.image - model, weight, columns, stars, near, radius)
    parts = [own.equations(anchor, labels == k) for k, anchor in enumerate(anchors)]
    return DiscEquations(*(np.array(part) for part in zip(*parts, strict=True)))


class _Disc:
    """One disc after the other."""

    def __init__(self, renderer, rest, weight, columns, stars, near, radius):
        self.renderer, self.rest, self.weight, self.columns = renderer, rest, weight, columns
        self.stars, self.near = stars, near
        self.reach = radius + NEIGHBOUR_PAD
        self.half_size = int(np.ceil(radius)) + 1

    def equations(self, anchor, inside):
        """Matrix and gradient of one disc, its stars and constant projected out."""
        rows, columns = np.nonzero(inside & (self.weight > 0))
        n_modes = len(self.columns)
        if not rows.size:
            return np.zeros((n_modes,) * 2), np.zeros(n_modes)
        local, prior = self._local(anchor, rows, columns)
        changes = self.columns[:, rows, columns].T
        rest, weight = self.rest[rows, columns], self.weight[rows, columns]
        for _ in range(2):  # the second time with robust weights
            root = np.sqrt(weight)[:, None]
            follow = np.vstack([local * root, prior])
            of_all = np.column_stack([rest, changes]) * root
            of_all = np.vstack([of_all, np.zeros((len(prior), 1 + n_modes))])
            basis, _ = np.linalg.qr(follow)
            left = of_all - basis @ (basis.T @ of_all)
            normalised = left[: len(rest), 0]
            scatter = max(1.0, MAD_TO_STD * median(np.abs(normalised)))
            weight = self.weight[rows, columns] / (1 + (normalised / (ROBUST * scatter)) ** 2)
        products = left.T @ left / scatter**2
        return products[1:, 1:], products[1:, 0]

    def _local(self, anchor, rows, columns):
        """What follows on a disc: value, d/dx, d/dy of its stars, and 1; with priors."""
        stars = self.stars
        distance = np.hypot(stars.x - stars.x[anchor], stars.y - stars.y[anchor])
        own = self.near & (distance < self.reach)
        x, y, flux = stars.x[own], stars.y[own], stars.flux[own]
        middle = [np.full(len(x), np.rint(v[anchor])) for v in (stars.x, stars.y)]
        stamps, ix, iy = self.renderer.stamps(x, y, self.half_size, middle)
        stamps[:, 1:] *= flux[:, None, None, None]
        seen = stamps[:, :, rows - iy[0] + self.half_size, columns - ix[0] + self.half_size]
        matrix = np.column_stack([seen.reshape(-1, len(rows)).T, np.ones(len(rows))])
        precision = np.zeros(matrix.shape[1])
        precision[1:-1:3] = precision[2::3] = 1 / POSITION_PRIOR
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-300)
        return matrix, np.diag(np.maximum(precision, 1e-6 * scale))
