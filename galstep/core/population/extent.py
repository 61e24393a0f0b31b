"""Whether a point-like source is as sharp as the stars of the frame.

A source that is a little wider than the PSF P leaves, after the fit of a star,

    r = flux * growth * (laplacian of P, less what flux and position can do),

with ``growth`` half of its own variance per axis (the first term of the Taylor series of a
convolution with a narrow kernel). All bands measure the one growth, by weighted least squares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import laplace

from galstep.core.engine.star_cutouts import StarCutouts
from galstep.core.imaging.medians import mad_std, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galstep.core.engine.evaluation import Evaluation
    from galstep.core.engine.scene import SceneBand, SceneState

__all__ = ["extent_evidence", "source_growth"]

# Pieces of galaxies are as wide as this (variance / 2 in FWHM^2, 1 sigma): an HII region of
# half a FWHM, sigma, has 0.12.
PIECE_GROWTH = 0.03
# The stars outside tell the PSF's own error, if so many are bright enough.
MIN_STARS, MIN_SNR = 5, 30.0
# ln of the ratio of likelihoods: a blend of two stars is wide too. On 36 structured galaxies
# it came out too low by this.
MOST_AGAINST, MOST_FOR, TOO_LOW = 3.5, 1.0, 0.5


def source_growth(
    bands: Sequence[SceneBand], state: SceneState, evaluation: Evaluation
) -> tuple[np.ndarray, np.ndarray]:
    """Half of the variance, per axis, of each source beyond the PSF's.

    Parameters
    ----------
    bands : sequence of `galstep.core.engine.scene.SceneBand`
    state : `galstep.core.engine.scene.SceneState`
    evaluation : `galstep.core.engine.evaluation.Evaluation`
        Of that state.

    Returns
    -------
    growth, error : (n_stars,) arrays
        Pixels of the scene, squared; the error is infinite where no band tells.
    """
    signal, information = np.zeros(state.n_stars), np.zeros(state.n_stars)
    for i, band in enumerate(bands):
        cutouts = StarCutouts.of(band, i, state, evaluation.residuals[i])
        wider = laplace(cutouts.stamps[:, 0], mode="nearest", axes=(1, 2))
        wider = cutouts.beside(wider) * (state.star_flux[i] * band.scale**2)[:, None, None]
        signal += (cutouts.weight * cutouts.residual * wider).sum(axis=(1, 2))
        information += (cutouts.weight * wider**2).sum(axis=(1, 2))
    known = information > 0
    growth = np.divide(signal, information, out=np.zeros_like(signal), where=known)
    error = np.full(len(growth), np.inf)
    error[known] = 1 / np.sqrt(information[known])
    return growth, error


def extent_evidence(
    growth: np.ndarray, error: np.ndarray, outside: np.ndarray, snr: np.ndarray, fwhm: float
) -> np.ndarray:
    """ln of the likelihood of being a star over that of being a piece of a galaxy, (n,).

    Parameters
    ----------
    growth, error : (n,) arrays
        From `source_growth`.
    outside : (n,) bool array
        Sources beyond the galaxies: stars, whose mean and scatter are the PSF's own error.
    snr : (n,) array
    fwhm : float
        Of the sharpest band, pixels of the scene.
    """
    stars = outside & (snr > MIN_SNR) & np.isfinite(error)
    mean, scatter = 0.0, 0.0
    if stars.sum() >= MIN_STARS:
        mean = median(growth[stars])
        scatter = mad_std(growth[stars])
    variance = np.where(np.isfinite(error), error, 1e6) ** 2 + scatter**2
    excess = np.maximum(growth - mean, 0.0)
    wide = variance + (PIECE_GROWTH * fwhm**2) ** 2
    # a piece is only ever wider: a Gaussian cut in half, twice as high
    ratio = 0.5 * (np.log(wide / variance) - excess**2 / variance + excess**2 / wide) - np.log(2)
    return np.clip(ratio + TOO_LOW, -MOST_AGAINST, MOST_FOR)
