"""Which stars are two: longer than the PSF, or in another place in each filter.

Two stars of fluxes f1 and f2, a vector d apart and fitted as one, leave to lowest order the
second moments V = phi (1 - phi) d d' with phi = f1 / (f1 + f2): the residual is

    r = flux / 2 * sum_ij V_ij d_i d_j P,        P the PSF, d_i its derivatives,

less what flux and position can do (Taylor's series of P about the centroid). The part of V
without trace is measured here, from all bands together; the trace is what a PSF that is too
narrow would leave as well. And where the two have different colours, phi and with it the
centroid differ from band to band. Both together are a chi-squared of 2 + 2 (n_bands - 1)
degrees of freedom for a single star.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import correlate1d
from scipy.special import chdtrc

from galstep.core.engine.star_cutouts import StarCutouts
from galstep.core.imaging.medians import mad_std, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["pair_chi2", "stars_in_pairs"]

# One single star in so many is taken for a pair.
FALSE_ALARM = 1e-5
# The frame's own stars tell the error of the PSF and of the registration, if so many are
# bright enough; what they scatter beyond their errors is no pair.
MIN_STARS, MIN_SNR = 5, 30.0
# Second moments without trace, along the axes and along the diagonals.
MOMENTS = np.array([[[1.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [1.0, 0.0]]])


def stars_in_pairs(
    bands: Sequence[SceneBand], state: SceneState, evaluation: Evaluation, snr: np.ndarray
) -> np.ndarray:
    """Which stars are two by more than chance, (n_stars,) bool.

    Parameters
    ----------
    bands, state, evaluation, snr
        See `pair_chi2`.
    """
    if not state.n_stars:
        return np.zeros(0, dtype=bool)
    value, freedom = pair_chi2(bands, state, evaluation, snr)
    # the upper tail of chi-squared
    return chdtrc(np.maximum(freedom, 1), value) < FALSE_ALARM


def pair_chi2(
    bands: Sequence[SceneBand], state: SceneState, evaluation: Evaluation, snr: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Chi-squared of each star's elongation and of its places in the bands.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    evaluation : `galstep.core.engine.evaluation.Evaluation`
        Of that state.
    snr : (n_stars,) array
        Of all bands together.

    Returns
    -------
    chi2 : (n_stars,) array
        0 where no band tells.
    freedom : (n_stars,) int array
        Degrees of freedom.
    """
    bright = snr > MIN_SNR
    long, places = [], []
    for i, band in enumerate(bands):
        cutouts = StarCutouts.of(band, i, state, evaluation.residuals[i])
        flux = state.star_flux[i][:, None, None]
        long.append(_normal(cutouts, [flux * t for t in _elongated(cutouts, band.matrix)]))
        slopes = np.einsum("nahw,ab->nbhw", cutouts.stamps[:, 1:], band.matrix)
        moved = [flux * cutouts.beside(slopes[:, k], n_columns=1) for k in range(2)]
        score, matrix = _normal(cutouts, moved)
        places.append(_without_common(score, matrix, bright))
    score, matrix = (sum(own[k] for own in long) for k in range(2))
    elongation = _quadratic(*_without_common(score, matrix, bright))
    apart = sum(_quadratic(*own) for own in places)
    apart = apart - _quadratic(*(sum(own[k] for own in places) for k in range(2)))
    seen = sum((np.einsum("nii->n", own[1]) > 0).astype(int) for own in places)
    return np.maximum(elongation + apart, 0.0), 2 * np.maximum(seen, 0)


def _elongated(cutouts, matrix):
    """Images of the two `MOMENTS` of the scene's frame, for stars of unit flux."""
    image = cutouts.stamps[:, 0]
    second = [correlate1d(image, [1.0, -2.0, 1.0], axis=k, mode="nearest") for k in (2, 1)]
    slope = correlate1d(image, [-0.5, 0.0, 0.5], axis=2, mode="nearest")
    mixed = correlate1d(slope, [-0.5, 0.0, 0.5], axis=1, mode="nearest")
    for moments in MOMENTS:
        own = matrix @ moments @ matrix.T
        template = 0.5 * (own[0, 0] * second[0] + own[1, 1] * second[1]) + own[0, 1] * mixed
        yield cutouts.beside(template)


def _normal(cutouts, templates):
    """Score (n, 2) and matrix (n, 2, 2) of two templates of each star."""
    weighted = [cutouts.weight * template for template in templates]
    score = [(own * cutouts.residual).sum(axis=(1, 2)) for own in weighted]
    matrix = [[(a * b).sum(axis=(1, 2)) for b in templates] for a in weighted]
    return np.stack(score, axis=-1), np.moveaxis(np.array(matrix), -1, 0)


def _without_common(score, matrix, bright):
    """The same less what the bright stars have in common, their scatter added to the errors."""
    known = bright & (np.linalg.det(matrix) > 0)
    if known.sum() < MIN_STARS:
        return score, matrix
    inverse = np.linalg.inv(matrix[known])
    value = np.einsum("nij,nj->ni", inverse, score[known])
    common = np.array([median(value[:, k]) for k in range(2)])
    score = score - matrix @ common
    # of the middle of the distribution, which is that of single stars
    spread = np.array([mad_std(value[:, k] - common[k]) for k in range(2)]) ** 2
    own = np.array([median(inverse[:, k, k]) for k in range(2)])
    excess = np.maximum(spread - own, 0.0)
    # (matrix^-1 + excess)^-1, also where the matrix has no inverse
    damping = np.linalg.inv(np.eye(2) + matrix * excess)
    return np.einsum("nij,nj->ni", damping, score), damping @ matrix


def _quadratic(score, matrix):
    """score' matrix^-1 score of each star; 0 where nothing is known."""
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", matrix), np.finfo(float).tiny))
    unit = matrix / (scale[:, :, None] * scale[:, None, :]) + 1e-9 * np.eye(2)
    own = score / scale
    solved = np.linalg.solve(unit, own[..., None])[..., 0]
    return np.where((scale > 1e-150).any(axis=1), (own * solved).sum(axis=1), 0.0)
